"""What a Keras configuration may ask for: its names and sizes are checked before Keras sees it."""
