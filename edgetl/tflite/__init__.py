"""`.tflite` files as objects: reading, appending, pre-flight, metadata, fused files."""
