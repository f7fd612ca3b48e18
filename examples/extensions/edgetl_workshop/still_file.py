"""A camera of your own: a photo that another program keeps overwriting, as a microscope's or a phone's does."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from pathlib import Path

from edgetl_device.camera import STALL_S
from edgetl_device.errors import CameraError, PhotoError
from edgetl_device.photos import Image, read_photo

LOOK_S = 0.05  # between two looks at the file


class StillFile:
    """``--camera still:/run/camera/newest.jpg``: a frame each time the file is written.

    Args:
        argument: what stands behind the colon, the path.
    """

    live = True  # frames come in their own time: late ones are dropped
    finite = False  # an end is a fault to recover from

    def __init__(self, argument: str) -> None:
        self._path = Path(argument).expanduser()
        if not self._path.parent.is_dir():
            raise CameraError(f"no folder {self._path.parent}: expected still:PATH of a photo that is written anew")
        self.name = f"the photo {self._path.name}"
        self._closed = threading.Event()

    def frames(self) -> Generator[Image, None, None]:
        """Connect and yield (height, width, 3) uint8 BGR."""
        last, waiting_since = 0, time.monotonic()
        while not self._closed.wait(LOOK_S):
            written = self._path.stat().st_mtime_ns if self._path.exists() else 0
            if written != last:
                try:
                    image = read_photo(self._path)
                except PhotoError:  # half of it is written
                    continue
                last, waiting_since = written, time.monotonic()
                yield image
            elif time.monotonic() - waiting_since > STALL_S:
                raise CameraError(f"{self.name} was not written for {STALL_S:g} s")

    def close(self) -> None:
        """End a running :meth:`frames`, from any thread."""
        self._closed.set()
