"""Copies of the store that can be trusted: made by SQLite's online backup, checked, and only then put in place."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Sequence
from pathlib import Path

import apsw

from ..errors import HomeError, StorageError

BUSY_TIMEOUT_MS = 5000
_LEFT_OVER_S = 3600.0  # no copy takes that long
_PAGES = 256  # copied between two looks at whether the source changed


def copy_database(source: apsw.Connection, target: Path, without: Sequence[str] = ()) -> None:
    """A consistent copy of an open database as one file, verified and durable; ``target`` is replaced at the end.

    Args:
        without: tables that are left empty in the copy.

    Raises:
        StorageError: it cannot be written, or did not arrive whole.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        copy = apsw.Connection(str(temporary))
        try:
            with copy.backup("main", source, "main") as backup:
                while not backup.done:
                    backup.step(_PAGES)
            copy.pragma("journal_mode", "delete")  # one file, no -wal beside it
            for table in without:
                copy.execute(f"DELETE FROM {table}")
                if copy.changes():
                    copy.execute("VACUUM")  # the pages too, not only the rows
        finally:
            copy.close()
        problem = what_is_wrong(temporary)
        if problem is not None:
            raise StorageError(f"the copy {target} did not arrive whole: {problem}")
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(target)
    except (apsw.Error, OSError) as error:
        # SQLite's backup says "not an error" where the disk is full.
        why = error.strerror if isinstance(error, OSError) else type(error).__name__.removesuffix("Error")
        raise StorageError(f"cannot write {target} ({why}): free some disk space or check the disk") from None
    finally:
        for suffix in ("-wal", "-shm", ""):
            temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)


def _sweep(target: Path) -> None:
    """Remove what copies left behind that were killed."""
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*"):
        if time.time() - leftover.stat().st_mtime > _LEFT_OVER_S:
            leftover.unlink(missing_ok=True)


def connect(
    path: Path, flags: int = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
) -> tuple[apsw.Connection, bool]:
    """Open a database; → the connection, and whether it has the file to itself.

    Processes share the index of the write-ahead log in a small file. A full disk has no room for that, so a database
    that nobody else has open is then read in exclusive mode, with the index in memory
    (https://sqlite.org/wal.html#noshm): who cannot write can still read.
    """
    for exclusive in (False, True):
        database = apsw.Connection(str(path), flags=flags)
        try:
            database.set_busy_timeout(BUSY_TIMEOUT_MS)
            if exclusive:
                database.pragma("locking_mode", "exclusive")
            database.pragma("schema_version")
            return database, exclusive
        except (apsw.IOError, apsw.FullError, apsw.CantOpenError):
            database.close()
            if exclusive:
                raise
        except apsw.Error:
            database.close()
            raise
    raise AssertionError("not reached")


def what_is_wrong(path: Path) -> str | None:
    """None if a database file is sound, else the first damage SQLite finds.

    Raises:
        StorageError: it could not be looked at, which says nothing about the file: disk full, locked, no permission.
    """
    try:
        database, _ = connect(path, apsw.SQLITE_OPEN_READWRITE)
        try:
            answer = str(database.pragma("quick_check", 1))
        finally:
            database.close()
    except (apsw.NotADBError, apsw.CorruptError) as error:
        return str(error)
    except apsw.Error as error:
        raise StorageError(f"cannot read {path}: {error}; free some disk space or check the disk") from None
    return None if answer == "ok" else answer


def quarantine(path: Path) -> Path:
    """Move a database and its write-ahead log aside, under a name with the time; nothing is deleted. → the new path."""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    number = 0
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{number}")
    try:
        for suffix in ("-wal", "-shm", ""):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.replace(aside.with_name(aside.name + suffix))
    except OSError as error:
        raise StorageError(f"cannot move the damaged {path} aside: {error.strerror or error}") from error
    return aside


def restore_database(backup: Path, target: Path) -> Path | None:
    """Put a verified copy of ``backup`` in ``target``'s place; what stood there is quarantined. → where it is now.

    The copy is made and verified beside the target before anything is moved.

    Raises:
        HomeError: the backup is missing or not sound; nothing was changed.
        StorageError: it cannot be written; nothing was changed.
    """
    problem = what_is_wrong(backup) if backup.exists() else "there is no such file"
    if problem is not None:
        raise HomeError(f"{backup} cannot be restored: {problem}")
    staging = target.with_name(f"{target.name}.restoring")
    source = apsw.Connection(str(backup), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        copy_database(source, staging)
    finally:
        source.close()
    aside = quarantine(target) if target.exists() else None
    staging.replace(target)
    return aside
