"""Any float classifier, whoever made it, split into its backbone and its head."""

__all__ = ["float_model", "keras_files"]
