"""Drawings for reports, as SVG text that takes its colours from the page."""

from __future__ import annotations

from collections.abc import Sequence

_SIDE, _MARGIN, _FOOT = 260, 44, 70


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
        told = f"<title>{count} photos: {sure:.2f} sure, {right:.2f} right</title>"
        bars.append(
            f'<rect class="bar" x="{left + 1:.1f}" y="{top:.1f}" width="{step - 2:.1f}" '
            f'height="{right * _SIDE:.1f}">{told}</rect>'
        )
        tall = 40 * count / most
        foot = _MARGIN / 2 + _SIDE + _FOOT - 6
        bars.append(
            f'<rect class="count" x="{left + 1:.1f}" y="{foot - tall:.1f}" width="{step - 2:.1f}" '
            f'height="{max(tall, 1):.1f}">{told}</rect>'
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
