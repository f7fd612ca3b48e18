"""The Raspberry Pi's own (CSI) cameras, through picamera2, which comes from apt and is imported only when chosen."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator
from concurrent.futures import TimeoutError as JobTimeoutError  # until Python 3.11 not the built-in one
from pathlib import Path
from typing import Any

from ..errors import CameraError
from ..photos import Image
from .source import STALL_S

SIZE = (640, 480)  # (width, height), as picamera2 wants it
_APT = Path("/usr/lib/python3/dist-packages/picamera2")


class PiCamera:
    """A CSI camera.

    Args:
        number: 0, or 1 for the second connector of a Pi 5.
    """

    live = True
    finite = False

    def __init__(self, number: int = 0) -> None:
        self.name = f"Raspberry Pi camera {number}"
        self._number = number
        self._closed = threading.Event()

    def frames(self) -> Generator[Image, None, None]:
        """Frames until it stops answering, which raises CameraError."""
        picamera2 = load_picamera2()
        if self._closed.is_set():
            return
        try:
            camera = picamera2.Picamera2(self._number)
        except (RuntimeError, IndexError) as error:
            raise CameraError(
                f"{self.name} cannot be opened ({error}): check the ribbon cable, `rpicam-hello --list-cameras`, and "
                "that no other program uses it"
            ) from None
        try:
            # libcamera names formats by the order of bytes in a word: RGB888 is B, G, R in memory.
            camera.configure(camera.create_video_configuration(main={"size": SIZE, "format": "RGB888"}))
            camera.start()
            while not self._closed.is_set():
                job = camera.capture_array("main", wait=False)
                try:
                    yield camera.wait(job, timeout=STALL_S)
                except JobTimeoutError:
                    raise CameraError(f"{self.name} sent no frame for {STALL_S:g} s: check the ribbon cable") from None
        finally:
            camera.close()

    def close(self) -> None:
        """End a running :meth:`frames` after its current frame."""
        self._closed.set()


def load_picamera2() -> Any:
    """The module picamera2; raises CameraError that says how to get it into this environment."""
    try:
        import picamera2  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        if _APT.exists() and sys.prefix != sys.base_prefix:
            fix = f"set `include-system-site-packages = true` in {Path(sys.prefix) / 'pyvenv.cfg'}"
        else:
            fix = "`sudo apt install python3-picamera2`, and make the environment with `--system-site-packages`"
        raise CameraError(f"picamera2 is not visible from this Python ({error}): {fix}") from None
    return picamera2


def pi_cameras() -> list[str]:
    """Models of the CSI cameras, by number; none where picamera2 cannot be used."""
    try:
        cameras = load_picamera2().Picamera2.global_camera_info()
    except (CameraError, RuntimeError):
        return []
    # libcamera lists USB cameras too, which V4L2 serves with less.
    return [str(camera["Model"]) for camera in cameras if "usb" not in str(camera.get("Id", "")).lower()]
