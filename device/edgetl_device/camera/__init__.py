"""Cameras of every kind behind one generator of frames.

    with closing(open_camera("0")) as camera:
        for image in camera.frames():   # (height, width, 3) uint8 BGR
            ...

To add a kind, write a class that is a :class:`~edgetl_device.camera.source.Camera` and name it in ``opening.py``.
"""

from .fake import FakeCamera
from .opening import find_cameras, open_camera
from .source import STALL_S, Camera, Frame

__all__ = ["STALL_S", "Camera", "FakeCamera", "Frame", "find_cameras", "open_camera"]
