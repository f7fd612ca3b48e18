"""What of `run`'s options is about the page: where it is served, to whom, and over what."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import note
from ..errors import InputError
from .qr_code import show_qr_code

if TYPE_CHECKING:
    from ..web.certificate import Certificate

DEFAULT_PORT = "8080"
_OWN = ("127.", "localhost", "[::1]")  # addresses that lead a phone to itself


def page_at(params: Mapping[str, Any]) -> Any:
    """What serves the page for an app; everything that can be wrong with it is found before the camera starts.

    Args:
        params: the options of ``run``, parsed.

    Raises:
        InputError: an option cannot be used, or a package is missing.
    """
    from importlib.util import find_spec

    from ..environment import WEB_MODULES

    host, port = host_and_port(params["address"])
    missing = [name for name in WEB_MODULES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"the page needs {missing[0]}: `pip install --upgrade edgetl-device` brings it, --no-web goes without"
        )
    from ..web import serve  # type: ignore[import-untyped,unused-ignore]
    from ..web.access import read_password_file  # type: ignore[import-untyped,unused-ignore]
    from ..web.guard import networks, require_password  # type: ignore[import-untyped,unused-ignore]

    file, hosts, proxies = params["password_file"], params["hosts"], params["proxies"]
    password_hash = read_password_file(file) if file is not None else None
    require_password(host, password_hash)
    networks(proxies)
    certificate = _certificate(params, host)
    return lambda app: serve(app, host, port, password_hash, hosts, proxies, certificate(app.home.folder))


def _certificate(params: Mapping[str, Any], host: str) -> Callable[[Path], Certificate | None]:
    """Device home → the page's certificate; what is wrong with files is found at once."""
    from importlib.util import find_spec

    cert, key = params["tls_cert"], params["tls_key"]
    if params["tls"] is not None and (cert is not None or key is not None):
        raise InputError("--tls self makes a certificate, --tls-cert names one: choose one of them")
    if key is not None and cert is None:
        raise InputError("--tls-key needs --tls-cert: the certificate that the key belongs to")
    if cert is None and params["tls"] is None:
        return lambda _: None
    from ..web.certificate import Certificate, OwnCertificate
    from ..web.reach import host_names

    if cert is not None:
        found = Certificate(cert, key)
        return lambda _: found
    if find_spec("cryptography") is None:
        raise InputError("--tls self needs cryptography: `pip install 'edgetl-device[sign]'`")
    return lambda folder: OwnCertificate(folder, lambda: [*host_names(host), *params["hosts"]])


def host_and_port(address: str) -> tuple[str, int]:
    """``HOST:PORT``, or ``HOST`` alone for port 8080; raises InputError for anything else."""
    from ..addresses import shown_address

    host, _, port = address.rpartition(":")
    if not address.isdecimal() and (":" not in address or address.endswith("]")):
        host, port = address, DEFAULT_PORT
    host = host.strip("[]")
    if not re.fullmatch(r"[\w.:%-]+", host) or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
        raise InputError(f"--web {shown_address(address)}: expected HOST:PORT or HOST, such as 127.0.0.1:8080")
    return host, int(port)


def tell_addresses(urls: Sequence[str], tell: Callable[[str], None]) -> None:
    """Where the page is, and a code for a phone where phones can reach it."""
    for number, url in enumerate(urls):
        tell(f"{'        ' if number else 'page    '}{url}")
    if not urls[0].partition("://")[2].startswith(_OWN) and not click.get_current_context().meta["edgetl.json"]:
        show_qr_code(urls[0], sys.stderr if tell is note else sys.stdout)


def tell_certificate(certificate: Certificate | None, tell: Callable[[str], None]) -> None:
    """How to know that a browser, which warns of a certificate that nobody else signed, sees this very one."""
    if certificate is None or not certificate.is_own:
        return
    fingerprint = certificate.fingerprint
    tell("        Browsers warn once of a certificate that a device made for itself. Go on")
    tell("        if the SHA-256 fingerprint that they show is this one:")
    tell(f"        {fingerprint[:47]}")
    tell(f"        {fingerprint[48:]}")
