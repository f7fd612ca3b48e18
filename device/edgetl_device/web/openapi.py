"""The OpenAPI 3.1 document of REST: served, the source of the reference, and what the tests hold every answer to."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from .. import __version__


@cache
def document() -> dict[str, Any]:
    """The document, https://spec.openapis.org/oas/v3.1.0; nobody writes to it.

    >>> document()["openapi"]
    '3.1.0'
    """
    loaded: dict[str, Any] = json.loads((files(__package__) / "openapi.json").read_text(encoding="utf-8"))
    loaded["info"]["version"] = __version__
    return loaded
