"""Events as CSV, in which no cell is a formula: labels are text that strangers wrote.

Spreadsheets compute cells that begin with ``=``, ``+``, ``-`` or ``@``, with a tab or a line break before it too
(https://owasp.org/www-community/attacks/CSV_Injection); an apostrophe before them makes them text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from .history_event import KEYS, Event

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def header() -> str:
    """The first line."""
    return _lines([KEYS])


def lines(events: Iterable[Event]) -> str:
    """A line for each event."""
    return _lines([[_cell(value) for value in event.to_json().values()] for event in events])


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _lines(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode(errors="backslashreplace").decode()
