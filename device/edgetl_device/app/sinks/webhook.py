"""``webhook``: a JSON message to a web server at each change of label, signed, and repeated until it arrives.

Headers and signature are those of Standard Webhooks (https://www.standardwebhooks.com), for which many languages have
libraries: ``webhook-id`` stays the same when a message is repeated, ``webhook-timestamp`` is the moment of the
attempt, and ``webhook-signature`` is an HMAC-SHA256 (RFC 2104) over both and the body.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import http.client
import json
import secrets
import ssl
import threading
import time
import urllib.request
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit

from ... import __version__
from ...addresses import openable, shown_address
from ...errors import InputError
from ...printable import printable
from ...secret_file import read_secret
from ...sending.delivery import NoRedirect
from ...view_names import ViewName
from ..subscription import Recognition
from .delivery import Delivery, Trouble
from .sink import HOLD_S, Changes, GroupChanges, change
from .sink_options import sink_options

if TYPE_CHECKING:
    from ..app import App
    from ..inspecting import PartVerdict

OPTIONS = ("ca", "secret", "secret-file")
TIMEOUT_S = 10.0  # for each step of a request
MAX_WAIT_S = 300.0  # that a receiver may ask for
_AGAIN = frozenset({408, 425, 429})  # besides 5xx: what may be different the next time
_PREFIX = "whsec_"  # of a secret that is base64, as Standard Webhooks writes them


@dataclass(frozen=True)
class WebhookAddress:
    """A receiver.

    Args:
        url: with everything that belongs to it.
        shown: of the URL, what may be shown.
        authorization: a header with user and password, or None.
        secret: what messages are signed with; None leaves the signature out.
        tls: how its certificate is verified.
    """

    url: str = field(repr=False)
    shown: str
    authorization: str | None = field(repr=False)
    secret: bytes | None = field(repr=False)
    tls: ssl.SSLContext = field(repr=False)


def parsed_webhook(text: str) -> WebhookAddress:
    """``https://HOST/PATH?QUERY#OPTION=VALUE&…``: what is behind the ``#`` is for this sink, and never sent.

    Raises:
        InputError: it is no such address; the message holds no secret.
    """
    shown = f"--sink webhook:{_place(text)}"
    try:
        url = urlsplit(openable(text))
        host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
        (url.hostname or "").encode("idna")  # as who connects does: it may be no name at all
        place = host if url.port is None else f"{host}:{url.port}"
    except ValueError:
        raise InputError(f"{shown}: no address: expected https://HOST/PATH") from None
    if url.scheme not in ("http", "https") or not host or not url.geturl().isascii() or " " in url.geturl():
        raise InputError(f"{shown}: expected https://HOST/PATH, with characters beyond ASCII as %XX")
    options = sink_options(url.fragment, OPTIONS, shown)
    authorization = None
    if url.username is not None:
        user = f"{unquote(url.username)}:{unquote(url.password or '')}"
        authorization = f"Basic {base64.b64encode(user.encode()).decode()}"
    try:
        tls = ssl.create_default_context(cafile=options.get("ca"))
    except OSError as error:
        reason = "no certificates in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise InputError(f"{shown}: ca={options['ca']}: {reason}") from None
    cleaned = urlunsplit((url.scheme, place, url.path or "/", url.query, ""))
    return WebhookAddress(cleaned, _place(cleaned), authorization, _secret(options, shown), tls)


def _place(address: str) -> str:
    """Scheme and host: the path of a webhook is often its only secret."""
    scheme, separator, rest = shown_address(address).partition("://")
    return printable(f"{scheme}{separator}{rest.partition('/')[0]}", 200)


def _secret(options: dict[str, str], shown: str) -> bytes | None:
    if "secret" in options and "secret-file" in options:
        raise InputError(f"{shown}: secret and secret-file both hold a secret: choose one of them")
    text = options.get("secret")
    if "secret-file" in options:
        text = read_secret(Path(options["secret-file"]), "secret file")
    if text is None:
        return None
    key = text.encode()
    if text.startswith(_PREFIX):
        try:
            key = base64.b64decode(text[len(_PREFIX) :], validate=True)
        except binascii.Error:
            raise InputError(f"{shown}: a secret that begins with {_PREFIX} must go on in base64") from None
    if len(key) < 16:
        raise InputError(f"{shown}: the secret must have 16 bytes or more; `openssl rand -hex 24` makes one")
    return key


def signature(secret: bytes, identifier: str, timestamp: int, body: bytes) -> str:
    """``v1,`` and the HMAC-SHA256 of identifier, moment (seconds since 1970) and body, in base64."""
    signed = f"{identifier}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(secret, signed, 'sha256')).decode()}"


class WebhookSink:
    """Posts each change of label and each inspected part; that the receiver is away costs recognition nothing.

    Args:
        argument: the receiver's address, as :func:`parsed_webhook` reads it.
        hold_s: how long a label must last before it counts, seconds.

    Raises:
        InputError: it is no such address, or a file that it names cannot be used.
    """

    def __init__(self, argument: str, *, hold_s: float = HOLD_S) -> None:
        self.address = parsed_webhook(argument)
        self.delivery: Delivery[dict[str, Any]] = Delivery(f"the webhook {self.address.shown}", self._post)
        self._opener = urllib.request.build_opener(NoRedirect, urllib.request.HTTPSHandler(context=self.address.tls))
        self._changes = Changes(hold_s, None)
        self._group_changes = GroupChanges(hold_s)
        self._app: App | None = None
        self._started = False
        self._starting = threading.Lock()  # labels and parts come in two threads

    def attach(self, app: App) -> None:
        """Whose camera it is."""
        self._app = app

    def __call__(self, recognition: Recognition) -> None:
        """Leave a message if the label changed."""
        self._start()
        changed = self._changes.with_before(recognition)
        if changed is not None:
            self._leave("label.changed", change(*changed, recognition))
        for group, label, before in self._group_changes(recognition):
            self._leave("label.changed", change(label, before, recognition, group))

    def keep_only(self, names: Collection[ViewName]) -> None:
        """Forget views that there are no more."""
        self._changes.keep_only(names)
        self._group_changes.keep_only(names)

    def part(self, verdict: PartVerdict) -> None:
        """Leave a message with an inspected part."""
        self._start()
        self._leave("part.inspected", verdict.to_json())

    def close(self) -> None:
        """End; a message on its way may still arrive."""
        self.delivery.close()

    def _start(self) -> None:
        with self._starting:
            if not self._started:
                self._started = True
                self.delivery.start()

    def _leave(self, kind: str, data: dict[str, Any]) -> None:
        if self._app is not None and "camera" not in data:
            data = data | {"camera": printable(self._app.pipeline.health().camera)}
        self.delivery.put(
            {
                "id": f"msg_{secrets.token_hex(12)}",
                "type": kind,
                "timestamp": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
                "data": data,
            }
        )

    def _post(self, message: dict[str, Any], dropped: int) -> None:
        body = json.dumps(message | {"dropped": dropped}).encode()
        moment = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"edgetl/{__version__}",
            "webhook-id": message["id"],
            "webhook-timestamp": str(moment),
        }
        if self.address.secret is not None:
            headers["webhook-signature"] = signature(self.address.secret, message["id"], moment, body)
        if self.address.authorization is not None:
            headers["Authorization"] = self.address.authorization
        request = urllib.request.Request(self.address.url, body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=TIMEOUT_S):
                pass
        except HTTPError as error:
            with error:
                raise _refused(error) from None
        except URLError as error:
            raise Trouble(f"cannot be reached ({_reason(error.reason)})") from None
        except (OSError, http.client.HTTPException) as error:
            raise Trouble(f"does not answer as a web server ({_reason(error)})") from None


def _refused(error: HTTPError) -> Trouble:
    """What a receiver means by its status."""
    if 300 <= error.code < 400:
        return Trouble(f"answers {error.code} and sends elsewhere: give the address that it means", lasting=True)
    if error.code not in _AGAIN and error.code < 500:
        return Trouble(f"answers {error.code}", lasting=True)
    after = error.headers.get("Retry-After", "")
    wait_s = min(float(after), MAX_WAIT_S) if after.isascii() and after.isdigit() and len(after) < 9 else 0.0
    return Trouble(f"answers {error.code}", wait_s=wait_s)


def _reason(error: object) -> str:
    """Of something that went wrong underneath: what OpenSSL or the system says of it."""
    text = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or type(error).__name__
    return printable(text, 200)
