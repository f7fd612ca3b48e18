"""The door: nothing reaches a route before its Host, its origin and its session were looked at.

- Host must be one of ours, or a page that rebinds its own name to this address could read the camera (DNS rebinding).
- What a browser says comes from another site is refused, by ``Sec-Fetch-Site`` and ``Origin`` (Fetch Metadata,
  https://web.dev/articles/fetch-metadata). Programs that are no browser send neither and need not.
- With a password, everything but :data:`PUBLIC` needs a session cookie or ``Authorization: Basic``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import socket
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import InputError
from ..printable import printable
from .access import Access, basic_password

PUBLIC = ("/healthz", "/api/v1/login")
"""What needs no password, beside the page's own files under ``/static/``, which are in every copy of edgetl."""

PAGES = ("/", "/inspect")
"""What a visitor opens: without a session it shows the login page, and a link from another site may lead there."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Refused(Exception):
    """A request that goes no further.

    Args:
        status: of the response.
        error: one line for a person.
        headers: of the response.
    """

    def __init__(self, status: int, error: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.headers = headers


def refusal(refused: Refused) -> Response:
    """What the client is told."""
    return JSONResponse({"error": printable(refused)}, refused.status, refused.headers)


class Hosts:
    """The names this app answers to.

    Bound to the loopback address: its names only. Else also this machine's name, and any IP address: a page that
    attacks by rebinding has a name.

    Args:
        bound: the address the app listens on.
        more: further names, such as a reverse proxy's.
    """

    def __init__(self, bound: str, more: Iterable[str] = ()) -> None:
        self._loopback_only = is_loopback(bound)
        self._names = {"localhost", bound.casefold(), *(name.casefold() for name in more)}
        if not self._loopback_only:
            own = socket.gethostname().casefold()
            self._names |= {own, f"{own.split('.')[0]}.local"}

    def __contains__(self, name: str) -> bool:
        if name.casefold().rstrip(".") in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._loopback_only


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what is bound to the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def require_password(host: str, password_hash: str | None) -> None:
    """Raise InputError where others reach the address and there is no password."""
    if password_hash is None and not is_loopback(host):
        raise InputError(
            f"{host or 'every address'} can be reached from the network, so a password is needed: "
            "--password-file FILE; `(umask 077; echo YOUR-WORDS > FILE)` makes one"
        )


class Guard:
    """ASGI middleware round the whole app.

    Args:
        inner: what is guarded.
        hosts: names it answers to.
        access: sessions.
        cookie: name of the session cookie.
        login_page: answers a visitor without a session who opens one of :data:`PAGES`.
    """

    def __init__(self, inner: ASGIApp, hosts: Hosts, access: Access, cookie: str, login_page: Response) -> None:
        self._inner, self._hosts, self._access = inner, hosts, access
        self._cookie, self._login_page = cookie, login_page
        self._guessing = asyncio.Lock()  # one password at a time: scrypt takes memory and a core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._inner(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        answer: Response
        try:
            self._check_host(connection.headers)
            self._check_origin(scope, connection.headers)
            await self._check_session(connection)
        except Refused as refused:
            if refused.status == 401 and scope["type"] == "http" and scope["path"] in PAGES:
                answer = self._login_page
            else:
                answer = refusal(refused)
            await _answer(answer, scope, receive, _hardened(scope, send))
            return
        await self._inner(scope, receive, _hardened(scope, send))

    def still_welcome(self, connection: HTTPConnection) -> Callable[[], bool]:
        """Asks whether who was let in may stay: a session may end while its live picture is open."""
        token = connection.cookies.get(self._cookie)
        if self._access.is_open or not self._access.is_session(token):  # came with a password, which does not end
            return lambda: True
        return lambda: self._access.is_session(token)

    async def check_password(self, client: str, password: str) -> None:
        """Raises Refused: 401 if it is not the password, 429 after too many that were not."""
        self._check_failures(client)
        async with self._guessing:
            self._check_failures(client)
            if await run_in_threadpool(self._access.check, password):
                return
            self._access.failures.add(client)
        raise Refused(401, "wrong password")

    def _check_failures(self, client: str) -> None:
        wait_s = math.ceil(self._access.failures.wait_s(client))
        if wait_s > 0:
            raise Refused(429, f"too many wrong passwords: try again in {wait_s} s", {"Retry-After": str(wait_s)})

    def _check_host(self, headers: Headers) -> None:
        name = _name_of(headers.get("host", ""))
        if len(headers.getlist("host")) != 1 or name is None or name not in self._hosts:
            reason = f"{name!r} is not a name of this device" if name else "the request names no host"
            raise Refused(403, f"{reason}: use its IP address, or start it with --host-name NAME")

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is not None and _place_of(origin) != headers["host"].casefold():
            raise Refused(403, "this request comes from another website")
        site = headers.get("sec-fetch-site", "same-origin")
        followed_a_link = (
            scope.get("method") == "GET" and scope["path"] in PAGES and headers.get("sec-fetch-mode") == "navigate"
        )
        if site not in ("same-origin", "none") and not followed_a_link:
            raise Refused(403, "this request comes from another website")

    async def _check_session(self, connection: HTTPConnection) -> None:
        path = connection.scope["path"]
        if self._access.is_open or path in PUBLIC or path.startswith("/static/"):
            return
        if self._access.is_session(connection.cookies.get(self._cookie)):
            return
        password = basic_password(connection.headers.get("authorization", ""))
        if password is None:
            raise Refused(401, "log in first", {"WWW-Authenticate": 'Session realm="edgetl"'})
        await self.check_password(client_of(connection), password)


def networks(proxies: Iterable[str]) -> list[Network]:
    """Addresses and networks as ``10.0.0.1`` or ``fd00::/8``; raises InputError for anything else."""
    try:
        return [ipaddress.ip_network(proxy) for proxy in proxies]
    except ValueError as error:
        raise InputError(
            f"--trusted-proxy: {error}; expected an address or a network, as 10.0.0.1 or fd00::/8"
        ) from None


def is_in(trusted: Iterable[Network], host: str) -> bool:
    """Whether an address lies in one of the networks."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return any(address in network for network in trusted)


def client_of(connection: HTTPConnection) -> str:
    """Who asks, for the brake on guessing."""
    return household(connection.client.host if connection.client else "")


def household(host: str) -> str:
    """Addresses that count as one: an IPv4 address, or the /64 network that a household has in IPv6."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _name_of(host: str) -> str | None:
    """``Host`` → the name or address in it, without port and brackets."""
    try:
        return urlsplit(f"//{host}").hostname if host and not set(host) & set("/?#@\\ ") else None
    except ValueError:
        return None


def _place_of(origin: str) -> str | None:
    """``Origin`` → host and port in it."""
    try:
        return urlsplit(origin).netloc.casefold()
    except ValueError:
        return None


def _hardened(scope: Scope, send: Send) -> Send:
    cache = "no-cache" if scope["path"].startswith("/static/") else "no-store"

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", cache)
        await send(message)

    return wrapped


async def _answer(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """A response to a request; to a WebSocket, a plain 403."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await response(scope, receive, send)
