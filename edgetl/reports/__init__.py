"""HTML pages and pictures, self-contained."""

__all__ = ["page", "plots"]
