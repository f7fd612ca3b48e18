"""An export → a receiver (``edgetl collect``), over HTTPS or the user's own ssh; what it answers, or why it did not.

HTTP and TLS are Python's own (``urllib``, ``ssl``). Nothing here decides what is sent; whatever fails, the same can be
sent again.
"""

from __future__ import annotations

import http.client
import os
import shlex
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..addresses import without_secrets
from ..errors import InputError
from ..printable import printable
from ..strict_json import parsed

PATH = "/v1/exports"
_MAX_ANSWER = 64 << 10
_EXPIRED, _NOT_YET = 10, 9  # of X509_V_ERR
_UNREACHABLE = 255  # OpenSSH's own failures
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Credentials:
    """How a device shows who it is, and whom it trusts.

    Args:
        token: shared with the receiver; "" for none.
        authority: file with certificates to trust in place of the system's.
        certificate, private_key: files of the device's own certificate, for receivers that ask for one.
    """

    token: str = ""
    authority: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None


@dataclass(frozen=True)
class Answer:
    """What a receiver said of an export.

    Args:
        stored: it is stored durably, now or since an earlier delivery.
        new: it was not there before.
        send: ``all``, where a change came and what it changes is not there; else "".
        error: why it was refused, for a person; "" where it is stored.
        again: whether it may work later.
    """

    stored: bool
    new: bool = False
    send: str = ""
    error: str = ""
    again: bool = False


class UnreachableError(InputError):
    """The receiver could not be reached, or broke off: it may be tried again."""


Deliver = Callable[[bytes], Answer]


def receiver(address: str, credentials: Credentials, timeout_s: float = 60.0) -> Deliver:
    """``https://HOST[:PORT]`` or ``ssh://[USER@]HOST[:PORT]/FOLDER`` → a function that delivers one export.

    That raises UnreachableError where the receiver cannot be reached, and InputError where it is not to be trusted or
    is none.

    Raises:
        InputError: no such address.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")  # as who connects does: it may be no name at all
    except ValueError as error:
        raise InputError(f"{without_secrets(address)} is no address: {error}") from None
    if not host or parts.query or parts.fragment or parts.password is not None or parts.scheme not in _SCHEMES:
        raise InputError(f"{without_secrets(address)}: expected https://HOST[:PORT] or ssh://[USER@]HOST[:PORT]/FOLDER")
    if parts.scheme == "ssh":
        return _by_ssh(parts.username, host, port, parts.path, timeout_s)
    if parts.username is not None:
        raise InputError("an address must not hold a user name: `--token-file FILE` says who this device is")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise InputError(f"{address} is not encrypted, and others could read the token and the export: use https://")
    return _by_http(address.rstrip("/") + PATH, host, credentials, timeout_s)


_SCHEMES = ("https", "http", "ssh")


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is sent, its signature and its password are for the address that was given and no other."""

    def http_error_302(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any) -> None:
        """Nowhere, and before it reads where to: that may be no address at all."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _by_http(url: str, host: str, credentials: Credentials, timeout_s: float) -> Deliver:
    if not credentials.token.isprintable() or any(character > "\xff" for character in credentials.token):
        raise InputError("the token holds characters that cannot be sent: take it from `openssl rand -hex 16`")
    handlers: list[urllib.request.BaseHandler] = [NoRedirect()]
    if url.startswith("https:"):
        handlers.append(urllib.request.HTTPSHandler(context=_context(credentials)))
    opener = urllib.request.build_opener(*handlers)
    headers = {"Content-Type": "application/octet-stream", "User-Agent": "edgetl-device"}
    if credentials.token:
        headers["Authorization"] = f"Bearer {credentials.token}"

    def deliver(data: bytes) -> Answer:
        request = urllib.request.Request(url, data, headers, method="POST")
        try:
            with _response(opener, request, timeout_s) as response:
                status, body = response.status, response.read(_MAX_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise _reason(host, error) from None
        return _answer(host, status, body)

    return deliver


def _response(opener: urllib.request.OpenerDirector, request: urllib.request.Request, timeout_s: float) -> Any:
    """What is answered, a refusal too: its body may break off as any other."""
    try:
        return opener.open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        return error


def _context(credentials: Credentials) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=credentials.authority)
        if credentials.certificate is not None:
            context.load_cert_chain(credentials.certificate, credentials.private_key, password=lambda: "")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        files = [credentials.authority, credentials.certificate, credentials.private_key]
        names = ", ".join(str(path) for path in files if path is not None)
        why = error.strerror or error.args[0] if isinstance(error, OSError) and error.args else error
        raise InputError(f"cannot use the certificates in {names}: {printable(why)}") from None
    return context


def _reason(host: str, error: Exception) -> InputError:
    """What kept a request from being answered, in one line."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return InputError(f"{certificate_problem(host, cause)}; nothing was sent")
    if isinstance(cause, ssl.SSLError):
        why = cause.reason or str(cause)
        return UnreachableError(f"{host} refused the connection or does not speak TLS ({printable(why)}): push again")
    why = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause) or type(cause).__name__
    return UnreachableError(f"cannot reach {host} ({printable(why)}): nothing is lost, push again when it can be")


def certificate_problem(host: str, error: ssl.SSLCertVerificationError) -> str:
    """Why a server's certificate is not to be trusted, for a person."""
    here = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    if error.verify_code in (_EXPIRED, _NOT_YET):
        when = "has expired" if error.verify_code == _EXPIRED else "is not valid yet"
        return f"the certificate of {host} {when} by this device's clock ({here}): renew it, or set the clock"
    return (
        f"the certificate of {host} is not to be trusted ({printable(error.verify_message)}): is it the right server? "
        "`--ca FILE` trusts its authority"
    )


def _answer(host: str, status: int, body: bytes) -> Answer:
    try:
        said = parsed(body)
        mine = isinstance(said, dict) and said.get("receiver") == "edgetl"
    except (ValueError, RecursionError):
        said, mine = {}, False
    if not mine:
        raise InputError(f"{host} answers ({status}), but is no `edgetl collect`: check the address")
    return answer_of(said, status >= 500 or status in (408, 429))


def answer_of(said: Mapping[str, Any], again: bool = False) -> Answer:
    """A receiver's JSON → Answer."""
    error = printable(str(said.get("error") or ""))[:500]
    return Answer(said.get("stored") is True, said.get("new") is True, str(said.get("send") or ""), error, again)


def _by_ssh(user: str | None, host: str, port: int | None, path: str, timeout_s: float) -> Deliver:
    folder = unquote(path).removeprefix("/~/")
    target = f"{unquote(user)}@{host}" if user else host
    if not folder.strip("/") or target.startswith("-") or any(character.isspace() for character in target):
        raise InputError("expected ssh://[USER@]HOST[:PORT]/FOLDER, with the folder of `edgetl collect` there")
    command = [*shlex.split(os.environ.get("EDGETL_SSH") or "ssh"), "-o", "BatchMode=yes", "-o", "ConnectTimeout=15"]
    command += ["-p", str(port)] if port else []
    command += ["--", target, f"edgetl collect {shlex.quote(folder)} --once --json"]

    def deliver(data: bytes) -> Answer:
        try:
            done = subprocess.run(command, input=data, capture_output=True, timeout=timeout_s * 5, check=False)
        except OSError as error:
            raise InputError(f"cannot run ssh ({error.strerror or error}): install openssh-client") from None
        except subprocess.TimeoutExpired:
            raise UnreachableError(f"{host} did not answer in time: push again") from None
        last = printable((done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1])
        if done.returncode == _UNREACHABLE:
            raise UnreachableError(f"cannot reach {host} ({last}): nothing is lost, push again when it can be")
        try:
            said = parsed(done.stdout)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict) or said.get("receiver") != "edgetl":
            raise InputError(f"{host} answers, but not as `edgetl collect` ({last}): is edgetl installed there?")
        return answer_of(said)

    return deliver
