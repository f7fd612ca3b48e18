"""Network cameras: RTSP and HTTP streams through OpenCV's FFmpeg, and still pictures that are polled."""

from __future__ import annotations

import threading
from collections.abc import Generator

from ..addresses import openable, shown_address
from ..errors import CameraError
from ..photos import Image
from ..printable import printable
from .capture import frames_of, open_capture
from .source import STALL_S, paced
from .still import Stills

CONNECT_S = 10.0  # to a network camera
PICTURES_PER_S = 2.0  # of a still-picture address: many cameras need a third of a second for one


class NetworkCamera:
    """An RTSP camera, an HTTP stream (MJPEG, HLS), or an HTTP address of a still picture, which is polled.

    Args:
        url: ``rtsp://…``, ``rtsps://…``, ``http://…`` or ``https://…``, with ``user:password@`` where the camera asks.
        stall_s, connect_s: seconds without a frame, or without an answer, after which it counts as gone.
        pictures_per_s: how often a still picture is fetched.
    """

    live = True
    finite = False

    def __init__(
        self,
        url: str,
        *,
        stall_s: float = STALL_S,
        connect_s: float = CONNECT_S,
        pictures_per_s: float = PICTURES_PER_S,
    ) -> None:
        self.name = printable(shown_address(url), 200)
        self._url = openable(url)
        self._stall_s = stall_s
        self._connect_s = connect_s
        self._pictures_per_s = pictures_per_s
        self._closed = threading.Event()

    def frames(self) -> Generator[Image, None, None]:
        """Frames until the stream breaks, which raises CameraError."""
        if self._closed.is_set():
            return
        if self._url.lower().startswith("http"):
            stills = Stills(self._url, self.name, self._connect_s, self._stall_s)
            first = stills.first()
            if first is not None:
                yield first
                yield from paced(stills.more(), self._pictures_per_s, self._closed)
                return
        yield from self._stream()

    def close(self) -> None:
        """End a running :meth:`frames` after its current frame."""
        self._closed.set()

    def _stream(self) -> Generator[Image, None, None]:
        import cv2

        timeouts = {
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: round(self._connect_s * 1e3),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC: round(self._stall_s * 1e3),
        }
        with open_capture(self._url, cv2.CAP_FFMPEG, timeouts) as capture:
            if not capture.isOpened():
                raise CameraError(
                    f"no video from {self.name}: check address, user and password (rtsp://user:password@host/path); "
                    "`ffplay URL` shows whether the camera answers"
                )
            for image in frames_of(capture):
                if self._closed.is_set():
                    return
                yield image
        if not self._closed.is_set():
            raise CameraError(f"{self.name} stopped sending frames: check the camera and the network")
