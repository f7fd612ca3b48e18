"""How a database file is opened, by apsw, with what SQLite offers against files that somebody else made; and read.

apsw brings its own SQLite: the one in Raspberry Pi OS still has the WAL-reset bug fixed in 3.51.3
(https://sqlite.org/wal.html).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw

BUSY_TIMEOUT_MS = 5000
DAMAGE = (apsw.NotADBError, apsw.CorruptError, UnicodeDecodeError)
"""What reading a damaged file raises; the last comes of a text that is not UTF-8 any more."""

_LONGEST_VALUE = 64 << 20  # bytes; nothing in a store comes near it
_LONGEST_STATEMENT = 1 << 20


def connect(
    path: Path | str, flags: int = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
) -> tuple[apsw.Connection, bool]:
    """Open a database by its path or URI; → the connection, and whether it has the file to itself.

    Processes share the index of the write-ahead log in a small file. A full disk has no room for that, so a database
    that nobody else has open is then read in exclusive mode, with the index in memory
    (https://sqlite.org/wal.html#noshm): who cannot write can still read.
    """
    undone = Path(f"{path}-journal").exists()
    for exclusive in (False, True):
        database = apsw.Connection(str(path), flags=flags)
        try:
            _harden(database)
            if exclusive:
                database.pragma("locking_mode", "exclusive")
            database.pragma("schema_version")
            if undone:  # a change to write-ahead logging, cut off; yet SQLite uses a log that is there
                with suppress(apsw.Error):  # others use it, or the disk is full
                    database.pragma("journal_mode", "delete")
            return database, exclusive
        except (apsw.IOError, apsw.FullError, apsw.CantOpenError):
            database.close()
            if exclusive:
                raise
        except apsw.Error:
            database.close()
            raise
    raise AssertionError("not reached")


def make_durable(database: apsw.Connection) -> None:
    """Write ahead, sync each transaction, and overwrite what is deleted."""
    settings = {"journal_mode": "wal", "synchronous": "full", "foreign_keys": True, "secure_delete": True}
    for name, value in settings.items():
        database.pragma(name, value)


def _harden(database: apsw.Connection) -> None:
    """What SQLite advises for files of unknown origin (https://sqlite.org/security.html)."""
    database.set_busy_timeout(BUSY_TIMEOUT_MS)
    database.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    for feature in (
        apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA,
        apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER,
        apsw.SQLITE_DBCONFIG_ENABLE_VIEW,
    ):
        database.config(feature, 0)
    database.limit(apsw.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    database.limit(apsw.SQLITE_LIMIT_SQL_LENGTH, _LONGEST_STATEMENT)
    database.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)
    database.pragma("cell_size_check", True)
    database.pragma("mmap_size", 0)


def companions_of(path: Path) -> list[Path]:
    """The files that SQLite may keep beside a database."""
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")]


def readable_rows(database: apsw.Connection, table: str, columns: str = "*") -> Iterator[Sequence[Any]]:
    """What can still be read of a damaged table: the rows before the first damage, and those after the last."""
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
