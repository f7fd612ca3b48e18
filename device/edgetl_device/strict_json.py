"""JSON of strangers: only numbers that can be computed with, and written again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

_MOST_DIGITS = 19  # of an integer of 64 bits
Pairs = Callable[[list[tuple[str, Any]]], Any]


def parsed(text: str | bytes, pairs: Pairs | None = None, *, long_integers: bool = False) -> Any:
    """JSON → its value, without NaN and infinities, also as ``1e999``, and without integers beyond 64 bits.

        >>> parsed('{"a": [1, 2.5]}')
        {'a': [1, 2.5]}

    Args:
        pairs: makes objects, as ``object_pairs_hook`` of :func:`json.loads`.
        long_integers: read integers beyond 64 bits too: identifiers of other programs may be some.

    Raises:
        ValueError: it is no such JSON.
        RecursionError: it is nested too deeply.
    """
    whole = int if long_integers else _whole
    return json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=whole, object_pairs_hook=pairs)


def _refuse(constant: str) -> None:
    """Python reads NaN and infinities, which JSON does not have and nobody could write again."""
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large a number")
    return value


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > _MOST_DIGITS:
        raise ValueError(f"{text[:20]}… is too large a number")
    return int(text)
