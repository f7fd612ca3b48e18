"""Further columns of an export: short plain values, kept for the slices of ``evaluate`` and for ``train --group``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgetl_device.printable import printable

from ..data.lists import MOST_VALUES

LIST_COLUMNS = ("path", "label", "split", "group")  # that every list has
LONGEST = 200  # characters of a value
MOST_COLUMNS = 32
MOST_TEXT = 32 << 20  # characters of all values
_LONGEST_NAME = 60
_NO_NAME = ';"'  # would be read as another separator, or as a quote
_MOST_LEFT_OUT = 100  # that are named, beside those that were kept for a while


@dataclass(frozen=True, slots=True)
class Unfit:
    """A value that no list holds, and why."""

    why: str


TOO_LONG = Unfit(f"a value is longer than {LONGEST} characters")
NOT_PLAIN = Unfit("a value is no text and no number")

Values = tuple[tuple[str, str | Unfit], ...]
"""Name of a column and its value, of one picture."""


def plain(value: object) -> str | Unfit:
    """A value as it is written into a list; nothing where there is none."""
    if value is None:
        return ""
    if isinstance(value, int) and value.bit_length() > 64:
        return TOO_LONG
    if not isinstance(value, str | int | float):
        return NOT_PLAIN
    return TOO_LONG if isinstance(value, str) and len(value) > LONGEST else str(value)


class Columns:
    """The columns of all pictures, while they are few and short; a column with one value that is not is left out.

    Attributes:
        left_out: name → why.
    """

    def __init__(self) -> None:
        self.left_out: dict[str, str] = {}
        self._names: dict[str, None] = {}
        self._rows: list[dict[str, str]] = []
        self._texts: dict[str, str] = {}  # one object for equal values
        self._size = 0

    def add(self, values: Values) -> None:
        """Those of the next picture."""
        row = {}
        for name, value in values:
            if name in self.left_out:
                continue
            why = self._why_not(name, value)
            if why:
                self._leave_out(name, why)
            elif isinstance(value, str) and value:
                row[name] = self._texts.setdefault(value, value)
        self._rows.append(row)

    def table(self) -> tuple[tuple[str, ...], Iterable[tuple[str, ...]]]:
        """The names of the columns that are kept, and their values for each picture, in the order that they came in."""
        names = [name for name in self._names if name not in self.left_out]
        if len(self._rows) * (len(LIST_COLUMNS) + len(names)) > MOST_VALUES:
            for name in names:
                self._leave_out(name, f"the list would hold more than {MOST_VALUES:,} values")
            names = []
        return tuple(names), (tuple(row.get(name, "") for name in names) for row in self._rows)

    def _why_not(self, name: str, value: str | Unfit) -> str:
        if isinstance(value, Unfit):
            return value.why
        if name not in self._names:
            if name.strip().casefold() in LIST_COLUMNS:
                return "the list has a column of that name"
            fits = 0 < len(name) <= _LONGEST_NAME and name == name.strip() and name.isprintable()
            if not fits or set(name) & set(_NO_NAME):
                return "its name"
            if not value:
                return ""  # not a column yet
            if len(self._names) == MOST_COLUMNS:
                return f"there are more than {MOST_COLUMNS}"
            self._names[name] = None
        self._size += len(value)
        if len(value) > LONGEST:
            return TOO_LONG.why
        return f"they have more than {MOST_TEXT:,} characters" if self._size > MOST_TEXT else ""

    def _leave_out(self, name: str, why: str) -> None:
        if name in self._names or len(self.left_out) < _MOST_LEFT_OUT:
            self.left_out[name if len(name) <= _LONGEST_NAME else printable(name, _LONGEST_NAME)] = why
