"""Text that comes from elsewhere, made safe to show in a terminal, a log line, a header, a metric or a unit.

A label, the name of a camera or of a bundle, or a file name may hold terminal escapes, line breaks, characters that
turn the direction of writing, or lone surrogates, which cannot be encoded at all. It needs only the standard library.
"""

from __future__ import annotations

import logging
import unicodedata

MAX_LENGTH = 1000  # characters of one shown text
_JOINERS = "\u200c\u200d"  # ZWNJ and ZWJ: Persian, Indic scripts and emoji are written with them
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: object, limit: int = MAX_LENGTH) -> str:
    r"""A value's text on one line: what is not meant for reading is shown as its escape, what is too long is cut.

    >>> printable("red\x1b[2J\u202e\ud800")
    'red\\x1b[2J\\u202e\\ud800'
    """
    shown = str(text)
    if len(shown) > limit:
        shown = f"{shown[:limit]}…"
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(_escaped(character) for character in shown)


def printable_lines(text: object) -> str:
    """As :func:`printable`, for text that may have several lines and tabs, such as a traceback."""
    return "\n".join(printable(line.replace("\t", "    "), 1 << 30) for line in str(text).split("\n"))


class PrintableFormatter(logging.Formatter):
    """Formats log records so that nothing in them can write a second line or command the terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, without a traceback."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: object) -> str:
        """The traceback, its lines kept."""
        return printable_lines(super().formatException(ei))  # type: ignore[arg-type]


def _escaped(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _UNSAFE:
        return character
    return ascii(character)[1:-1]
