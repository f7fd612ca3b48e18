"""The live picture: pictures and what is seen in them, over a WebSocket or as motion JPEG.

The WebSocket ``/api/v1/live`` sends JSON as a text message (:func:`as_json`) and, if its ``picture`` is true, the JPEG
as a binary message; then it waits for ``{"ack": number}``; ``"overlay": true`` in it asks for class activations,
``"inspect": true`` for what inspection says.
"""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
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
from .pictures import QUALITY, Live, Viewer
from .streams import Stream

if TYPE_CHECKING:
    from ..app.app import App
    from ..app.inspecting import Inspecting
    from ..app.pipeline import Recognition
    from ..inference.classifier import Prediction
    from ..view_names import ViewName

GOING_AWAY, UNREADABLE, LOGGED_OUT, STALLED, FULL = 1001, 1003, 4401, 4408, 4503  # close codes of the WebSocket

Activation = Callable[["Recognition"], "npt.NDArray[np.uint8] | None"]
"""A recognition → (rows, columns) uint8, how much each region spoke for the label; None where the bundle cannot say."""


async def watch(
    socket: WebSocket, live: Live, app: App, is_welcome: Callable[[], bool], name: ViewName | None = None
) -> None:
    """Serve one WebSocket viewer until it leaves, stalls, is logged out or sends what cannot be read.

    Args:
        name: the view that it watches; None for all, in turn.
        is_welcome: asked before every message; a session may end while its page is open.
    """
    viewer = Viewer(name)
    wants: dict[str, Any] | None = {}
    await socket.accept()
    try:
        with live.viewer(viewer), contextlib.suppress(WebSocketDisconnect, TimeoutError):
            while wants is not None and is_welcome() and not live.closed:
                picture = await live.after(viewer)
                message = {"picture": picture is not None, "health": asdict(app.pipeline.health(_camera(name)))}
                if app.cameras != ("",):
                    message["cameras"] = app.health_of_cameras()
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
                        viewer.has(picture)
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
        name: the view.
    """

    def __init__(self, live: Live, is_welcome: Callable[[], bool], name: ViewName) -> None:
        self._viewer = Viewer(name)
        super().__init__(self._parts(), live.viewer(self._viewer), "multipart/x-mixed-replace; boundary=frame")
        self._live = live
        self._is_welcome = is_welcome

    async def _parts(self) -> AsyncIterator[bytes]:
        while self._is_welcome() and not self._live.closed:
            picture = await self._live.after(self._viewer)
            if picture is not None:
                self._viewer.has(picture)
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n\r\n"
                yield head.encode() + picture.jpeg + b"\r\n"


def _camera(name: ViewName | None) -> str | None:
    return None if name is None else name.camera


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
