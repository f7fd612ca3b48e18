"""Pictures for reports, as SVG text that takes its colours from the page."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

# of the reliability plot, pixels
_SIDE, _MARGIN, _FOOT = 260, 44, 70
# of the scatter plot
_WIDTH, _HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 52  # margins, pixels
_LETTER, _LINE = 7.5, 15  # rough size of a letter of the labels, pixels


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


def scatter(points: Sequence[Point], x_label: str, y_label: str, floor: float | None = None) -> str:
    """Points → an SVG element.

    Args:
        points: at least one, with positive x, which is drawn on a logarithmic axis.
        floor: a y worth a dashed line, such as the least that is good enough.
    """
    low, high = _spread([point.y for point in points] + ([] if floor is None else [floor]), 0.02)
    left, right = min(p.x for p in points) / 1.6, max(p.x for p in points) * 2.2  # room for labels on the right

    def across(x: float) -> float:
        return _LEFT + (math.log(x / left) / math.log(right / left)) * (_WIDTH - _LEFT - _RIGHT)

    def down(y: float) -> float:
        return _HEIGHT - _BOTTOM - (y - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    bottom, end = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for x in _log_ticks(left, right):
        parts.append(f'<path class="grid" d="M{across(x):.1f} {_TOP}V{bottom}"/>')
        parts.append(_text(across(x), bottom + 18, f"{x:g}", "middle"))
    for y in _ticks(low, high):
        parts.append(f'<path class="grid" d="M{_LEFT} {down(y):.1f}H{end}"/>')
        parts.append(_text(_LEFT - 8, down(y) + 4, f"{y:.2f}", "end"))
    if floor is not None:
        parts.append(f'<path class="floor" d="M{_LEFT} {down(floor):.1f}H{end}"/>')
    parts.append(_text((_LEFT + end) / 2, _HEIGHT - 10, x_label, "middle"))
    parts.append(
        f'<g transform="rotate(-90 14 {_HEIGHT / 2 - 20})">{_text(14, _HEIGHT / 2 - 20, y_label, "middle")}</g>'
    )
    taken: list[tuple[float, float, float]] = []
    for point in sorted(points, key=lambda p: (not p.strong, p.x)):
        x, y = across(point.x), down(point.y)
        kind = "strong" if point.strong else "point"
        parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{7 if point.strong else 5}"/>')
        place = _place(x, y, point.label, taken)
        parts.append(_text(*place, point.label, "start", "bold" if point.strong else ""))
    name = html.escape(f"{y_label} against {x_label}")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}" xmlns="http://www.w3.org/2000/svg">'
        + "".join(parts)
        + "</svg>"
    )


def _place(x: float, y: float, label: str, taken: list[tuple[float, float, float]]) -> tuple[float, float]:
    """Where a label goes: right of its point, or left at the edge, above or below other labels."""
    width = len(label) * _LETTER
    start = x + 11 if x + 11 + width < _WIDTH - _RIGHT else x - 11 - width
    for shift in (0, 1, -1, 2, -2, 3, -3, 4):
        baseline = y + 4 + shift * _LINE
        if _TOP + 8 < baseline < _HEIGHT - _BOTTOM - 3 and not any(
            abs(baseline - other) < _LINE and start < stop and begin < start + width for begin, stop, other in taken
        ):
            break
    taken.append((start, start + width, baseline))
    return start, baseline


def _text(x: float, y: float, words: str, anchor: str, style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{html.escape(words)}</text>'


def _spread(values: Sequence[float], least: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = max((high - low) * 0.15, least / 2)
    return low - room, high + room


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [tick for power in powers for tick in (10.0**power, 2 * 10.0**power, 5 * 10.0**power) if low <= tick <= high]


def _ticks(low: float, high: float) -> list[float]:
    step = next(size for size in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if (high - low) / size <= 8)
    return [index * step for index in range(math.ceil(low / step), math.floor(high / step) + 1)]
