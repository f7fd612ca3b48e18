"""The SQLite file under the store: opened, recovered, migrated, and its errors told in one line.

What is acknowledged is on disk (WAL, ``synchronous=FULL``). apsw brings its own SQLite: the one in Raspberry Pi OS
still has the WAL-reset bug fixed in 3.51.3 (https://sqlite.org/wal.html).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import apsw

from ..errors import HomeError, StorageError
from .backup import connect, copy_database, restore_database, what_is_wrong
from .schema import MIGRATIONS

log = logging.getLogger("edgetl.store")

BACKUP_INTERVAL_S = 24 * 3600.0
_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",
    "foreign_keys": True,
    "secure_delete": True,  # what is forgotten is overwritten, not only unlinked
}


class Database:
    """One open SQLite file; not shared between threads.

    A damaged file is moved aside, never deleted, and the last automatic backup takes its place.

    Raises:
        HomeError: the file is damaged and there is no backup, it is not a store, or of a newer edgetl.
        StorageError: the disk is full, read-only or failing, or another process holds the store too long.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._recover()
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
            self._migrate()

    def close(self) -> None:
        """Give the file back; afterwards the store cannot be used."""
        self._db.close()

    def is_replaced(self) -> bool:
        """Whether another file has taken this one's place, as after ``edgetl-device restore``."""
        return _file_at(self.path) not in (None, self._file)

    @property
    def backup_path(self) -> Path:
        """The automatic backup beside the store."""
        return self.path.with_name(f"{self.path.stem}.backup{self.path.suffix}")

    def backup(self, target: Path) -> None:
        """A verified copy as one file, while the store is in use; without thumbnails, which stay on the device."""
        copy_database(self._db, target, without=("thumbnails",))

    def backup_if_due(self) -> None:
        """Renew the automatic backup if it is older than a day."""
        newest = self.backup_path.stat().st_mtime if self.backup_path.exists() else 0.0
        if not 0 <= time.time() - newest < BACKUP_INTERVAL_S:
            self.backup(self.backup_path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is one durable step, or nothing of it happened."""
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:  # also Ctrl-C: leave the store as it was, then go on failing
                if self._db.in_transaction:  # a full disk may make SQLite roll back by itself
                    self._db.execute("ROLLBACK")
                raise
            if self._exclusive:  # there is room again: let other processes in
                self._db.close()
                self._open()

    def _open(self) -> None:
        before = _file_at(self.path)
        self._db, self._exclusive = connect(self.path)
        self._file = before or _file_at(self.path)
        if self._exclusive:
            log.warning("the disk has no room: learning pauses until it has, recognising goes on")
        for name, value in _PRAGMAS.items():
            self._db.pragma(name, value)

    def size_bytes(self) -> int:
        """What the content takes, without free pages."""
        pages = self._db.pragma("page_count") - self._db.pragma("freelist_count")
        return int(pages * self._db.pragma("page_size"))

    def log_event(self, kind: str, detail: dict[str, Any]) -> None:
        """Add a line to the event log, in the running transaction."""
        row = (now(), kind, json.dumps(detail, sort_keys=True))
        self._db.execute("INSERT INTO events (time, kind, detail) VALUES (?,?,?)", row)

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Run one statement of the running transaction."""
        self._db.execute(statement, values)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement of the running transaction once for each row of values."""
        self._db.executemany(statement, rows)

    def changes(self) -> int:
        """How many rows the last statement changed."""
        return int(self._db.changes())

    def last_insert_rowid(self) -> int:
        """The number of the row that was inserted last."""
        return int(self._db.last_insert_rowid())

    def rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows a query gives."""
        with self._errors():
            yield from self._db.execute(query, values)

    def scrub(self) -> None:
        """Take what was removed out of the write-ahead log and the automatic backup too."""
        try:
            with self._errors():
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            if self.backup_path.exists():
                self.backup(self.backup_path)
        except StorageError as error:
            log.warning("forgotten, but traces stay in the files until the next time: %s", error)

    def _recover(self) -> None:
        if self.path.exists():
            problem = what_is_wrong(self.path)
        else:  # killed while a backup was being put in its place, or deleted by hand
            problem = "it is missing" if self.backup_path.exists() else None
        if problem is None:
            return
        if not self.backup_path.exists():
            raise HomeError(
                f"{self.path} is damaged or not a store ({problem}) and there is no backup beside it; "
                "`edgetl-device restore FILE`, or move it away to start empty"
            )
        aside = restore_database(self.backup_path, self.path)
        where = f"; it was moved to {aside}" if aside else ""
        log.warning("%s was damaged (%s): the last backup is in its place%s", self.path, problem, where)

    def _migrate(self) -> None:
        version = self._db.pragma("user_version")
        if version > len(MIGRATIONS):
            raise HomeError(f"{self.path} was written by a newer edgetl: update with `pip install -U edgetl-device`")
        if version < len(MIGRATIONS):
            with self.transaction():
                version = self._db.pragma("user_version")  # another process may have been faster
                for migration in MIGRATIONS[version:]:
                    migration(self._db)
                self._db.pragma("user_version", len(MIGRATIONS))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise HomeError(
                f"{self.path} is damaged or not a store ({error}); move it away, or restore a backup"
            ) from None
        except apsw.BusyError:
            raise StorageError(f"{self.path} is in use by another process; try again when it is done") from None
        except (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError, OSError) as error:
            raise StorageError(f"cannot write {self.path}: {error}; free some disk space or check the disk") from None
        except apsw.Error as error:
            raise HomeError(f"{self.path} is not a store this edgetl can use: {error}") from None


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file is at a path, whatever other names it has; None where there is none."""
    try:
        entry = path.stat()
    except FileNotFoundError:
        return None
    return entry.st_dev, entry.st_ino


def now() -> str:
    """UTC, ISO 8601, milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
