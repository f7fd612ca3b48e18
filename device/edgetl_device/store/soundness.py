"""Is a database file sound? What SQLite can tell of its structure, and what checksums tell of its content."""

from __future__ import annotations

from pathlib import Path

import apsw

from ..errors import StorageError
from .checksum import row_checksum
from .connection import DAMAGE, connect
from .schema import APPLICATION_ID, MIGRATIONS
from .state import CHECKED, COUNTED, read_state, sum_of_rows

ROWS = {"samples": "sample", "versions": "version", "inspected": "inspected photo", "grouped": "label in a group"}


def what_is_wrong(path: Path) -> str | None:
    """None if a database file is sound, else the first damage, in one line.

    Raises:
        StorageError: it could not be looked at, which says nothing about the file: disk full, locked, no permission.
    """
    try:
        database, _ = connect(path, apsw.SQLITE_OPEN_READWRITE)
        try:
            return damage_of(database)
        finally:
            database.close()
    except DAMAGE as error:
        return str(error)
    except apsw.Error as error:
        raise StorageError(f"cannot read {path}: {error}; free some disk space or check the disk") from None


def suspicion_path(store: Path) -> Path:
    """Where it is noted beside a store that something in it was found to be damaged, for the next time it is opened."""
    return store.with_suffix(".suspect")


def size_bytes(database: apsw.Connection) -> int:
    """Of the file, as it is once the write-ahead log is in it."""
    return int(database.pragma("page_count")) * int(database.pragma("page_size"))


def damage_of(database: apsw.Connection, *, rows: bool = True) -> str | None:
    """As :func:`what_is_wrong`, of an open database. Raises apsw.Error.

    Args:
        rows: look at every row. Otherwise it takes the same time whatever is stored.
    """
    database.execute("BEGIN")  # one snapshot, whoever writes meanwhile
    try:
        answer = str(database.pragma("integrity_check", 1)) if rows else "ok"
        if answer != "ok":
            return answer.splitlines()[-1]  # the first may only name the database
        version = database.pragma("user_version")
        if database.pragma("application_id") != APPLICATION_ID:
            is_empty = not version and not list(database.execute("SELECT 1 FROM sqlite_schema"))
            return None if is_empty else "it is a database, but not a store"
        if version < len(MIGRATIONS):  # older ones have no checksums yet
            return None
        if read_state(database) is None:
            return "the row with its own counts does not match its checksum"
        return _damaged_content(database) if rows else None
    except apsw.SQLError as error:  # no such table or column
        return str(error)
    finally:
        if database.in_transaction:
            database.execute("COMMIT")


def _damaged_content(database: apsw.Connection) -> str | None:
    state = read_state(database)
    assert state is not None, "the caller looked"
    counts = {}
    for table in CHECKED:
        counts[table] = 0
        for row in database.execute(f"SELECT * FROM {table}"):
            if row_checksum(table, row[:-1]) != row[-1]:
                return f"{ROWS[table]} {row[0]} does not match its checksum"
            counts[table] += 1
    samples = sum(counts[table] for table in COUNTED)
    if samples != state.samples:
        return f"it holds {samples} samples and should hold {state.samples}"
    return None if sum_of_rows(database) == state.total else "its rows do not add up to the sum of their checksums"
