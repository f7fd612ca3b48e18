"""The file that holds the history: opened, migrated, and where it is damaged put aside for what can be saved of it.

It is a database of its own beside that of the samples. A backup, a check at the start or forgetting a sample reads all
of that one, and would take seconds with 64 MB of pictures in it (docs/decisions/history-file.md).
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import apsw

from ..errors import HomeError, StorageError
from ..files import make_folder, sync
from .checksum import row_checksum
from .connection import DAMAGE, companions_of, connect, make_durable, readable_rows
from .lock import LearningLock, lock_path
from .read_only import is_read_only, private_copy
from .replacement import building, put_in_place

log = logging.getLogger("edgetl.history")

T = TypeVar("T")

APPLICATION_ID = 0x65646768  # "edgh"

_TABLES = {
    "history": """(
        id INTEGER PRIMARY KEY AUTOINCREMENT, start TEXT NOT NULL, duration_s REAL NOT NULL, label TEXT NOT NULL,
        name TEXT, probability REAL, camera TEXT NOT NULL, region TEXT, state TEXT NOT NULL, checksum BLOB NOT NULL
    )""",
    "snapshots": """(
        event INTEGER PRIMARY KEY REFERENCES history (id) ON DELETE CASCADE, jpeg BLOB NOT NULL, checksum BLOB NOT NULL
    )""",
    "cleared": "(times INTEGER NOT NULL, time TEXT NOT NULL)",
}
_NAMES = "SELECT name FROM sqlite_schema WHERE type = 'table'"
_OVERWRITTEN_AT_ONCE = 1 << 20  # bytes


def _first(db: apsw.Connection) -> None:
    db.pragma("application_id", APPLICATION_ID)
    for name, columns in _TABLES.items():
        db.execute(f"CREATE TABLE {name} {columns}")


MIGRATIONS: tuple[Callable[[apsw.Connection], None], ...] = (_first,)
"""Append only: a history of any age is brought up to date by those migrations that it lacks."""


class NoRoomError(StorageError):
    """The disk is full or failing."""


class HistoryFile:
    """The file, opened when it is needed; not shared between threads.

    Where the disk is read-only, a copy is read. Where another file has taken its place, that one is opened.

    Args:
        path: of the file; it is made at the first change.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: apsw.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._exclusive = False

    def close(self) -> None:
        """Give the file back."""
        if self._db is not None:
            self._db.close()
        if self._copy is not None:
            self._copy.cleanup()
        self._db = self._copy = self._file = None
        self._exclusive = False

    def reading(self, work: Callable[[apsw.Connection], T]) -> T | None:
        """What reading gives; None where nothing was ever recorded. Raises StorageError, HomeError."""
        return self._attempt(lambda: None if (db := self._opened(create=False)) is None else work(db))

    def changing(self, work: Callable[[apsw.Connection], T]) -> T:
        """Make a change as one durable step, or none of it. Raises StorageError, HomeError."""
        if is_read_only(self.path):
            raise StorageError(f"{self.path} cannot be written: read-only disk, or another user's")
        return self._attempt(lambda: self._change(work))

    def settle(self) -> None:
        """Move what was changed out of the write-ahead log, so that nothing deleted is left in it, and free its room.

        Others who read are not waited for.
        """
        if self._db is not None and self._copy is None:
            with suppress(apsw.Error):
                list(self._db.execute("PRAGMA incremental_vacuum"))
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def start_over(self) -> None:
        """Overwrite the file and its log where they lie and remove them, which needs no room on the disk.

        Who has it open finds another one in its place, or none. Raises StorageError.
        """
        self.close()
        try:
            with LearningLock(lock_path(self.path))():
                for part in (*companions_of(self.path), self.path):
                    if part.exists():
                        _overwrite(part)
                        part.unlink()
                sync(self.path.parent)
        except OSError as error:
            raise StorageError(f"cannot remove {self.path}: {error.strerror or error}") from None

    def remove_put_aside(self) -> None:
        """Overwrite and remove what repairs put aside. Raises StorageError."""
        try:
            for part in self.path.parent.glob(f"{self.path.name}.damaged-*"):
                _overwrite(part)
                part.unlink()
        except OSError as error:
            raise StorageError(f"cannot remove {error.filename}: {error.strerror or error}") from None

    # inside ------------------------------------------------------------------------------------------------------

    def _change(self, work: Callable[[apsw.Connection], T]) -> T:
        db = self._opened(create=True)
        assert db is not None, "it was made"
        db.execute("BEGIN IMMEDIATE")
        try:
            result = work(db)
            db.execute("COMMIT")
        except BaseException:  # also Ctrl-C
            if db.in_transaction:  # a full disk may make SQLite roll back by itself
                db.execute("ROLLBACK")
            raise
        return result

    def _opened(self, *, create: bool) -> apsw.Connection | None:
        is_current = self._db is not None and (
            is_read_only(self.path) if self._copy is not None else _file_at(self.path) == self._file
        )
        if is_current:
            return self._db
        self.close()
        if not create and not any(_size(part) for part in (self.path, *companions_of(self.path))):
            return None  # or a file that found no room to be begun in
        if is_read_only(self.path):
            self._copy = private_copy(self.path)
            self._db, _ = _open(Path(self._copy.name) / self.path.name)
        else:
            make_folder(self.path.parent)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._file = _file_at(self.path)
            self._db, self._exclusive = _open(self.path)
        return self._db

    def _attempt(self, work: Callable[[], T]) -> T:
        try:
            try:
                return work()
            except DAMAGE as error:
                self._repair(str(error))
                return work()
        except DAMAGE as error:
            raise StorageError(f"{self.path} was repaired and is damaged again ({error}): check the disk") from None
        except apsw.BusyError:
            raise StorageError(f"{self.path} is in use by another process; try again in a moment") from None
        except (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError, OSError) as error:
            self.close()  # what an error left half-way in the connection goes with it
            raise NoRoomError(f"cannot write {self.path}: {error}; free some disk space or check the disk") from None
        except apsw.Error as error:
            raise HomeError(f"{self.path} is not a history this edgetl can use: {error}") from None
        finally:
            if self._exclusive:  # let other processes in
                self.close()

    def _repair(self, problem: str) -> None:
        """Put what can be read of a damaged file in its place; the damaged one is kept under another name."""
        self.close()
        with LearningLock(lock_path(self.path))():
            if is_sound(self.path):  # another process was faster
                return
            with building(self.path) as (new, staging):
                new.pragma("auto_vacuum", 2)
                with new:
                    _migrate(new)
                    saved = _salvage(self.path, new)
            aside = put_in_place(staging, self.path, "damaged")
        log.warning(
            "%s was damaged (%s): %d events were saved; what was there is now %s",
            *(self.path, problem, saved, aside.name if aside else "gone"),
        )


def _open(path: Path) -> tuple[apsw.Connection, bool]:
    """The file, and whether no other process can use it meanwhile: so it is where the disk is full."""
    db, exclusive = connect(path)
    try:
        version = db.pragma("user_version")
        if not version:
            db.pragma("auto_vacuum", 2)  # only a file that is empty takes it
        make_durable(db)
        if version and db.pragma("application_id") != APPLICATION_ID:
            raise HomeError(f"{path} is a database, but not a history: move it away")
        if version > len(MIGRATIONS):
            raise HomeError(f"{path} was written by a newer edgetl: update with `pip install -U edgetl-device`")
        lost = set() if not version else set(_TABLES) - {name for (name,) in db.execute(_NAMES)}
        if version < len(MIGRATIONS) or lost:
            db.execute("BEGIN IMMEDIATE")
            try:
                _migrate(db)
                for name in lost:
                    db.execute(f"CREATE TABLE IF NOT EXISTS {name} {_TABLES[name]}")
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
    except BaseException:
        db.close()
        raise
    return db, exclusive


def _migrate(db: apsw.Connection) -> None:
    for migration in MIGRATIONS[db.pragma("user_version") :]:
        migration(db)
    db.pragma("user_version", len(MIGRATIONS))


def is_sound(path: Path) -> bool:
    """Whether all of a file can be read, and its rows match their checksums."""
    try:
        db, _ = connect(path)
    except DAMAGE:
        return False
    try:
        check_all(db)
        return True
    except DAMAGE:
        return False
    finally:
        db.close()


def check_all(db: apsw.Connection) -> None:
    """Read all of a file; raises one of DAMAGE."""
    problem = db.pragma("integrity_check", 1)
    if problem != "ok":
        raise apsw.CorruptError(str(problem))
    there = {name for (name,) in db.execute(_NAMES)}
    for table in there & {"history", "snapshots"}:
        for *row, checksum in db.execute(f"SELECT * FROM {table}"):
            if row_checksum(table, row) != checksum:
                raise apsw.CorruptError(f"a row of {table} does not match its checksum")


def _overwrite(path: Path) -> None:
    """With zeros, in place."""
    try:
        with path.open("r+b", buffering=0) as stream:
            left = os.fstat(stream.fileno()).st_size
            while left:
                left -= stream.write(bytes(min(left, _OVERWRITTEN_AT_ONCE)))
            os.fsync(stream.fileno())
            if not path.name.endswith("-shm"):  # others have that one mapped
                stream.truncate(0)  # its room is free at once, whoever has it open
    except OSError as error:  # a file system that writes elsewhere needs room for that too
        log.warning("%s is removed, but was not overwritten: %s", path, error.strerror or error)


def _salvage(path: Path, new: apsw.Connection) -> int:
    """The rows that can be read and match their checksum → a new file, with their numbers; → how many events."""
    try:
        old, _ = connect(path)
    except apsw.Error:
        return 0
    saved = 0
    try:
        old.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        for table in ("history", "snapshots"):
            for row in readable_rows(old, table):
                if row_checksum(table, row[:-1]) != row[-1]:
                    continue
                with suppress(apsw.ConstraintError, apsw.SQLError):
                    new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({','.join('?' * len(row))})", row)
                    saved += new.changes() if table == "history" else 0
        new.execute("DELETE FROM snapshots WHERE event NOT IN (SELECT id FROM history)")
        for (last,) in readable_rows(old, "sqlite_sequence", "seq"):  # no number is given twice
            if isinstance(last, int):
                new.execute("DELETE FROM sqlite_sequence WHERE name = 'history' AND seq < ?", (last,))
                new.execute(
                    "INSERT INTO sqlite_sequence SELECT 'history', ? WHERE NOT EXISTS "
                    "(SELECT 1 FROM sqlite_sequence WHERE name = 'history')",
                    (last,),
                )
    except (apsw.Error, UnicodeDecodeError):
        pass
    finally:
        old.close()
    return saved


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _file_at(path: Path) -> tuple[int, int] | None:
    with suppress(FileNotFoundError):
        entry = path.stat()
        return entry.st_dev, entry.st_ino
    return None
