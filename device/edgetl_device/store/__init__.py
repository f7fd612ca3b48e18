"""What survives a power cut: samples, versions and events in one SQLite database."""

__all__ = ["backup", "lock", "schema", "store"]
