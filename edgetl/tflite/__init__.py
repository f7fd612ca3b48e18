"""`.tflite` files as objects: reading, appending, pre-flight, metadata, fused files."""

__all__ = ["appender", "edgetpu_compiler", "feature_map", "fused", "graph", "model", "preflight"]
