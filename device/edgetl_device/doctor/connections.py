"""Brokers and web servers that the service sends to."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from ..addresses import openable
from .check import Check, System

_PORTS = {"mqtt": 1883, "mqtts": 8883, "http": 80, "https": 443}
_PATIENCE_S = 3.0


def sinks(_system: System, home: Path) -> Check:
    """Can what the service's sinks send to be reached? Of the addresses, only host and port are shown."""
    receivers = [url for path in sorted(home.glob("sink-*.argument")) if (url := _receiver(path)) is not None]
    if not receivers:
        return Check("", True, "the service sends to no broker and no webhook")
    if any(url.scheme.startswith("mqtt") for url in receivers) and importlib.util.find_spec("paho") is None:
        return Check("", False, "a sink mqtt without its package", "pip install 'edgetl-device[mqtt]'")
    places = [(url.scheme, url.hostname or "", url.port or _PORTS[url.scheme]) for url in receivers]
    away = [f"{scheme}://{host}:{port}" for scheme, host, port in places if not _reached(host, port)]
    if away:
        fix = "is it switched on, and is the address right? The service goes on trying"
        return Check("", False, f"cannot reach {', '.join(away)}", fix, needed=False)
    return Check("", True, ", ".join(f"{scheme}://{host}:{port}" for scheme, host, port in places))


def _receiver(path: Path) -> SplitResult | None:
    """The address in a sink's file; None where it is of another kind, or not readable for this user."""
    try:
        name, _, argument = path.read_text(encoding="utf-8").strip().partition(":")
        url = urlsplit(openable(argument))
        known = name in ("mqtt", "webhook") and url.scheme in _PORTS and bool(url.hostname) and (url.port or 1) > 0
    except (OSError, ValueError):
        return None
    return url if known else None


def _reached(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), _PATIENCE_S):
            return True
    except (OSError, UnicodeError):
        return False


CHECKS = (("sinks", sinks),)
