"""Pictures for reports, as SVG text that takes its colours from the page."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from .axes import limits, log_ticks, text, ticks

# of the reliability plot, pixels
_SIDE, _MARGIN, _FOOT = 260, 44, 70
# of the scatter plot
WIDE, NARROW, _HEIGHT = 640, 330, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 52  # margins, pixels
_LETTER, _LINE = 7.5, 15  # rough size of a letter of the labels, pixels
_ROWS = 2 * _HEIGHT // _LINE  # that a label may be away from its point


def reliability_plot(
    counts: Sequence[int], confidence: Sequence[float], share_right: Sequence[float], width: float
) -> str:
    """How often it is right when it is so sure: one bar a bin, and below how many photos each bin holds.

    Args:
        counts: (b,) photos in each bin of equal width; empty bins are not drawn.
        confidence: (b,) mean probability of the top label there.
        share_right: (b,) share of right top labels there.
        width: of a bin, as a share of 1.
    """
    most = max(max(counts), 1)
    step = width * _SIDE
    bars = []
    for number, (count, sure, right) in enumerate(zip(counts, confidence, share_right, strict=True)):
        if not count:
            continue
        left, top = _MARGIN + number * step, _MARGIN / 2 + (1 - right) * _SIDE
        title = f"<title>{count} photos: {sure:.2f} sure, {right:.2f} right</title>"
        bars.append(
            f'<rect class="bar" x="{left + 1:.1f}" y="{top:.1f}" width="{step - 2:.1f}" '
            f'height="{right * _SIDE:.1f}">{title}</rect>'
        )
        tall = 40 * count / most
        foot = _MARGIN / 2 + _SIDE + _FOOT - 6
        bars.append(
            f'<rect class="count" x="{left + 1:.1f}" y="{foot - tall:.1f}" width="{step - 2:.1f}" '
            f'height="{max(tall, 1):.1f}">{title}</rect>'
        )
        x, y = _MARGIN + sure * _SIDE, _MARGIN / 2 + (1 - right) * _SIDE
        bars.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
    base = _MARGIN / 2 + _SIDE
    axis = "".join(
        f'<text x="{_MARGIN + at * _SIDE:.0f}" y="{base + 16:.0f}" text-anchor="middle">{at:g}</text>'
        f'<text x="{_MARGIN - 8}" y="{base - at * _SIDE + 4:.0f}" text-anchor="end">{at:g}</text>'
        for at in (0, 0.5, 1)
    )
    full = _MARGIN + _SIDE + 16
    return (
        f'<svg viewBox="0 0 {full} {base + _FOOT + 16:.0f}" width="{full}" role="img" '
        f'aria-label="reliability diagram">'
        f'<rect class="frame" x="{_MARGIN}" y="{_MARGIN / 2}" width="{_SIDE}" height="{_SIDE}"/>{"".join(bars)}'
        f'<line class="ideal" x1="{_MARGIN}" y1="{base}" x2="{_MARGIN + _SIDE}" y2="{_MARGIN / 2}"/>{axis}'
        f'<text x="{_MARGIN}" y="{base + _FOOT + 10:.0f}">how sure it was; below: how many photos</text>'
        f'<text x="12" y="{base}" transform="rotate(-90 12 {base})">share right</text></svg>'
    )


def roc_plot(curve: Sequence[tuple[float, float]], chosen: tuple[float, float]) -> str:
    """False alarms against defects found, a line through all thresholds, and a dot at the one in use.

    Args:
        curve: (false alarms, found), shares, from none to all.
        chosen: those of the threshold in use.
    """
    base, full = _MARGIN / 2 + _SIDE, _MARGIN + _SIDE + 16

    def at(point: tuple[float, float]) -> str:
        return f"{_MARGIN + point[0] * _SIDE:.1f},{base - point[1] * _SIDE:.1f}"

    x, y = at(chosen).split(",")
    axis = "".join(
        f'<text x="{_MARGIN + share * _SIDE:.0f}" y="{base + 16:.0f}" text-anchor="middle">{share:g}</text>'
        f'<text x="{_MARGIN - 8}" y="{base - share * _SIDE + 4:.0f}" text-anchor="end">{share:g}</text>'
        for share in (0, 0.5, 1)
    )
    return (
        f'<svg viewBox="0 0 {full} {base + 44:.0f}" width="{full}" role="img" aria-label="ROC curve">'
        f'<rect class="frame" x="{_MARGIN}" y="{_MARGIN / 2}" width="{_SIDE}" height="{_SIDE}"/>'
        f'<line class="ideal" x1="{_MARGIN}" y1="{base}" x2="{_MARGIN + _SIDE}" y2="{_MARGIN / 2}"/>'
        f'<polyline class="roc" points="{" ".join(at(point) for point in curve)}"/>'
        f'<circle class="strong" cx="{x}" cy="{y}" r="6"/>{axis}'
        f'<text x="{_MARGIN}" y="{base + 36:.0f}">good ones flagged</text>'
        f'<text x="12" y="{base}" transform="rotate(-90 12 {base})">defects found</text></svg>'
    )


@dataclass(frozen=True)
class Point:
    """A labelled point; ``strong`` for the one to take away."""

    x: float
    y: float
    label: str
    strong: bool = False


def scatter(points: Sequence[Point], x_label: str, y_label: str, floor: float | None = None, width: int = WIDE) -> str:
    """Points → an SVG element.

    Args:
        points: at least one, with positive x, which is drawn on a logarithmic axis.
        floor: a y worth a dashed line, such as the least that is good enough.
        width: of the picture, pixels: ``WIDE``, or ``NARROW`` for a phone.
    """
    low, high = limits([point.y for point in points] + ([] if floor is None else [floor]), 0.02, 1.004)
    left, right = min(p.x for p in points) / 1.6, max(p.x for p in points) * 2.2  # room for labels on the right

    def across(x: float) -> float:
        return _LEFT + (math.log(x / left) / math.log(right / left)) * (width - _LEFT - _RIGHT)

    def down(y: float) -> float:
        return _HEIGHT - _BOTTOM - (y - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    bottom, end = _HEIGHT - _BOTTOM, width - _RIGHT
    parts = []
    for x in log_ticks(left, right):
        parts.append(f'<path class="grid" d="M{across(x):.1f} {_TOP}V{bottom}"/>')
        parts.append(text(across(x), bottom + 18, f"{x:g}", "middle"))
    for y in ticks(low, high):
        parts.append(f'<path class="grid" d="M{_LEFT} {down(y):.1f}H{end}"/>')
        parts.append(text(_LEFT - 8, down(y) + 4, f"{y:.2f}", "end"))
    if floor is not None:
        parts.append(f'<path class="floor" d="M{_LEFT} {down(floor):.1f}H{end}"/>')
    parts.append(text((_LEFT + end) / 2, _HEIGHT - 10, x_label, "middle"))
    parts.append(
        f'<g transform="rotate(-90 14 {_HEIGHT / 2 - 20})">{text(14, _HEIGHT / 2 - 20, y_label, "middle")}</g>'
    )
    places = _Places([(across(point.x), down(point.y)) for point in points], width)
    for point in sorted(points, key=lambda p: (not p.strong, p.x)):
        x, y = across(point.x), down(point.y)
        kind = "strong" if point.strong else "point"
        start, baseline = places.find(x, y, point.label)
        if abs(baseline - y - 4) >= _LINE:  # far from its point: a line leads to it
            near = start - 2 if start > x else start + len(point.label) * _LETTER + 2
            parts.append(f'<path class="leader" d="M{x:.1f} {y:.1f}L{near:.1f} {baseline - 4:.1f}"/>')
        parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{7 if point.strong else 5}"/>')
        parts.append(text(start, baseline, point.label, "start", "bold" if point.strong else ""))
    name = html.escape(f"{y_label} against {x_label}")
    return (
        f'<svg viewBox="0 0 {width} {_HEIGHT}" width="{width}" role="img" aria-label="{name}" '
        f'xmlns="http://www.w3.org/2000/svg">' + "".join(parts) + "</svg>"
    )


class _Places:
    """Where labels go: beside their points, and else as near as they cover neither a point nor another label.

    Args:
        points: centres of all points, pixels.
        width: of the picture.
    """

    def __init__(self, points: Sequence[tuple[float, float]], width: int) -> None:
        self._points, self._width = points, width
        self._taken: list[tuple[float, float, float]] = []

    def find(self, x: float, y: float, label: str) -> tuple[float, float]:
        """Left end and baseline of the label of a point at (x, y)."""
        length = len(label) * _LETTER
        least, most = _LEFT + 3.0, self._width - _RIGHT - length
        inside = [at for at in (x + 11, x - 11 - length) if least <= at <= most]
        starts = inside or [min(max(x + 11, least), most)]
        rows = sorted(range(-_ROWS, _ROWS + 1), key=lambda row: (abs(row), row < 0))
        spots = [
            (start, y + 4 + row * _LINE) for start in starts for row in rows
        ]  # all on one side, while there is room
        fitting = [spot for spot in spots if _TOP + 8 < spot[1] < _HEIGHT - _BOTTOM - 3]
        apart = [spot for spot in fitting if not self._covers_label(*spot, length)]
        found = next((spot for spot in apart if not self._covers_point(*spot, length)), (apart or fitting)[0])
        self._taken.append((found[0], found[0] + length, found[1]))
        return found

    def _covers_label(self, start: float, baseline: float, length: float) -> bool:
        return any(
            abs(baseline - other) < _LINE and start < stop and begin < start + length
            for begin, stop, other in self._taken
        )

    def _covers_point(self, start: float, baseline: float, length: float) -> bool:
        middle = baseline - 4
        return any(start - 7 < x < start + length + 7 and abs(middle - y) < 12 for x, y in self._points)
