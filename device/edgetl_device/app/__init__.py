"""Frames → listeners: the running camera app. Threads live only here and in web/."""

__all__ = ["app", "background", "pipeline", "sinks", "smoothing", "subscription", "systemd"]
