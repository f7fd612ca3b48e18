"""HTTPS at the door: a connection counts from its beginning, not only once it is encrypted.

uvicorn would leave the handshake to the event loop, which gives each connection a minute for it and counts none: a few
hundred silent ones would use up the files of the process, the camera's among them.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

from .protocol import HEADER_S, WAITING, Connections


class TlsDoor(asyncio.Protocol):
    """Counts a new connection, encrypts it and hands it to HTTP.

    Args:
        context: with the certificate.
        limits: the connections of the server.
        http: makes the protocol behind it, of all other arguments.
    """

    def __init__(
        self,
        *args: Any,
        context: ssl.SSLContext,
        limits: Connections,
        http: Callable[..., asyncio.Protocol],
        **more: Any,
    ) -> None:
        self._context, self._limits = context, limits
        self._http: Callable[[], asyncio.Protocol] = partial(http, *args, **more)
        self._transport: asyncio.Transport | None = None
        self._early = bytearray()  # what came with the last message of the handshake
        self._encrypting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it, and begin the handshake."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.pause_reading()  # the first bytes are for the handshake
        self._limits.add(transport, lambda: (WAITING, self))
        self._encrypting = asyncio.get_running_loop().create_task(self._encrypt(transport))

    def data_received(self, data: bytes) -> None:
        """Keep what comes before HTTP is there for it."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended before it was encrypted, or just then."""
        if self._transport is not None:
            self._limits.remove(self._transport)

    async def _encrypt(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        try:
            encrypted = await loop.start_tls(
                transport, self, self._context, server_side=True, ssl_handshake_timeout=HEADER_S
            )
        except (OSError, asyncio.CancelledError):  # it speaks no TLS, does not trust the certificate, or is gone
            encrypted = None
        self._limits.remove(transport)
        if encrypted is None or encrypted.is_closing():
            transport.abort()
            return
        http = self._http()
        encrypted.set_protocol(http)
        http.connection_made(encrypted)
        if self._early:
            http.data_received(bytes(self._early))
