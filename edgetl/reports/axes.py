"""Axes of drawings: limits, ticks and the text beside them."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_MOST_TICKS = 8


def text(x: float, y: float, words: str, anchor: str, style: str = "") -> str:
    """An SVG text element; ``anchor`` is start, middle or end."""
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{html.escape(words)}</text>'


def limits(values: Sequence[float], least: float, most: float = math.inf) -> tuple[float, float]:
    """The values' range and some room around it, at least ``least`` wide; no room above ``most``, if they reach it."""
    low, high = min(values), max(values)
    room = max((high - low) * 0.15, least / 2)
    return low - room, max(high, min(high + room, most))


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two positive numbers."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [tick for power in powers for tick in (10.0**power, 2 * 10.0**power, 5 * 10.0**power) if low <= tick <= high]


def ticks(low: float, high: float) -> list[float]:
    """At most eight round numbers, or nine, between two.

    >>> [round(tick, 2) for tick in ticks(0.93, 1.0)]
    [0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0]
    """
    factor = 1.0
    while (high - low) / (_STEPS[-1] * factor) > _MOST_TICKS:
        factor *= 10
    step = next(size * factor for size in _STEPS if (high - low) / (size * factor) <= _MOST_TICKS)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]
