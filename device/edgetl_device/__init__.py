"""edgetl-device: the part of edgetl that runs on the camera, and the part both sides share."""

__version__ = "0.2.0"
