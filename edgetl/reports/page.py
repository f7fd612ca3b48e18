"""One self-contained HTML page from parts: headings, text, tables and pictures. No script, no outside request."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

_LONGEST = 160  # pixels of a thumbnail


@dataclass(frozen=True)
class Heading:
    """A section's title."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph; ``strong`` for the one figure to take away."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under a header; floats are shown with three digits.

    Args:
        shade: columns whose numbers (0 … 1) are shaded by size.
        remarks: whether the last column is sentences; on a phone each goes under its row.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    shade: Sequence[int] = ()
    remarks: bool = False


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture, embedded as JPEG.

    Args:
        image: (h, w, 3) uint8 BGR.
        caption: what it shows; also its alternative text.
    """

    image: npt.NDArray[np.uint8]
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side."""

    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Drawing:
    """A drawing.

    Args:
        svg: SVG markup made by edgetl, not escaped; classes ``bar``, ``count``, ``dot``, ``ideal``, ``frame``,
            ``grid``, ``point``, ``roc``, ``strong``, ``floor``, ``bold``, ``leader``, ``line`` have the page's colours.
        caption: what it shows.
        narrow: the same for a phone, where ``svg`` would become too small to read.
    """

    svg: str
    caption: str
    narrow: str = ""


@dataclass(frozen=True)
class Row:
    """Drawings side by side, below each other on a phone."""

    drawings: Sequence[Drawing]


Part = Heading | Text | Table | Picture | Gallery | Drawing | Row


def page(title: str, parts: Sequence[Part]) -> bytes:
    """Parts → the bytes of an HTML file, readable on a phone, in the dark and on paper."""
    body = "\n".join(_render(part) for part in parts)
    return _PAGE.format(title=html.escape(title), style=_STYLE, body=body).encode("utf-8", "backslashreplace")


def _render(part: Part) -> str:
    match part:
        case Heading(text):
            return f"<h2>{html.escape(text)}</h2>"
        case Text(text, strong):
            return f'<p class="strong">{html.escape(text)}</p>' if strong else f"<p>{html.escape(text)}</p>"
        case Table(header, rows, shade, remarks):
            kind = ' class="remarks"' if remarks else ""
            head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in header)
            lines = "".join(f"<tr>{_cells(row, shade)}</tr>" for row in rows)
            return (
                f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
            )
        case Picture():
            return f'<div class="gallery">{_figure(part)}</div>'
        case Drawing(svg, caption, narrow):
            both = f'<div class="wide">{svg}</div><div class="narrow">{narrow}</div>' if narrow else svg
            return f'<figure class="drawing">{both}<figcaption>{html.escape(caption)}</figcaption></figure>'
        case Row(drawings):
            return f'<div class="gallery">{"".join(map(_render, drawings))}</div>'
        case Gallery(pictures):
            return f'<div class="gallery">{"".join(_figure(picture) for picture in pictures)}</div>'


def _cells(row: Sequence[object], shade: Sequence[int]) -> str:
    cells = []
    for column, value in enumerate(row):
        text = "–" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
        style = ""
        if column in shade and isinstance(value, int | float):
            text = f"{value:g}" if value in (0, 1) else text  # so that all and none stand out from nearly so
            style = f' style="--share:{_shading(float(value)):.3f}" class="shade"'
        elif isinstance(value, int | float):
            style = ' class="number"'
        elif len(text) <= 12:
            style = ' class="short"'
        cells.append(f"<td{style}>{html.escape(text)}</td>")
    return "".join(cells)


def _shading(share: float) -> float:
    """A share → how dark its cell is, 0 … 1; near both ends a small difference is seen best (Bartlett's arcsine)."""
    return math.asin(math.sqrt(min(max(share, 0.0), 1.0))) * 2 / math.pi


def thumbnail(photo: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(h, w, 3) uint8 RGB → BGR for :class:`Picture`, its longer side 160 pixels."""
    scale = _LONGEST / max(photo.shape[:2])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=interpolation)
    return np.ascontiguousarray(small[:, :, ::-1], np.uint8)


def _figure(picture: Picture) -> str:
    done, data = cv2.imencode(".jpg", picture.image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert done, "a uint8 BGR image always encodes"
    source = base64.b64encode(data.tobytes()).decode()
    caption = html.escape(picture.caption)
    height, width = picture.image.shape[:2]
    return (
        f'<figure><img src="data:image/jpeg;base64,{source}" alt="{caption}" width="{width}" height="{height}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


_STYLE = """
:root { color-scheme: light dark; --accent: #0b6e75; --line: #8884; }
@media (prefers-color-scheme: dark) { :root { --accent: #5cc8cf; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2.2rem; color: var(--accent); }
.strong { font-size: 1.25rem; font-weight: 600; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .8rem; text-align: left; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } .short { white-space: nowrap; } .number, .shade { text-align: right; }
.shade { background: color-mix(in srgb, var(--accent) calc(var(--share) * 55%), transparent); }
.gallery { display: flex; flex-wrap: wrap; gap: .8rem; } figure { margin: 0; max-width: 100%; }
figure img { display: block; max-width: 100%; height: auto; border-radius: 6px; }
figcaption { font-size: .85rem; opacity: .8; max-width: 16rem; overflow-wrap: anywhere; }
.drawing { max-width: 42rem; } .drawing figcaption { max-width: none; }
.gallery .drawing { margin-right: 1.2rem; } .narrow { display: none; }
svg { max-width: 100%; height: auto; } svg text { font: 13px system-ui, sans-serif; fill: currentColor; }
svg .bold { font-weight: 700; } svg .grid { stroke: var(--line); } svg .point { fill: currentColor; opacity: .55; }
svg .strong { fill: var(--accent); } svg .floor { stroke: var(--accent); stroke-dasharray: 6 5; fill: none; }
svg .roc { fill: none; stroke: var(--accent); stroke-width: 2; }
.leader { stroke: currentColor; opacity: .4; } .line { fill: none; stroke: currentColor; stroke-width: 2; }
svg .line.strong { stroke: var(--accent); fill: none; opacity: 1; }
.bar { fill: var(--accent); opacity: .75; } .count { fill: currentColor; opacity: .35; } .dot { fill: currentColor; }
.ideal { stroke: currentColor; stroke-dasharray: 4 4; opacity: .6; } .frame { fill: none; stroke: var(--line); }
@media (max-width: 40rem) {
  .wide { display: none; } .narrow { display: block; } .gallery figure.drawing:not(:only-child) { width: 100%; }
  .remarks tr { display: grid; grid-template-columns: 1fr auto 4.5rem; border-bottom: 1px solid var(--line); }
  .remarks th, .remarks td { border: 0; padding-inline: .4rem; text-wrap: pretty; }
  .remarks td:first-child { font-weight: 600; } .remarks td:last-child { grid-column: 1 / -1; padding-top: 0; }
  .remarks th:last-child { display: none; }
  .gallery figure:not(:only-child) { width: calc(50% - .4rem); } .gallery figure:not(:only-child) img { width: 100%; }
}
@media print { :root { color-scheme: light; } * { print-color-adjust: exact; }
  body { margin: 0; max-width: none; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
