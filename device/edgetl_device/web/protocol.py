"""Connections that say nothing, or little: uvicorn's protocols with limits at the door.

A connection *waits* until a whole request header has arrived, then *sends* its body, then is *answered*, and waits
again; or it *watches* a WebSocket. One that waits too long, takes nothing of what it asked for, or cannot be closed, is
cut off. Where a new connection would be one too many, the one that has waited longest makes room for it: idle
connections never keep a visitor out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_CONNECTIONS = 128  # at once; a browser opens up to 7
MAX_PER_ADDRESS = 48
HEADER_S = 10.0  # for a whole request header, also on a connection that is kept open
BLOCKED_S = 20.0  # without taking 48 kB of what it asked for
CLOSING_S = 5.0  # for the last bytes of a connection that is being closed
SWEEP_S = 1.0  # between two looks at all connections

WAITING, SENDING, ANSWERED, WATCHING = range(4)
"""What a connection does; the first ones make room before the last ones."""

log = logging.getLogger("edgetl.web")


@dataclass(eq=False)
class _Connection:
    """One connection, and since when it does what it does."""

    transport: asyncio.Transport
    address: str
    activity: Callable[[], tuple[int, object]]
    last: tuple[int, object] = (WAITING, None)
    since_s: float = field(default_factory=time.monotonic)
    blocked_s: float | None = None  # since when it takes nothing
    closing_s: float | None = None  # since when it is being closed

    def look(self, now_s: float) -> int:
        """What it does now; ``since_s`` follows."""
        current = self.activity()
        if current != self.last:
            self.last, self.since_s = current, now_s
        if self.closing_s is None and self.transport.is_closing():
            self.closing_s = now_s
        return current[0]

    def is_overdue(self, now_s: float) -> bool:
        """Whether it has had its time."""
        waits = self.look(now_s) == WAITING and now_s - self.since_s > HEADER_S
        blocked = self.blocked_s is not None and now_s - self.blocked_s > BLOCKED_S
        lingers = self.closing_s is not None and now_s - self.closing_s > CLOSING_S
        return waits or blocked or lingers


class Connections:
    """All connections of one server.

    Args:
        address_of: remote host → what counts as one address; None where it is a proxy for many visitors.
    """

    def __init__(self, address_of: Callable[[str], str | None]) -> None:
        self._address_of = address_of
        self._open: dict[asyncio.Transport, _Connection] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def add(self, transport: asyncio.Transport, activity: Callable[[], tuple[int, object]]) -> None:
        """Count a new connection; where it is one too many, one is cut off, if need be the new one."""
        host = (transport.get_extra_info("peername") or ("",))[0]
        address = self._address_of(host) or ""
        self._open[transport] = _Connection(transport, address, activity)
        others = [other for other in self._open.values() if other.transport is not transport]
        own = [other for other in others if address and other.address == address]
        if len(own) >= MAX_PER_ADDRESS:
            self._make_room(own, transport)
        elif len(others) >= MAX_CONNECTIONS:
            self._make_room(others, transport)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def follow(self, transport: asyncio.Transport, activity: Callable[[], tuple[int, object]]) -> None:
        """Another protocol has taken a connection over."""
        if (connection := self._open.get(transport)) is not None:
            connection.activity = activity

    def block(self, transport: asyncio.Transport, blocked: bool) -> None:
        """A connection stops, or begins again, to take what is sent to it."""
        if (connection := self._open.get(transport)) is not None:
            connection.blocked_s = time.monotonic() if blocked else None

    def remove(self, transport: asyncio.Transport) -> None:
        """A connection is gone."""
        self._open.pop(transport, None)

    def _make_room(self, candidates: list[_Connection], newcomer: asyncio.Transport) -> None:
        now_s = time.monotonic()
        for other in candidates:
            other.look(now_s)
        replaceable = [other for other in candidates if other.last[0] <= SENDING or other.blocked_s is not None]
        victim = newcomer
        if replaceable:
            victim = min(replaceable, key=lambda other: (other.last[0], other.since_s)).transport
        self._open.pop(victim, None)
        victim.abort()

    def _sweep(self) -> None:
        now_s = time.monotonic()
        for connection in list(self._open.values()):
            if connection.is_overdue(now_s):
                connection.transport.abort()
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep) if self._open else None


class _Counted(asyncio.Protocol):
    """What both protocols do about the limits, mixed into uvicorn's.

    Args:
        limits: the connections of the server.
    """

    transport: asyncio.Transport

    def __init__(self, *args: Any, limits: Connections, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = limits

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more."""
        self._limits.remove(self.transport)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The other end takes too little."""
        self._limits.block(self.transport, True)
        super().pause_writing()

    def resume_writing(self) -> None:
        """The other end has taken enough."""
        self._limits.block(self.transport, False)
        super().resume_writing()


class HttpProtocol(_Counted, H11Protocol):
    """uvicorn's protocol for HTTP/1.1, which counts and limits its connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it."""
        super().connection_made(transport)
        self._limits.add(transport, self._activity)

    def data_received(self, data: bytes) -> None:
        """Parse what came; what no request can look like ends the connection and nothing else."""
        try:
            super().data_received(data)
        except Exception as error:  # of h11 or of the WebSocket handshake, on bytes that anybody may send
            log.info("a connection sent what cannot be parsed: %s", error)
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Say so, unless an answer is on its way already."""
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.transport.abort()

    def _activity(self) -> tuple[int, object]:
        if self.cycle is None or self.cycle.response_complete:
            return WAITING, self.cycle
        return (SENDING if self.cycle.more_body else ANSWERED), self.cycle


class WebSocketProtocol(_Counted, WebSocketsSansIOProtocol):
    """uvicorn's protocol for WebSockets, which stays counted."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over from HTTP."""
        super().connection_made(transport)
        self._limits.follow(self.transport, lambda: (WATCHING if self.handshake_complete else WAITING, self))

    def data_received(self, data: bytes) -> None:
        """Parse what came; frames that are against the protocol end the connection and nothing else."""
        try:
            super().data_received(data)
        except Exception as error:  # of the parser, on bytes that anybody may send
            log.info("a WebSocket sent what cannot be parsed: %s", error)
            self.transport.abort()


class Seldom(logging.Filter):
    """Lets a few records a minute through: what strangers do must not fill the disk with logs.

    Args:
        records: a minute.
        clock: seconds, monotonic.
    """

    def __init__(self, records: int = 5, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._records, self._clock = records, clock
        self._minute_s, self._passed, self._dropped = float("-inf"), 0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it may pass; the first one of a new minute says how many did not."""
        now_s = self._clock()
        if now_s - self._minute_s >= 60.0:
            if self._dropped:
                record.msg, record.args = f"{record.getMessage()} ({self._dropped} more in the last minute)", ()
            self._minute_s, self._passed, self._dropped = now_s, 0, 0
        self._passed += 1
        if self._passed > self._records:
            self._dropped += 1
            return False
        return True
