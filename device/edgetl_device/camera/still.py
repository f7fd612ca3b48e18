"""Still pictures over HTTP, the only thing that many cameras and all weather stations have.

The standard library fetches them, with Basic and Digest authentication. What comes is bounded in bytes, pixels and
time.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from ..errors import CameraError, PhotoError
from ..photos import Image, decode_photo

log = logging.getLogger("edgetl.camera")

MAX_BYTES = 32 << 20  # of one picture
MAX_PIXELS = 50_000_000
_CHUNK = 64 << 10
_MAGIC = (b"\xff\xd8", b"\x89PNG", b"BM", b"RIFF")  # of photos


class Stills:
    """The pictures of one address.

    Args:
        url: ``http://…`` or ``https://…``, user and password escaped. A camera's certificate is not checked: hardly any
            camera has one that could be, and FFmpeg does not check it either.
        name: of the camera, for messages.
        connect_s: seconds until it must have answered.
        stall_s: seconds until a picture must have come; also for how long damaged pictures are borne with.
    """

    def __init__(self, url: str, name: str, connect_s: float, stall_s: float) -> None:
        self._name, self._connect_s, self._stall_s = name, connect_s, stall_s
        self._connection = _Connection()
        self._url, self._opener = _opener(url, name, self._connection)

    def first(self) -> Image | None:
        """The picture, or None where the address is a stream.

        Raises:
            CameraError: there is neither.
        """
        with self._answer(self._connect_s) as answer:
            kind = answer.headers.get_content_type()
            if kind.startswith("text/"):
                raise CameraError(
                    f"{self._name} answers with a web page ({kind}), not with a picture: check the address; the "
                    "camera's manual names the one for snapshots or streams"
                )
            if kind.startswith("image/"):
                return self._decoded(self._body(answer))
            if kind == "application/octet-stream":  # some cameras call everything so
                data = self._body(answer, only_photo=True)
                return self._decoded(data) if data else None
            return None

    def more(self) -> Iterator[Image]:
        """Picture after picture, each fetched when it is asked for; raises CameraError once none can be had."""
        good_s = time.monotonic()
        while True:
            try:
                with self._answer(self._stall_s) as answer:
                    image = self._decoded(self._body(answer))
            except CameraError:
                if time.monotonic() - good_s > self._stall_s:
                    raise
                log.info("%s sent a picture that cannot be used", self._name, exc_info=True)
                time.sleep(0.2)
                continue
            good_s = time.monotonic()
            yield image

    @contextlib.contextmanager
    def _answer(self, timeout_s: float) -> Iterator[Any]:
        try:
            with self._opened(timeout_s) as answer:
                yield answer
        finally:
            self._connection.release()

    def _opened(self, timeout_s: float) -> Any:
        request = urllib.request.Request(self._url, headers={"User-Agent": "edgetl", "Accept": "image/*, */*"})
        try:
            with self._connection.cut_after(timeout_s):
                return self._opener.open(request, timeout=timeout_s)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it is the answer too
            raise CameraError(f"no picture from {self._name}: {_reason(error, timeout_s)}") from None

    def _body(self, answer: Any, only_photo: bool = False) -> bytes:
        """What comes; nothing, if asked for photos only, as soon as it is known to be none."""
        data = bytearray()
        try:
            with self._connection.cut_after(self._stall_s):
                while chunk := answer.read1(_CHUNK):
                    data += chunk
                    if only_photo and not data.startswith(_MAGIC):
                        return b""
                    if len(data) > MAX_BYTES:
                        raise CameraError(f"{self._name} sends a picture of more than {MAX_BYTES >> 20} MB")
        except _CutError:
            raise CameraError(f"{self._name} takes more than {self._stall_s:g} s for a picture") from None
        except (OSError, http.client.HTTPException) as error:
            raise CameraError(f"no picture from {self._name}: {_reason(error, self._stall_s)}") from None
        return bytes(data)

    def _decoded(self, data: bytes) -> Image:
        try:
            return decode_photo(data, MAX_PIXELS)
        except PhotoError as error:
            raise CameraError(f"{self._name} sent a picture that cannot be used: {error}") from None


class _CutError(TimeoutError):
    """It took too long as a whole."""


class _Connection:
    """The newest connection, which can be cut off: a timeout of a socket is for each read, and a read may be a byte."""

    def __init__(self) -> None:
        self._lock, self._cut = threading.Lock(), False
        self._socket: socket.socket | None = None

    def watch(self, connected: socket.socket) -> None:
        """Cut this one off from now on; a second descriptor stays valid when TLS takes the first."""
        self.release()
        with self._lock:
            self._socket = connected.dup()
            if self._cut:
                self._socket.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Let it be closed: as long as there is a second descriptor, the camera would go on sending."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = None

    @contextlib.contextmanager
    def cut_after(self, seconds: float) -> Iterator[None]:
        """Cut it off if it is not done by then; raises _CutError, whatever the reader made of the end."""
        self._cut = False
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (OSError, http.client.HTTPException, ValueError):
            if self._cut:
                raise _CutError from None
            raise
        finally:
            timer.cancel()
        if self._cut:
            raise _CutError

    def _end(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._cut = True
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

    def plain(self, host: str, **options: Any) -> _HttpConnection:
        """What urllib connects with."""
        return self._watched(_HttpConnection(host, **options))

    def tls(self, host: str, **options: Any) -> _HttpConnection:
        """What urllib connects with over TLS."""
        return self._watched(_HttpsConnection(host, **options))

    def _watched(self, connection: _HttpConnection) -> _HttpConnection:
        connection.watch = self.watch
        return connection


class _HttpConnection(http.client.HTTPConnection):
    watch: Callable[[socket.socket], None]

    def connect(self) -> None:
        super().connect()
        self.watch(self.sock)


class _HttpsConnection(http.client.HTTPSConnection, _HttpConnection):  # whose connect() calls that above, then TLS
    pass


class _HttpHandler(urllib.request.HTTPHandler):
    def __init__(self, connection: _Connection) -> None:
        super().__init__()
        self._connection = connection

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection.plain, request)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def __init__(self, connection: _Connection, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._connection, self._trust = connection, context

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection.tls, request, context=self._trust)


def _opener(url: str, name: str, connection: _Connection) -> tuple[str, urllib.request.OpenerDirector]:
    """The address without user and password, and what opens it with them."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    handlers: list[urllib.request.BaseHandler] = [_HttpHandler(connection), _HttpsHandler(connection, context)]
    parts = urlsplit(url)
    userinfo, _, place = parts.netloc.rpartition("@")
    plain = parts._replace(netloc=place, fragment="").geturl()
    try:
        _ = parts.port
    except ValueError:
        raise CameraError(f"{name} is not an address: check host and port") from None
    if userinfo:
        user, _, password = userinfo.partition(":")
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, plain, unquote(user), unquote(password))
        handlers += [urllib.request.HTTPBasicAuthHandler(passwords), urllib.request.HTTPDigestAuthHandler(passwords)]
    return plain, urllib.request.build_opener(*handlers)


def _reason(error: Exception, timeout_s: float) -> str:
    """Why a request failed, in words that hold nothing of the address."""
    if isinstance(error, urllib.error.HTTPError):
        if error.code in (401, 403):
            return f"it refuses user and password (HTTP {error.code})"
        return f"it answers with HTTP {error.code}: check the address"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {timeout_s:g} s: check the camera and the network"
    if isinstance(cause, OSError) and cause.strerror:
        return f"{cause.strerror}: check the address and the network"
    return f"it does not speak HTTP ({type(cause).__name__}): check the address"
