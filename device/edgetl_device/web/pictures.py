"""Pictures of what is recognised: encoded once for all who watch, and only while someone does.

A viewer gets the newest picture when it is ready for one; what it missed is gone. So a slow or stalled viewer costs one
small buffer and nothing else. Of several views a viewer gets one, or all in turn, each with the picture of its camera.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import cv2
from starlette.concurrency import run_in_threadpool

from .guard import Refused

if TYPE_CHECKING:
    from ..app.app import App
    from ..app.pipeline import Pipeline, Recognition
    from ..photos import Image
    from ..view_names import ViewName

MAX_VIEWERS = 8  # at once; each costs bandwidth, and a Raspberry Pi has little
MAX_FPS = 15.0  # of pictures of a view sent; recognition is not limited by it
MAX_SIDE = 640  # pixels; of the longer side of pictures sent
QUALITY = 80  # of the JPEG, 0 … 100
HEARTBEAT_S = 0.5  # between messages while there is no picture to send


@dataclass(frozen=True, eq=False)
class Picture:
    """One encoded recognition, shared by all viewers."""

    recognition: Recognition
    jpeg: bytes


class Viewer:
    """What one viewer watches, and what it had last.

    Args:
        name: the view; None for all, in turn.
    """

    def __init__(self, name: ViewName | None = None) -> None:
        self.name = name
        self._had: dict[ViewName, Picture] = {}  # in the order in which they were had

    def wants(self, name: ViewName) -> bool:
        """Whether it watches a view."""
        return self.name is None or name == self.name

    def next_of(self, newest: Mapping[ViewName, Picture]) -> Picture | None:
        """Of the newest pictures one that it did not have, of the view that has waited longest; or None."""
        new = [name for name, picture in newest.items() if self.wants(name) and self._had.get(name) is not picture]
        had = list(self._had)
        chosen = min(new, key=lambda name: had.index(name) if name in self._had else -1, default=None)
        return None if chosen is None else newest[chosen]

    def has(self, picture: Picture) -> None:
        """It got one."""
        name = picture.recognition.name
        self._had.pop(name, None)
        self._had[name] = picture


class Live:
    """Encodes the pipeline's recognitions while there are viewers of their view.

    Args:
        app: whose pipeline is watched.
        max_viewers: beyond it a viewer is refused with 503.
    """

    def __init__(self, app: App, max_viewers: int = MAX_VIEWERS) -> None:
        self._app = app
        self._max_viewers = max_viewers
        self._newest: dict[ViewName, Picture] = {}
        self._changed = asyncio.Event()
        self._encoding: asyncio.Task[None] | None = None
        self._viewers: list[Viewer] = []
        self.closed = False

    @property
    def viewers(self) -> int:
        """How many watch."""
        return len(self._viewers)

    def close(self) -> None:
        """Let every viewer go soon; from any thread."""
        self.closed = True

    @contextlib.contextmanager
    def viewer(self, viewer: Viewer) -> Iterator[None]:
        """Take one of the places while inside; raises Refused where all are taken."""
        if self.viewers >= self._max_viewers:
            raise Refused(503, f"all {self.viewers} places for viewers are taken: close the page somewhere else")
        self._viewers.append(viewer)
        try:
            yield
        finally:
            self._viewers.remove(viewer)

    async def after(self, viewer: Viewer, timeout_s: float = HEARTBEAT_S) -> Picture | None:
        """The newest picture that the viewer did not have, as soon as there is one; None if not in time."""
        with anyio.move_on_after(timeout_s):
            while (picture := viewer.next_of(self._newest)) is None:
                if self._encoding is None:
                    self._encoding = asyncio.create_task(self._encode())
                await self._changed.wait()
            return picture
        return None

    async def _encode(self) -> None:
        waiting: dict[ViewName, Recognition] = {}
        due_s: dict[ViewName, float] = {}  # when a view's next picture may be sent
        try:
            with listening(self._app.pipeline) as next_recognition:
                while self._viewers:
                    now_s = time.monotonic()
                    pause_s = min((due_s.get(name, 0.0) - now_s for name in waiting), default=HEARTBEAT_S)
                    recognition = await next_recognition(max(pause_s, 0.0))
                    if recognition is not None and self._wanted(recognition.name):
                        waiting[recognition.name] = recognition
                    now_s = time.monotonic()
                    for name in [name for name in waiting if due_s.get(name, 0.0) <= now_s]:
                        due_s[name] = now_s + 1 / MAX_FPS
                        await self._send(waiting.pop(name))
                    self._drop_what_is_gone()
        finally:
            self._encoding = None
            self._newest = {}

    async def _send(self, recognition: Recognition) -> None:
        image = recognition.frame.image
        jpeg = next((each.jpeg for each in self._newest.values() if each.recognition.frame.image is image), None)
        if jpeg is None:  # otherwise another region of the frame was sent before
            jpeg = await run_in_threadpool(encoded, image)
        self._newest[recognition.name] = Picture(recognition, jpeg)
        self._changed.set()
        self._changed = asyncio.Event()

    def _drop_what_is_gone(self) -> None:
        """Views that nobody watches now, and those that were removed, hold no picture."""
        names = {view.name for view in self._app.pipeline.views}
        for name in [each for each in self._newest if each not in names or not self._wanted(each)]:
            del self._newest[name]

    def _wanted(self, name: ViewName) -> bool:
        return any(each.wants(name) for each in self._viewers)


@contextlib.contextmanager
def listening(
    pipeline: Pipeline, name: ViewName | None = None
) -> Iterator[Callable[[float], Awaitable[Recognition | None]]]:
    """Inside, a function that waits for the next recognition, or so many seconds and gives None.

    Args:
        name: the view to listen to; None for all, in turn.
    """
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()

    def notify() -> None:
        loop.call_soon_threadsafe(arrived.set)

    with pipeline.subscribe(notify, None if name is None else name.__eq__) as subscription:

        async def next_recognition(timeout_s: float) -> Recognition | None:
            with anyio.move_on_after(timeout_s):
                await arrived.wait()
            arrived.clear()
            recognition = subscription.get(0)
            if subscription.waiting:  # of another view
                arrived.set()
            return recognition

        yield next_recognition


def encoded(image: Image, side: int = MAX_SIDE) -> bytes:
    """(h, w, 3) uint8 BGR → JPEG, its longer side at most ``side`` pixels."""
    shrink = side / max(image.shape[:2])
    if shrink < 1:
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
