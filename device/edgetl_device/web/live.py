"""The live picture: one encoder for all viewers, and no viewer that others wait for.

Each frame is encoded once, however many watch, and only while someone does. A viewer gets the newest picture when it
is ready for one; what it missed is gone. So a slow or stalled viewer costs one small buffer and nothing else.

The WebSocket ``/api/v1/live`` sends JSON as a text message (:func:`as_json`) and, if its ``picture`` is true, the JPEG
as a binary message; then it waits for ``{"ack": number}``; ``"overlay": true`` in it asks for class activations,
``"inspect": true`` for what inspection says.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import anyio
import cv2
import numpy as np
import numpy.typing as npt
from starlette.concurrency import run_in_threadpool
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..strict_json import parsed
from . import streams
from .guard import Refused
from .streams import Stream

if TYPE_CHECKING:
    from ..app.app import App
    from ..app.inspecting import Inspecting
    from ..app.pipeline import Pipeline, Recognition
    from ..inference.classifier import Prediction
    from ..photos import Image
    from ..view_names import ViewName

MAX_VIEWERS = 8  # at once; each costs bandwidth, and a Raspberry Pi has little
MAX_FPS = 15.0  # of pictures sent; recognition is not limited by it
MAX_SIDE = 640  # pixels; of the longer side of pictures sent
QUALITY = 80  # of the JPEG, 0 … 100
HEARTBEAT_S = 0.5  # between messages while there is no picture to send

GOING_AWAY, UNREADABLE, LOGGED_OUT, STALLED, FULL = 1001, 1003, 4401, 4408, 4503  # close codes of the WebSocket

Activation = Callable[["Recognition"], "npt.NDArray[np.uint8] | None"]
"""A recognition → (rows, columns) uint8, how much each region spoke for the label; None where the bundle cannot say."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One encoded recognition, shared by all viewers."""

    recognition: Recognition
    jpeg: bytes


class Live:
    """Encodes the pipeline's recognitions while there are viewers.

    Args:
        app: whose pipeline is watched.
        max_viewers: beyond it a viewer is refused with 503.
    """

    def __init__(self, app: App, max_viewers: int = MAX_VIEWERS) -> None:
        self._app = app
        self._max_viewers = max_viewers
        self._newest: Picture | None = None
        self._changed = asyncio.Event()
        self._encoding: asyncio.Task[None] | None = None
        self.viewers = 0
        self.closed = False

    def close(self) -> None:
        """Let every viewer go soon; from any thread."""
        self.closed = True

    @contextlib.contextmanager
    def viewer(self) -> Iterator[None]:
        """Take one of the places while inside; raises Refused where all are taken."""
        if self.viewers >= self._max_viewers:
            raise Refused(503, f"all {self.viewers} places for viewers are taken: close the page somewhere else")
        self.viewers += 1
        try:
            yield
        finally:
            self.viewers -= 1

    async def after(self, last: Picture | None, timeout_s: float = HEARTBEAT_S) -> Picture | None:
        """The newest picture, as soon as it is another than the last one; None where there is none in time."""
        with anyio.move_on_after(timeout_s):
            while self._newest is None or self._newest is last:
                if self._encoding is None:
                    self._encoding = asyncio.create_task(self._encode())
                await self._changed.wait()
            return self._newest
        return None

    async def _encode(self) -> None:
        try:
            with listening(self._app.pipeline) as next_recognition:
                while self.viewers:
                    started = time.monotonic()
                    recognition = await next_recognition(HEARTBEAT_S)
                    if recognition is not None:
                        self._newest = Picture(recognition, await run_in_threadpool(encoded, recognition.frame.image))
                        self._changed.set()
                        self._changed = asyncio.Event()
                    await asyncio.sleep(started + 1 / MAX_FPS - time.monotonic())
        finally:
            self._encoding = self._newest = None


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


async def watch(socket: WebSocket, live: Live, app: App, is_welcome: Callable[[], bool]) -> None:
    """Serve one WebSocket viewer until it leaves, stalls, is logged out or sends what cannot be read.

    Args:
        is_welcome: asked before every message; a session may end while its page is open.
    """
    last: Picture | None = None
    wants: dict[str, Any] | None = {}
    await socket.accept()
    try:
        with live.viewer(), contextlib.suppress(WebSocketDisconnect, TimeoutError):
            while wants is not None and is_welcome() and not live.closed:
                picture = await live.after(last)
                message = {"picture": picture is not None, "health": asdict(app.pipeline.health())}
                if picture is not None:
                    activation: Activation | None = app.activation  # another one after every new head
                    message |= as_json(picture.recognition) | {"explains": activation is not None}
                    if activation is not None and wants.get("overlay"):
                        message["overlay"] = _overlay(await run_in_threadpool(activation, picture.recognition))
                if wants.get("inspect"):
                    message["inspection"] = await run_in_threadpool(inspected_json, app.inspecting)
                with anyio.fail_after(streams.STALL_S):
                    await socket.send_text(json.dumps(message))
                    if picture is not None:
                        await socket.send_bytes(picture.jpeg)
                        last = picture
                    wants = _parsed(await socket.receive())
            await socket.close(UNREADABLE if wants is None else GOING_AWAY if live.closed else LOGGED_OUT)
            return
    except Refused as refused:  # sent as a close frame: a browser's page cannot read the answer to a refused upgrade
        await socket.close(FULL, str(refused))
        return
    with anyio.move_on_after(1), contextlib.suppress(RuntimeError, WebSocketDisconnect):  # gone already
        await socket.close(STALLED)


class MotionJpeg(Stream):
    """The live picture as ``multipart/x-mixed-replace``, for programs that know no WebSocket.

    Args:
        live: where pictures come from.
        is_welcome: as for :func:`watch`.
    """

    def __init__(self, live: Live, is_welcome: Callable[[], bool]) -> None:
        super().__init__(self._parts(), live.viewer(), "multipart/x-mixed-replace; boundary=frame")
        self._live = live
        self._is_welcome = is_welcome

    async def _parts(self) -> AsyncIterator[bytes]:
        last = None
        while self._is_welcome() and not self._live.closed:
            picture = await self._live.after(last)
            if picture is not None:
                last = picture
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n\r\n"
                yield head.encode() + picture.jpeg + b"\r\n"


def as_json(recognition: Recognition) -> dict[str, Any]:
    """A recognition as JSON: what REST and the WebSocket say of it."""
    return {
        "number": recognition.frame.number,
        "age_s": round(time.monotonic() - recognition.frame.time_s, 3),
        "version": recognition.version,
        "part": [round(each, 4) for each in recognition.part],
        **recognition.name.to_json(),
        **({} if recognition.group is None else {"group": recognition.group}),
        **predicted(recognition.prediction),
        "groups": {name: predicted(told) for name, told in recognition.groups.items()},
    }


def predicted(prediction: Prediction) -> dict[str, Any]:
    """A prediction as JSON, with the keys of ``edgetl-device classify --json``."""
    return {
        "label": prediction.label,
        "probability": prediction.probability,
        "unknown": prediction.unknown,
        "top": [{"label": label, "probability": value} for label, value in prediction.top],
    }


def inspected_json(inspecting: Inspecting) -> dict[str, Any]:
    """The newest finding as JSON, with its heat: 64 in it is as unusual as a part at the threshold."""
    latest = inspecting.latest
    message: dict[str, Any] = {"shift": inspecting.shift(), "problem": inspecting.problem, "finding": None}
    if latest is None:
        return message
    found = latest.finding
    heat = np.clip(np.nan_to_num(found.heat) * 64, 0, 255).astype(np.uint8)
    message["finding"] = {
        "number": latest.number,
        "verdict": "good" if found.good else "bad",
        "score": round(found.score, 4),
        "threshold": round(found.threshold, 4),
        "where": found.where,
        "region": latest.region,
        "heat": _overlay(heat),
    }
    if latest.photo is not None:  # the part as it was turned and cut out: the heat lies on that, not on the frame
        photo = cv2.imencode(".jpg", cv2.cvtColor(latest.photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        message["finding"]["photo"] = base64.b64encode(photo[1].tobytes()).decode()
    return message


def _overlay(values: npt.NDArray[np.uint8] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    rows, columns = values.shape
    return {"rows": rows, "columns": columns, "values": base64.b64encode(values.tobytes()).decode()}


def _parsed(message: Message) -> dict[str, Any] | None:
    """What a viewer asks for; None where it speaks another protocol: bytes, or JSON deeper than can be parsed."""
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", GOING_AWAY))
    if message.get("text") is None:
        return None
    try:
        request = parsed(message["text"])
    except RecursionError:
        return None
    except ValueError:
        return {}
    return request if isinstance(request, dict) else {}
