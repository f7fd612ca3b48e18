"""The backbones that can be taught, and their weights."""
