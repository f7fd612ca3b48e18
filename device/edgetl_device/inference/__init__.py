"""Photo → embedding → prediction: the only importers of a TFLite runtime, and the Edge TPU."""

__all__ = ["activation_map", "backbone", "classifier", "edgetpu", "interpreter", "native_log", "thread_count"]
