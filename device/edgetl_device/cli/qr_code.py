"""An address as a QR code in the terminal, for a phone's camera."""

from __future__ import annotations

import os
import sys
from typing import TextIO

_HALVES = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}  # upper and lower module; 1 is dark
_WHITE_ON_BLACK, _END = "\x1b[97;40m", "\x1b[0m"
_SQUARES = ("\x1b[107m  ", "\x1b[40m  ")


def show_qr_code(text: str, stream: TextIO | None = None) -> None:
    """Print it, 33 columns wide for most addresses, where the stream (stdout) is a terminal that can show it."""
    stream = stream or sys.stdout
    if not stream.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return
    try:
        import segno
    except ImportError:  # whoever installs without the page's packages can read the address
        return
    rows = [list(row) for row in segno.make_qr(text, error="l").matrix_iter(border=4)]
    lines = _blocks(rows) if "utf" in (stream.encoding or "").lower() else _squares(rows)
    stream.write("".join(f"{line}{_END}\n" for line in lines))
    stream.flush()


def _blocks(rows: list[list[int]]) -> list[str]:
    """Half a character a module; its own colours, because a terminal's may be dark on light."""
    pairs = zip(rows[::2], [*rows[1::2], [0] * len(rows[0])], strict=False)
    return [_WHITE_ON_BLACK + "".join(map(_HALVES.__getitem__, zip(*pair, strict=True))) for pair in pairs]


def _squares(rows: list[list[int]]) -> list[str]:
    """Two blanks a module, with the background as its colour: any terminal has these."""
    return ["".join(_SQUARES[module] for module in row) for row in rows]
