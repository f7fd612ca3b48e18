"""``edgetl collect``: takes exports in over HTTPS; idempotent, so whatever is cut off is sent again.

One route, ``POST /v1/exports``, whose body is an export. Who may deliver is told by a token (``Authorization:
Bearer``), by a certificate (mutual TLS), or both. Nothing is read of a request before its token is known.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import uvicorn
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from edgetl_device.app.background import Periodic
from edgetl_device.bundle.export_file import SendAllError
from edgetl_device.errors import EdgetlError, InputError, SignatureError, StorageError
from edgetl_device.merging.collected import Collected, NotYoursError
from edgetl_device.printable import printable
from edgetl_device.secret_file import read_secret_text
from edgetl_device.sending.delivery import PATH
from edgetl_device.web.bodies import Memory, Places
from edgetl_device.web.certificate import LOOK_S, Certificate
from edgetl_device.web.guard import Refused, household, is_loopback
from edgetl_device.web.protocol import MAX_CONNECTIONS, Connections, HttpProtocol
from edgetl_device.web.reach import url_of
from edgetl_device.web.server import MAX_HEADER
from edgetl_device.web.tls_door import TlsDoor

log = logging.getLogger("edgetl.collect")

MAX_BODY = 64 << 20  # bytes: more than statistics of the widest backbones
_MAX_HELD = 256 << 20  # of all bodies in memory at once
_AT_ONCE = 64
_THREADS = 8  # that take exports in: each may unpack 256 MB
_SHORTEST_TOKEN = 16  # characters


class Tokens:
    """Who may deliver: a file with a line ``NAME TOKEN`` for each, read again when it changed.

    Raises:
        InputError: it cannot be read, others may read it, or a line is not such.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at: tuple[int, int] | None = None
        self._names: dict[bytes, str] = {}
        self._refresh()

    def name_of(self, token: str) -> str | None:
        """The name of a token; None for one that nobody has."""
        try:
            self._refresh()
        except InputError as error:  # a change that makes no sense: those known before stay
            log.warning("%s", error)
        return self._names.get(_digest(token))

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except OSError as error:
            raise InputError(f"cannot read the token file {self._path}: {error.strerror}") from None
        changed = (status.st_mtime_ns, status.st_ino)
        if changed == self._read_at:
            return
        self._read_at = changed
        names: dict[bytes, str] = {}
        for number, line in enumerate(read_secret_text(self._path, "token file").splitlines(), 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if len(words) != 2 or len(words[1]) < _SHORTEST_TOKEN:
                raise InputError(
                    f"{self._path}, line {number}: expected NAME TOKEN, the token of at least {_SHORTEST_TOKEN} "
                    "characters: `openssl rand -hex 16` makes one"
                )
            names[_digest(words[1])] = words[0]
        self._names = names


def ask_for_certificates(certificate: Certificate, clients: Path) -> None:
    """Let nobody connect who has no certificate of these authorities; raises InputError where the file holds none."""
    try:
        certificate.context.load_verify_locations(clients)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"cannot use the certificates in {clients}: {printable(why)}") from None
    certificate.context.verify_mode = ssl.CERT_REQUIRED


class Receiver:
    """Takes exports in; as a context manager, from a thread of its own.

    Args:
        collected: where they go.
        host, port: where to listen; port 0 for any that is free.
        tokens: who may deliver; None for anybody who can connect.
        certificate: serve HTTPS with it; None serves plain HTTP, on a loopback address only.

    Attributes:
        url: where to push to.

    Raises:
        InputError: the address cannot be used, or needs TLS, or anybody could deliver.
    """

    def __init__(
        self,
        collected: Collected,
        host: str,
        port: int,
        tokens: Tokens | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        asks = certificate is not None and certificate.context.verify_mode == ssl.CERT_REQUIRED
        if not is_loopback(host):
            if certificate is None:
                raise InputError(
                    f"{host} can be reached from the network: --tls self, or --tls-cert FILE, encrypts what comes"
                )
            if tokens is None and not asks:
                raise InputError(
                    f"{host} can be reached from the network, and anybody could deliver: --tokens FILE or "
                    "--client-ca FILE"
                )
        self._collected, self._tokens = collected, tokens
        self._memory, self._places = Memory(_MAX_HELD), Places(_AT_ONCE, "too many deliveries at once: try again later")
        self._socket = _listen(host, port)
        self.url = url_of(host, self._socket.getsockname()[1], "https" if certificate else "http")
        application = Starlette(
            routes=[Route(PATH, self._receive, methods=["POST"])],
            exception_handlers={Refused: _refused, 404: _not_found, 405: _not_found},
        )
        connections = Connections(household)
        door: Callable[..., asyncio.Protocol] = partial(HttpProtocol, limits=connections)
        if certificate is not None:
            door = partial(TlsDoor, context=certificate.context, limits=connections, http=door)
        self._server = uvicorn.Server(
            uvicorn.Config(
                application,
                loop="asyncio",
                http=cast(Any, door),
                h11_max_incomplete_event_size=MAX_HEADER,
                backlog=MAX_CONNECTIONS,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=5,
            )
        )
        self._thread: threading.Thread | None = None
        self._renewing = None if certificate is None else Periodic("certificate", LOOK_S, certificate.refresh)

    def run(self) -> None:
        """Serve until the process is told to stop."""
        if self._renewing is not None:
            self._renewing.start()
        try:
            self._server.run([self._socket])
        finally:
            if self._renewing is not None:
                self._renewing.stop()

    def __enter__(self) -> Receiver:
        self._thread = threading.Thread(target=self.run, name="collect", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(10.0)
        self._socket.close()

    @cached_property
    def _threads(self) -> CapacityLimiter:
        return CapacityLimiter(_THREADS)  # belongs to the event loop, so it is made in it

    async def _receive(self, request: Request) -> JSONResponse:
        name = self._name(request)
        async with self._places.one(), self._memory.whole(request, MAX_BODY) as body:
            status, answer = await to_thread.run_sync(
                taken_in, self._collected, bytes(body), name, limiter=self._threads
            )
        return JSONResponse(answer, status)

    def _name(self, request: Request) -> str:
        if self._tokens is None:
            return ""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        name = self._tokens.name_of(token.strip()) if kind.lower() == "bearer" else None
        if name is None:
            raise Refused(401, "no token, or one that is not known here: --token-file FILE", {"Connection": "close"})
        return name


def taken_in(collected: Collected, data: bytes, name: str = "") -> tuple[int, dict[str, Any]]:
    """Take an export in → HTTP status, and the answer as JSON."""
    try:
        header, new = collected.receive(data, name)
    except SendAllError as error:
        return 409, _answer(str(error), send="all")
    except EdgetlError as error:
        log.warning("refused%s: %s", f" from {name}" if name else "", error)
        kinds = ((NotYoursError, 403), (SignatureError, 403), (StorageError, 507))
        return next((status for kind, status in kinds if isinstance(error, kind)), 422), _answer(str(error))
    log.info("%s %s: number %d", "new from" if new else "again from", name or header.device[:8], header.sequence)
    return 200, _answer() | {"stored": True, "new": new, "device": header.device, "sequence": header.sequence}


def _answer(error: str = "", send: str = "") -> dict[str, Any]:
    return {"receiver": "edgetl", "stored": False, "error": error, "send": send}


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return JSONResponse(_answer(str(error)), error.status, error.headers)


async def _not_found(_: Request, __: Exception) -> JSONResponse:
    return JSONResponse(_answer(f"nothing here: POST {PATH}: push to the address alone, without a path"), 404)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None) or 0
        reason = os.strerror(number) if number > 0 else error
        raise InputError(f"cannot listen on {host}:{port} ({reason}): choose another with --listen HOST:PORT") from None
