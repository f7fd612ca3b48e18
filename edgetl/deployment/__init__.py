"""To devices and back: bundles out, exports received."""

__all__ = ["deploy", "ssh", "wheel"]
