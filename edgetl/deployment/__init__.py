"""To devices and back: bundles out, statistics in, merged."""

__all__ = ["deploy", "merge", "ssh", "wheel"]
