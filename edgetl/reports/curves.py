"""Curves over epochs, as SVG text that takes its colours from the page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from .axes import limits, text, ticks

_WIDTH, _HEIGHT = 340, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 34, 44  # margins, pixels
_LETTER = 7.0  # rough width of one, pixels
_MOST_LABELS = 6


@dataclass(frozen=True)
class Line:
    """A named curve, one value an epoch from the first on; ``strong`` has the page's accent."""

    name: str
    values: Sequence[float]
    strong: bool = False


def curves(lines: Sequence[Line], y_label: str, best: int | None = None, most: float = float("inf")) -> str:
    """Lines over epochs → an SVG element with its legend.

    Args:
        lines: at least one, of at least one value each.
        best: number of the epoch to mark, from 1.
        most: no value can be larger, such as 1 for shares.
    """
    low, high = limits([value for line in lines for value in line.values], 0.02, most)
    last = max(len(line.values) for line in lines)

    def across(epoch: float) -> float:
        return _LEFT + (epoch - 1) / max(last - 1, 1) * (_WIDTH - _LEFT - _RIGHT)

    def down(y: float) -> float:
        return _HEIGHT - _BOTTOM - (y - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    bottom = _HEIGHT - _BOTTOM
    parts = [f'<rect class="frame" x="{_LEFT}" y="{_TOP}" width="{_WIDTH - _LEFT - _RIGHT}" height="{bottom - _TOP}"/>']
    for y in ticks(low, high):
        parts.append(f'<path class="grid" d="M{_LEFT} {down(y):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(text(_LEFT - 6, down(y) + 4, f"{y:.2f}", "end"))
    every = -(-last // _MOST_LABELS)
    parts += [text(across(epoch), bottom + 17, str(epoch), "middle") for epoch in range(1, last + 1, every)]
    parts.append(text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, "epoch", "middle"))
    if best is not None:
        parts.append(f'<path class="ideal" d="M{across(best):.1f} {_TOP}V{bottom}"><title>kept: {best}</title></path>')
    legend = float(_LEFT)
    for line in lines:
        kind = "line strong" if line.strong else "line"
        places = [(across(number), down(value)) for number, value in enumerate(line.values, 1)]
        parts.append(f'<polyline class="{kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>')
        dot = "strong" if line.strong else "dot"
        parts += [f'<circle class="{dot}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in places]
        parts.append(f'<path class="{kind}" d="M{legend:.0f} 14h18"/>')
        parts.append(text(legend + 23, 18, line.name, "start"))
        legend += 40 + _LETTER * len(line.name)
    name = html.escape(f"{y_label} over epochs")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" aria-label="{name}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
