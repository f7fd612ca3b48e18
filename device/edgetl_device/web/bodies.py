"""Bodies and parameters of requests, within bounds of size, time and memory, and JSON answers."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse

from ..errors import InputError
from ..strict_json import parsed
from .guard import Refused

MAX_JSON = 64 << 10  # bytes of a request's JSON: thousands of sample ids
MAX_HELD = 64 << 20  # bytes of all bodies in memory at once
RECEIVE_S = 300.0  # for a whole body
GRACE_S = 10.0  # in which nothing need come
MIN_BYTES_PER_S = 1 << 10  # after it, on average
_TAKEN = {"Connection": "close"}  # what is left of a body that is refused is not read


class Json(JSONResponse):
    """JSON in which nothing can be that is no JSON: a lone surrogate is escaped, NaN is an error of ours."""

    def render(self, content: Any) -> bytes:
        """The bytes."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode(errors="backslashreplace")


class Places:
    """So many at once, and who comes then is refused instead of kept waiting.

    Args:
        room: how many.
        refusal: what the next one is told.
    """

    def __init__(self, room: int, refusal: str) -> None:
        self._free, self._refusal = room, refusal

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Take a place while inside; raises Refused (503) where none is free."""
        if self._free <= 0:
            raise Refused(503, self._refusal, {"Retry-After": "5"} | _TAKEN)
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class Memory:
    """How many bytes of bodies are held in memory, over all requests.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int = MAX_HELD) -> None:
        self._free = limit

    @contextlib.asynccontextmanager
    async def whole(self, request: Request, limit: int) -> AsyncIterator[bytearray]:
        """A body, as long as the context lasts.

        Raises:
            Refused: as :func:`receive`; 503 where too many bodies are in memory.
        """
        data = bytearray()

        async def take(chunk: bytes) -> None:
            if len(chunk) > self._free:
                raise Refused(503, "too many uploads at once: try again in some seconds", {"Retry-After": "5"} | _TAKEN)
            self._free -= len(chunk)
            data.extend(chunk)

        try:
            await receive(request, limit, take)
            yield data
        finally:
            self._free += len(data)


async def receive(request: Request, limit: int, take: Callable[[bytes], Awaitable[object]]) -> None:
    """Pass a body on piece by piece.

    Raises:
        Refused: 413 as soon as it is known to be over the limit, in bytes; what is too much is never kept. 408 where it
            takes too long or trickles in.
    """
    too_large = Refused(413, f"too large: the limit here is {limit / (1 << 20):.3g} MB", _TAKEN)
    stated = request.headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated) > limit:
        raise too_large
    received, began_s = 0, time.monotonic()
    chunks = request.stream()
    while True:
        left_s = min(RECEIVE_S, GRACE_S + received / MIN_BYTES_PER_S) - (time.monotonic() - began_s)
        with anyio.move_on_after(left_s) as patience:
            chunk = await anext(chunks, None)
        if patience.cancelled_caught:
            raise Refused(408, "the body did not arrive in time", _TAKEN)
        if chunk is None:
            return
        received += len(chunk)
        if received > limit:
            raise too_large
        await take(chunk)


async def read_json(request: Request, kinds: Mapping[str, type], otherwise: str = "") -> dict[str, Any]:
    """A JSON object with some of the keys, each of its kind; an empty body is an empty object.

    Args:
        otherwise: what may come in place of it, for the message.

    Raises:
        InputError: anything else.
        Refused: it is too large, or not called JSON: a form of another site's page can send what is not.
    """
    data = bytearray()

    async def take(chunk: bytes) -> None:
        data.extend(chunk)

    await receive(request, MAX_JSON, take)
    if not data:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, f"expected JSON with `Content-Type: application/json` {otherwise}".rstrip())
    try:
        fields = parsed(data.decode())  # of bytes, json would take UTF-16 and UTF-32 too
    except (ValueError, RecursionError):
        raise InputError("the body is not valid JSON") from None
    if not isinstance(fields, dict):
        raise InputError("expected a JSON object")
    for key, value in fields.items():
        if isinstance(value, str) and not _is_text(value):
            raise InputError(f"{key[:40]!r} holds a surrogate, which is no character")
        if key not in kinds:
            raise InputError(f"unknown key {key[:40]!r}: expected {', '.join(kinds)}")
        if value is not None and type(value) is not kinds[key]:
            raise InputError(f"{key} must be of type {kinds[key].__name__}, got {json.dumps(value)[:40]}")
    return {key: value for key, value in fields.items() if value is not None}


def _is_text(value: str) -> bool:
    """Whether a string can be encoded: JSON may escape half a character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def sample_ids(values: list[Any]) -> list[int]:
    """The numbers of samples in a JSON list; raises InputError."""
    if not all(type(value) is int and 0 < value < 1 << 63 for value in values):
        raise InputError("ids must be a list of sample numbers")
    return values


def whole_number(value: int | None, name: str, low: int, high: int) -> int | None:
    """A number of a JSON object that lies in its bounds, or None; raises InputError."""
    if value is not None and not low <= value <= high:
        raise InputError(f"{name} must be {low} to {high}, got {str(value)[:40]}")
    return value


def query_number(request: Request, name: str, default: int | None) -> int | None:
    """A number of the query; raises InputError."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 18:
        raise InputError(f"{name} must be a whole number, got {text[:40]!r}")
    return int(text)
