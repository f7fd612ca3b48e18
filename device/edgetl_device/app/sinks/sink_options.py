"""``NAME=VALUE&NAME=VALUE`` behind a sink's address."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from ...errors import InputError
from ...printable import printable


def sink_options(text: str, known: Iterable[str], shown: str) -> dict[str, str]:
    """Name → value. ``%XX`` stands for a character; ``+`` is a plus, as it is in base64.

    Args:
        known: the names that there are.
        shown: begins the message.

    Raises:
        InputError: a name is unknown or given twice.
    """
    options: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, _, value = (unquote(piece) for piece in part.partition("="))
        if name in options or name not in known:
            problem = "is given twice" if name in options else f"is none of {', '.join(known)}"
            raise InputError(f"{shown}: the option {printable(name, 40)!r} {problem}")
        options[name] = value
    return options
