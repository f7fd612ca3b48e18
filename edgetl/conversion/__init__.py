"""Float model → proven bundle; compression; sweep."""

__all__ = ["compression", "convert", "converter", "parity", "proof", "sweep"]
