"""The camera of tests: plays a script of frames, pauses and faults."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator

from ..errors import CameraError
from ..photos import Image
from .source import STALL_S, paced


class FakeCamera:
    """A camera that plays a script.

    Args:
        sessions: what each connection in turn plays: an image is a frame, a number a pause in seconds, an exception is
            raised. After the last session, the camera has ended (``finite``) or cannot be opened any more.
        fps: frames a second; None is as fast as they are taken.
        stall_s: a longer pause ends the connection, as it does with real cameras.

    Attributes:
        connections: how often it was opened.
        open: how many connections are open now.
    """

    def __init__(
        self,
        *sessions: Iterable[Image | float | Exception],
        fps: float | None = None,
        live: bool = True,
        finite: bool = True,
        stall_s: float = STALL_S,
    ) -> None:
        self.name = "fake camera"
        self.live = live
        self.finite = finite
        self.connections = 0
        self.open = 0
        self._sessions = iter(sessions)
        self._fps = fps
        self._stall_s = stall_s
        self._closed = threading.Event()

    def frames(self) -> Generator[Image, None, None]:
        """Play the next session."""
        if self._closed.is_set():
            return
        session = next(self._sessions, None)
        if session is None:
            if self.finite:
                return
            raise CameraError(f"{self.name} is gone: it has no more sessions")
        self.connections += 1
        self.open += 1
        try:
            yield from paced(self._play(session), self._fps, self._closed)
        finally:
            self.open -= 1

    def close(self) -> None:
        """End what is playing."""
        self._closed.set()

    def _play(self, session: Iterable[Image | float | Exception]) -> Iterator[Image]:
        for step in session:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, (int, float)):
                if self._closed.wait(min(step, self._stall_s)):
                    return
                if step > self._stall_s:
                    raise CameraError(f"{self.name} sent no frame for {self._stall_s:g} s")
            else:
                yield step
