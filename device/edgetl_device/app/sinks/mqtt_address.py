"""``mqtts://USER@HOST:PORT/PREFIX?NAME=VALUE&…``: which broker, and what it is told."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from ...addresses import openable, shown_address
from ...errors import InputError
from ...printable import printable
from ...secret_file import read_secret
from .sink_options import sink_options

PORTS = {"mqtt": 1883, "mqtts": 8883}
OPTIONS = ("ca", "cert", "discovery", "key", "name", "parts", "password-file", "snapshot", "teach", "version")
MAX_TOPIC = 200  # bytes of a prefix; MQTT itself would take 65535

_SLUG = 40  # characters of a name that stay readable in an identifier


@dataclass(frozen=True)
class MqttAddress:
    """A broker, and what it is told.

    Args:
        host, port: of the broker.
        user, password: None where it asks for none.
        tls: how the connection is encrypted; None for plain text.
        prefix: of all topics but those of discovery.
        version: 4 for MQTT 3.1.1, 5 for MQTT 5, as the protocol counts.
        name: of this camera, for people.
        discovery: prefix of Home Assistant's discovery topics; None where there is no Home Assistant.
        snapshot: whether a picture is sent at each change of label.
        teach: whether who can publish on the broker may teach this device.
        parts: whether they may ask for the part before the camera to be inspected.
    """

    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    tls: ssl.SSLContext | None
    prefix: str
    version: int
    name: str
    discovery: str | None
    snapshot: bool
    teach: bool
    parts: bool = False

    @property
    def shown(self) -> str:
        """For messages: no user, no password."""
        return f"{'mqtt' if self.tls is None else 'mqtts'}://{self.host}:{self.port}"

    @property
    def device_id(self) -> str:
        """Names this camera among all in Home Assistant: the prefix decides."""
        return f"edgetl_{identifier(self.prefix)}"


def identifier(name: str) -> str:
    """A name of any characters → one for topics and identifiers, another for each other name.

    >>> identifier("Käfer #1/a+b"), identifier("螺母")
    ('kafer_1_a_b_f1bb0d90', '57c6a1d3')
    """
    import unicodedata

    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", plain)[:_SLUG].strip("_")
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{slug}_{digest}" if slug else digest


def parsed_address(text: str) -> MqttAddress:
    """What ``--sink mqtt:`` is followed by.

    Raises:
        InputError: it is no such address; the message holds no password.
    """
    shown = f"--sink mqtt:{printable(shown_address(text), 200)}"
    try:
        url = urlsplit(openable(text))
        port = url.port or PORTS.get(url.scheme, 0)
        (url.hostname or "").encode("idna")  # as who connects does: it may be no name at all
    except ValueError as error:
        raise InputError(
            f"{shown}: {'the port must be a number up to 65535' if 'ort' in str(error) else 'no address'}"
        ) from None
    if url.scheme not in PORTS or not url.hostname:
        raise InputError(f"{shown}: expected mqtt://HOST or mqtts://USER@HOST:PORT/PREFIX")
    options = _options(url, shown)
    tls = _tls(options, shown) if url.scheme == "mqtts" else None
    if tls is None and set(options) & {"ca", "cert", "key"}:
        raise InputError(f"{shown}: ca, cert and key are for mqtts://, which encrypts")
    password = unquote(url.password) if url.password is not None else None
    if "password-file" in options:
        if password is not None:
            raise InputError(f"{shown}: the address and password-file both hold a password: choose one of them")
        password = read_secret(Path(options["password-file"]), "password file")
    if password is not None and not url.username:
        raise InputError(f"{shown}: a password needs a user, as in mqtts://USER@HOST")
    host_name = socket.gethostname().split(".")[0] or "camera"
    prefix = _topic(unquote(url.path).strip("/") or f"edgetl/{host_name}", shown, "the prefix")
    return MqttAddress(
        host=url.hostname,
        port=port,
        user=unquote(url.username) if url.username else None,
        password=password,
        tls=tls,
        prefix=prefix,
        version=_version(options.get("version", "3.1.1"), shown),
        name=printable(options.get("name") or f"edgetl {prefix.rpartition('/')[2]}", 64),
        discovery=_discovery(options.get("discovery", "homeassistant"), shown),
        snapshot=_switch(options, "snapshot", shown, default=True),
        teach=_switch(options, "teach", shown, default=False),
        parts=_switch(options, "parts", shown, default=False),
    )


def _options(url: SplitResult, shown: str) -> dict[str, str]:
    if url.fragment:
        raise InputError(f"{shown}: # cannot be part of a prefix")
    return sink_options(url.query, OPTIONS, shown)


def _tls(options: Mapping[str, str], shown: str) -> ssl.SSLContext:
    """Verifies the broker, by the system's authorities or those in a file; may show a certificate of its own."""
    if ("cert" in options) != ("key" in options):
        raise InputError(f"{shown}: cert and key belong together: the client's certificate and its private key")
    try:
        context = ssl.create_default_context(cafile=options.get("ca"))
    except OSError as error:
        raise InputError(f"{shown}: ca={options['ca']}: {_reason(error, 'no certificates in PEM')}") from None
    if "cert" in options:
        try:
            context.load_cert_chain(options["cert"], options["key"], password="")
        except (OSError, ValueError) as error:
            what = "no certificate and the private key of it, unencrypted, in PEM"
            raise InputError(f"{shown}: cert={options['cert']}: {_reason(error, what)}") from None
    return context


def _reason(error: Exception, otherwise: str) -> str:
    """Of a file that cannot be used: what the system says, but not what OpenSSL says."""
    return otherwise if isinstance(error, ssl.SSLError | ValueError) else getattr(error, "strerror", "") or otherwise


def _topic(topic: str, shown: str, what: str) -> str:
    """A topic that can be published to (MQTT 5, section 4.7)."""
    if any(c in "+#" or not c.isprintable() for c in topic) or topic.startswith("$"):
        raise InputError(f"{shown}: {what} may not begin with $ or hold +, # or control characters")
    if len(topic.encode("utf-8", "replace")) > MAX_TOPIC:
        raise InputError(f"{shown}: {what} may have {MAX_TOPIC} bytes at most")
    return topic


def _version(text: str, shown: str) -> int:
    versions = {"3.1.1": 4, "5": 5}
    if text not in versions:
        raise InputError(f"{shown}: version={printable(text, 20)}: expected 3.1.1 or 5")
    return versions[text]


def _discovery(text: str, shown: str) -> str | None:
    return None if text == "no" else _topic(text.strip("/"), shown, "discovery")


def _switch(options: Mapping[str, str], name: str, shown: str, *, default: bool) -> bool:
    value = options.get(name, "yes" if default else "no")
    if value not in ("yes", "no"):
        raise InputError(f"{shown}: {name}={printable(value, 20)}: expected yes or no")
    return value == "yes"
