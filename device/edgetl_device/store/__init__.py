"""What survives a power cut: samples, versions and events in one SQLite database."""
