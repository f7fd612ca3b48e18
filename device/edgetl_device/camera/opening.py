"""From what a person types to a camera."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from ..errors import CameraError
from ..photos import Image, is_photo_name
from ..v4l2 import v4l2_cameras
from .capture import NetworkCamera, V4L2Camera, check_device
from .picamera import PiCamera, load_picamera2, pi_cameras
from .recorded import PartsCamera, Photos, VideoFile
from .source import Camera

SPECS = "auto, a number, /dev/v4l/by-id/…, picamera2, an rtsp:// or http:// address, a video, a photo folder, or parts"


@dataclass(frozen=True)
class Found:
    """One camera of this machine: what to give to ``--camera``, and its model."""

    spec: str
    model: str


def find_cameras() -> list[Found]:
    """USB cameras, then CSI cameras where picamera2 can be used."""
    usb = [Found(str(device), model) for device, model in v4l2_cameras()]
    csi = [Found(f"picamera2:{number}", model) for number, model in enumerate(pi_cameras())]
    return usb + csi


def open_camera(spec: str, *, loop: bool = False, pace: bool = True) -> Camera:
    """The camera that a person named; it connects when its frames are asked for.

    Args:
        spec: ``auto`` (the first of :func:`find_cameras`), ``0`` (``/dev/video0``), a device path, ``picamera2`` or
            ``picamera2:1``, an ``rtsp``, ``rtsps``, ``http`` or ``https`` address, a video file, a photo or a folder of
            photos, ``parts`` or ``parts:dim``.
        loop: files begin again at their end.
        pace: files and ``parts`` play at their own frame rate; otherwise every frame, as fast as it is taken.

    Raises:
        CameraError: there is no such camera, and what to do about it.
    """
    kind, _, detail = spec.partition(":")
    if spec == "auto":
        return AutoCamera()
    if spec.isdecimal() or spec.startswith("/dev/"):
        device = Path(f"/dev/video{int(spec)}" if spec.isdecimal() else spec)
        check_device(device)
        return V4L2Camera(device)
    if kind == "picamera2" and (not detail or detail.isdecimal()):
        load_picamera2()
        return PiCamera(int(detail or 0))
    if re.match(r"(rtsps?|https?)://.", spec):
        return NetworkCamera(spec)
    if kind == "parts":
        return PartsCamera(detail or "normal", pace=pace)
    path = Path(spec).expanduser()
    if (spec and path.is_dir()) or (path.is_file() and is_photo_name(path)):
        return Photos(path, loop=loop, pace=pace)
    if path.is_file():
        return VideoFile(path, loop=loop, pace=pace)
    raise CameraError(f"no camera, file or folder {spec!r}: expected {SPECS}")


class AutoCamera:
    """Whatever camera there is, looked for anew at each connection: it may come back under another number."""

    live = True
    finite = False

    def __init__(self) -> None:
        self._camera = _first()
        self._closed = False

    @property
    def name(self) -> str:
        """Of the camera in use."""
        return self._camera.name

    def frames(self) -> Generator[Image, None, None]:
        """Frames of the first camera found."""
        self._camera = _first()
        if self._closed:
            self._camera.close()
        yield from self._camera.frames()

    def close(self) -> None:
        """End a running :meth:`frames`."""
        self._closed = True
        self._camera.close()


def _first() -> V4L2Camera | PiCamera:
    for device, model in v4l2_cameras():
        return V4L2Camera(device, model)
    if pi_cameras():
        return PiCamera()
    raise CameraError(
        "no camera found: plug in a USB camera; for a CSI camera `sudo apt install python3-picamera2` and make the "
        "environment with `--system-site-packages`; without a camera, `--camera parts` shows rendered machine parts"
    )
