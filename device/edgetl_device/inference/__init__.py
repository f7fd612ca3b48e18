"""Photo → embedding → prediction: the only importers of a TFLite runtime, and the Edge TPU."""
