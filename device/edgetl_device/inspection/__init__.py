"""Good photos → what is not good, and where: place statistics, thresholds, corrections, and the service of a home."""

__all__ = ["heat_map", "inspector", "place_statistics", "service"]
