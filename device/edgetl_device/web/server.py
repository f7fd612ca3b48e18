"""uvicorn in a thread beside the camera."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from ..app.background import Periodic
from ..errors import InputError
from .access import Access
from .certificate import LOOK_S, Certificate
from .guard import Hosts, household, is_in, networks, require_password
from .protocol import MAX_CONNECTIONS, Connections, HttpProtocol, Seldom, WebSocketProtocol
from .reach import addresses, url_of
from .site import Site
from .tls_door import TlsDoor

if TYPE_CHECKING:
    from ..app.app import App

MAX_HEADER = 16 << 10  # bytes
DEAD_AFTER_MS = 30_000  # a connection whose other end takes nothing any more is dropped by the kernel


class Server:
    """The web page of a running app; as a context manager, it stops at the end.

    Args:
        app: the running app.
        host: address to listen on.
        port: 0 for any that is free.
        password_hash: of :func:`~edgetl_device.web.access.hash_password`; may be None on a loopback address only.
        hosts: further names it is reached by, such as a reverse proxy's.
        proxies: addresses or networks of reverse proxies, whose ``X-Forwarded-For`` and ``-Proto`` are believed.
        certificate: serve HTTPS with it.

    Attributes:
        site: the ASGI application.
        url: where to find it.
        urls: all addresses that others may reach, best first; on a loopback address, :attr:`url` alone.

    Raises:
        InputError: the address cannot be used, or needs a password.
    """

    def __init__(
        self,
        app: App,
        host: str,
        port: int,
        password_hash: str | None = None,
        hosts: Iterable[str] = (),
        proxies: Iterable[str] = (),
        certificate: Certificate | None = None,
    ) -> None:
        require_password(host, password_hash)
        self._socket = _listen(host, port)
        port = self._socket.getsockname()[1]
        self.certificate = certificate
        scheme = "http" if certificate is None else "https"
        self.url = url_of(host or "0.0.0.0", port, scheme)
        self.urls = addresses(host, port, scheme)
        self.site = Site(app, Access(password_hash), Hosts(host, hosts), f"edgetl_session_{port}")
        proxies = tuple(proxies)
        trusted = networks(proxies)
        self.connections = Connections(lambda host: None if is_in(trusted, host) else household(host))
        config = uvicorn.Config(
            self.site,
            loop="asyncio",
            http=cast(Any, self._door(partial(HttpProtocol, limits=self.connections))),
            ws=cast(Any, partial(WebSocketProtocol, limits=self.connections)),
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
            backlog=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEADER,
            timeout_keep_alive=5,
            ws_max_size=4096,  # viewers send acknowledgements only
            ws_per_message_deflate=False,  # JPEG does not get smaller
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        for name in ("uvicorn.error", "asyncio", "edgetl.web"):
            logger = logging.getLogger(name)
            if not any(isinstance(other, Seldom) for other in logger.filters):
                logger.addFilter(Seldom())
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="web", daemon=True)
        self._renewing = None if certificate is None else Periodic("certificate", LOOK_S, certificate.refresh)

    def _door(self, http: Callable[..., asyncio.Protocol]) -> Callable[..., asyncio.Protocol]:
        """What a connection meets first."""
        if self.certificate is None:
            return http
        return partial(TlsDoor, context=self.certificate.context, limits=self.connections, http=http)

    def start(self) -> None:
        """Begin to serve; once."""
        self._thread.start()
        if self._renewing is not None:
            self._renewing.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Close all connections and the socket; whether that was done in time."""
        self.site.live.close()
        self.site.events.close()
        self._server.should_exit = True
        if self._renewing is not None:
            self._renewing.stop(timeout_s)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        self._socket.close()
        return not self._thread.is_alive()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket; connections are queued from now on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family, backlog=MAX_CONNECTIONS)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None) or 0
        reason = os.strerror(number) if number > 0 else error  # names that cannot be resolved have numbers below 0
        if isinstance(error, socket.gaierror):
            reason = "no such host"
        raise InputError(f"cannot listen on {host}:{port} ({reason}): choose another with --web HOST:PORT") from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_MS)
    return bound
