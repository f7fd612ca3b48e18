"""What can still be read of a damaged table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import apsw

from .checksum import Value


def readable_rows(database: apsw.Connection, table: str, columns: str = "*") -> Iterator[Sequence[Value]]:
    """The rows before the first damage, and those after the last."""
    last: int | None = None
    try:
        for number, *row in database.execute(f"SELECT rowid, {columns} FROM {table} ORDER BY rowid"):
            last = number
            yield row
        return
    except (apsw.Error, UnicodeDecodeError):
        pass
    try:
        for number, *row in database.execute(f"SELECT rowid, {columns} FROM {table} ORDER BY rowid DESC"):
            if last is not None and number <= last:
                return
            yield row
    except (apsw.Error, UnicodeDecodeError):
        return
