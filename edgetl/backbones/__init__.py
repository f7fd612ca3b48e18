"""The backbones that can be taught, and their weights."""

__all__ = ["backbone", "catalogue"]
