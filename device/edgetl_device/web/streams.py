"""Answers that go on for as long as somebody takes them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager

import anyio
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

STALL_S = 20.0  # a client that takes nothing for so long is let go


class Stream(StreamingResponse):
    """A stream that holds one of few places while it lasts, and ends where its client stalls.

    Args:
        parts: what is sent, one after the other.
        place: held meanwhile; raises where there is none.
        media_type, headers: of the answer.
    """

    def __init__(
        self,
        parts: AsyncIterator[str] | AsyncIterator[bytes],
        place: AbstractContextManager[None],
        media_type: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(parts, media_type=media_type, headers=headers)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        async def in_time(message: Message) -> None:
            with anyio.fail_after(STALL_S):
                await send(message)

        with contextlib.suppress(TimeoutError):
            await super().stream_response(in_time)
