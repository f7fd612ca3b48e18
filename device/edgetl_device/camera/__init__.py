"""Cameras of every kind behind one generator of frames.

    with closing(open_camera("0")) as camera:
        for image in camera.frames():   # (height, width, 3) uint8 BGR
            ...

To add a kind, write a class that is a :class:`~edgetl_device.camera.source.Camera` and name it in ``opening.py``; a
package of your own adds one through the entry point group ``edgetl.cameras`` (:mod:`edgetl_device.extensions`).
"""

from .fake import FakeCamera
from .opening import DetectedCamera, find_cameras, open_camera
from .source import STALL_S, Camera, Frame

__all__ = ["STALL_S", "Camera", "DetectedCamera", "FakeCamera", "Frame", "find_cameras", "open_camera"]
