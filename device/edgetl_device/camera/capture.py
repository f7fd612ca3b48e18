"""What OpenCV captures: V4L2 devices here, network streams in ``network.py``. Its reads time out by themselves."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import CameraError
from ..photos import Image
from ..printable import printable
from .source import STALL_S

_QUIET = {  # read by OpenCV once, at the first capture
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": f"{STALL_S:.0f}",  # V4L2 knows no timeout property; the default is 10 s
    "OPENCV_FFMPEG_LOGLEVEL": "-8",  # AV_LOG_QUIET: our own errors are one line
}


@contextmanager
def open_capture(source: str, backend: int, options: Mapping[int, int]) -> Iterator[Any]:
    """A ``cv2.VideoCapture`` that may have failed to open, and is released at the end."""
    import cv2

    os.environ.update(_QUIET)  # whatever was set: FFmpeg's messages hold the whole address, with its password
    os.environ.pop("OPENCV_FFMPEG_DEBUG", None)
    silence: Any = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # OpenCV 4, OpenCV 5
    silence(0)
    capture = cv2.VideoCapture(source, backend, [number for pair in options.items() for number in pair])
    try:
        yield capture
    finally:
        capture.release()


def frames_of(capture: Any) -> Iterator[Image]:
    """Frames until a read fails."""
    while True:
        there, image = capture.read()
        if not there:
            return
        yield image


class V4L2Camera:
    """A USB camera.

    Args:
        device: ``/dev/videoN`` or a link to it, best one under ``/dev/v4l/by-id``, which stays when others are plugged.
        name: for a person.
    """

    live = True
    finite = False

    def __init__(self, device: Path, name: str | None = None) -> None:
        self.name = printable(name or device, 100)  # a device says what it likes of itself
        self._device = device
        self._closed = threading.Event()

    def frames(self) -> Generator[Image, None, None]:
        """Frames until it is unplugged, which raises CameraError."""
        import cv2

        check_device(self._device)
        with open_capture(str(self._device), cv2.CAP_V4L2, {}) as capture:
            if not capture.isOpened():
                raise CameraError(
                    f"{self._device} cannot be opened: another program may be using it (`fuser {self._device}`), "
                    "or it is not a camera (`edgetl-device run --camera auto` picks one)"
                )
            for image in frames_of(capture):
                if self._closed.is_set():
                    return
                yield image
        if not self._closed.is_set():
            raise CameraError(f"{self.name} stopped sending frames: check its cable and power")

    def close(self) -> None:
        """End a running :meth:`frames` after its current frame."""
        self._closed.set()


def check_device(device: Path) -> None:
    """Raise CameraError, with the fix, where a device is not there or not ours to use."""
    if not device.exists():
        raise CameraError(
            f"no camera {device}: is it plugged in? `--camera auto` takes the first one found, "
            "`ls /dev/v4l/by-id` lists them"
        )
    if not device.is_char_device():
        raise CameraError(f"{device} is not a camera device")
    if not os.access(device, os.R_OK | os.W_OK):
        raise CameraError(f"no permission to use {device}: `sudo usermod -aG video $USER`, then log in again")
