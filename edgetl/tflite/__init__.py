"""`.tflite` files as objects: reading, editing, pre-flight, metadata, fused files."""
