"""What requests do beside answering: work in threads, photos that are decoded, frames of the live picture."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from starlette.requests import Request

from ..photos import decode_photo
from .bodies import Memory, Places, whole_number
from .guard import Refused
from .pictures import listening

if TYPE_CHECKING:
    from ..app.app import App
    from ..app.subscription import Recognition
    from ..photos import Image
    from ..view_names import ViewName

T = TypeVar("T")

MAX_PHOTO = 10 << 20  # bytes of a photo file
MAX_PHOTO_PIXELS = 25_000_000  # 75 MB when decoded
MAX_BURST = 50  # frames captured by one request
PATIENCE_S = 5.0  # for the camera's next frame
MAX_BURSTS = 4  # requests that capture frames at once
MAX_INTERVAL_MS = 5000
THREADS = 4  # requests that work on the store or the backbone at once; the rest wait
MAX_DECODED = 2  # photos that are in memory decoded at once; the rest wait as files


class Work:
    """Bounds what all requests together may do at once.

    Args:
        app: whose camera and store they use.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._limiter = anyio.CapacityLimiter(THREADS)
        self._decoded = anyio.CapacityLimiter(MAX_DECODED)
        self._memory = Memory()
        self._bursts = Places(MAX_BURSTS, "others are capturing frames already: try again in a few seconds")

    async def run(self, function: Callable[..., T], *args: Any, **named: Any) -> T:
        """Call a function in one of the threads for that."""
        return await anyio.to_thread.run_sync(partial(function, *args, **named), limiter=self._limiter)

    async def with_photo(self, request: Request, work: Callable[[Image], T]) -> T:
        """Decode the photo that is the body and work on it, in one thread: decoded photos must not wait for threads."""
        async with self._memory.whole(request, MAX_PHOTO) as data:
            decoded_and_done = partial(_decoded_and_done, data, work)
            return await anyio.to_thread.run_sync(decoded_and_done, limiter=self._decoded)

    async def frames(
        self, frames: int, interval_ms: int, keep: Callable[[Recognition], T], name: ViewName | None = None
    ) -> list[T]:
        """Of the next frames of the live picture, at least the interval apart, what is to be kept of each.

        Args:
            name: the view that is meant; None for the only one.
        """
        whole_number(frames, "frames", 1, MAX_BURST)
        whole_number(interval_ms, "interval_ms", 0, MAX_INTERVAL_MS)
        kept: list[T] = []
        async with self._bursts.one():
            with listening(self._app.pipeline, name) as next_recognition:
                while len(kept) < frames:
                    if kept:
                        await anyio.sleep(interval_ms / 1e3)
                        await next_recognition(0)  # what came during the wait is old
                    recognition = await next_recognition(PATIENCE_S)
                    if recognition is None:
                        raise Refused(503, self.no_frame(None if name is None else name.camera))
                    kept.append(await self.run(keep, recognition))
                    del recognition  # a 4K frame is 25 MB
        return kept

    def no_frame(self, camera: str | None = None) -> str:
        """Why there is no picture, of any camera or of one."""
        shown = f"the camera {camera}" if camera else "the camera"
        health = self._app.pipeline.health(camera)
        late = "none came in time: is this device busy?" if health.frames else "it has not started yet"
        return f"no frame from {shown}: {health.error or late}"


def _decoded_and_done(data: bytearray, work: Callable[[Image], T]) -> T:
    return work(decode_photo(bytes(data), MAX_PHOTO_PIXELS))
