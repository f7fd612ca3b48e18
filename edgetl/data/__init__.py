"""Photos on disk → a data set: finding, reading, splitting, near-copies."""

__all__ = ["datasets", "duplicates", "hashes", "streaming"]
