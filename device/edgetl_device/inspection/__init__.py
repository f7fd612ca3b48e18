"""Good photos → what is not good, and where: place statistics, thresholds, corrections."""

__all__ = ["place_statistics"]
