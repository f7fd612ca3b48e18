"""The SQLite file under the store: opened, migrated, held against what was acknowledged, and its errors in one line.

What is acknowledged is on disk (WAL, ``synchronous=FULL``), counted in a file of its own (:mod:`.acknowledged`), and
moved out of the write-ahead log within a second. Every row has a part in a sum of checksums (:mod:`.checksum`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw

from ..errors import HomeError, StorageError
from ..files import make_folder
from . import connection
from .acknowledged import Acknowledged, AcknowledgedFile, acknowledged_path
from .backup import copy_database, forget_in_copy
from .changes import Changes
from .checksum import Value, row_checksum
from .connection import DAMAGE, connect, make_durable
from .kept_files import KeptFile, Key, head_path, summary_path
from .lock import LearningLock, lock_path
from .recovery import backup_path, recover
from .replacement import put_back, second_names, sweep
from .schema import MIGRATIONS, migrate
from .soundness import ROWS, damage_of, size_bytes, suspicion_path
from .state import State, read_state, write_state

log = logging.getLogger("edgetl.store")

BACKUP_INTERVAL_S = 24 * 3600.0
CHECKED_AT_START_BYTES = 16 << 20  # of more, rows are looked at when they are read, backed up or verified
SETTLE_AFTER_S = 1.0  # the longest time that acknowledged changes stay in the write-ahead log while more are made


class Database(Changes):
    """One open SQLite file; not shared between threads.

    Writing takes the learning lock, and goes to the file that is at the path then: where ``restore`` put another one in
    its place, that one is opened first. A damaged file is kept aside, never deleted, and what can be saved of it and of
    the last automatic backup takes its place.

    Raises:
        HomeError: the file is damaged and nothing can be saved, it is not a store, or of a newer edgetl.
        StorageError: the disk is full, read-only or failing, or another process holds the store too long.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = LearningLock(lock_path(path), when_taken=self._follow)
        self.backup_path = backup_path(path)
        self._counter = AcknowledgedFile(acknowledged_path(path))
        self.kept_summary, self.kept_head = KeptFile(summary_path(path)), KeptFile(head_path(path))
        self._is_open = False
        self.followed = False
        self._traced = 0  # the change that alone left something to be scrubbed
        self._open()

    # opening -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        with self._errors():
            make_folder(self.path.parent)
            if second_names(self.path):  # a replacement was cut off
                with self.lock():
                    put_back(self.path)
            problem = self._problem_of_opening() if self.path.exists() else "it is not there"
            if problem is not None:
                with self.lock():  # others may have found the same problem; the first one solves it
                    problem = self._problem_of_opening() if self.path.exists() else "it is not there"
                    if problem is not None:
                        recover(self.path, problem)
                        suspicion_path(self.path).unlink(missing_ok=True)
                        problem = self._problem_of_opening()
            elif second_names(self.path) or self.is_replaced():  # just now: its log may be the new file's
                self._is_open = False
                with self.lock():
                    self._disconnect()
                    self._open()
            if problem is not None:
                raise HomeError(f"{self.path} was repaired and is damaged again ({problem}): check the disk")
        if self._state().unscrubbed:
            self._scrub_if_nobody_learns()

    def _problem_of_opening(self) -> str | None:
        """Open the file that is there; → what is wrong with it, and then it is closed again."""
        self._is_open = False
        try:
            records = self._counter.read()  # before the state: a writer counts after it has committed
            self._connect()
            version = self._db.pragma("user_version")
            if version > len(MIGRATIONS):
                raise HomeError(
                    f"{self.path} was written by a newer edgetl: update with `pip install -U edgetl-device`"
                )
            suspect = suspicion_path(self.path)
            problem = damage_of(self._db, rows=suspect.exists() or size_bytes(self._db) <= CHECKED_AT_START_BYTES)
            if problem is None:
                suspect.unlink(missing_ok=True)
            if problem is None and not version:
                problem = "it is empty"
            if problem is None and version < len(MIGRATIONS):
                self._migrate()
            if problem is None:
                problem = self._problem_of_counting(records)
        except DAMAGE as error:
            problem = str(error)
        except BaseException:  # whatever it is, an object that was never made keeps no file open
            self._disconnect()
            raise
        if problem is not None:
            self._disconnect()
        else:
            self._is_open = True
        return problem

    def _connect(self) -> None:
        before = _file_at(self.path)
        self._db, self._exclusive = connect(self.path)
        self._settled_s = float("-inf")
        self._is_settled = False
        if self._exclusive:
            log.warning("the disk has no room: learning pauses until it has, recognising goes on")
        make_durable(self._db)
        self._file = before or _file_at(self.path)

    def _disconnect(self) -> None:
        self._is_open = False
        if hasattr(self, "_db"):
            self._db.close()

    def _migrate(self) -> None:
        with self.lock():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                migrate(self._db)  # nothing is left to do where another process was faster
                self._db.execute("COMMIT")
            except BaseException:  # also Ctrl-C: a migration is whole or has not been
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _problem_of_counting(self, records: Sequence[Acknowledged]) -> str | None:
        ((device,),) = list(self._db.execute("SELECT device FROM identity"))
        self._device = str(device)
        acknowledged = next((record for record in records if record.device == self._device), None)
        if acknowledged is None:  # a store that came from elsewhere
            return None
        state = self._state()
        if (state.generation, state.sequence) >= acknowledged.order:
            return None
        return (
            f"it is sound, but {acknowledged.sequence - state.sequence} acknowledged changes are missing"
            if state.generation == acknowledged.generation
            else "it is an older store, from before the last restore"
        )

    def _follow(self) -> None:
        """Whoever was given the lock goes on with the file that is there now."""
        if self._is_open and self.is_replaced():
            log.info("%s was replaced: going on with the new file", self.path)
            self._disconnect()
            try:
                self._open()
            except BaseException:
                self._is_open, self._file = True, (0, 0)  # whoever comes next tries again
                raise
            self.followed = True

    # using -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Give the file back; afterwards the store cannot be used."""
        if self._is_open:
            self.settle(0.0)
        self._disconnect()
        self._counter.close()

    def is_replaced(self) -> bool:
        """Whether another file has taken this one's place, as after ``edgetl-device restore``."""
        return _file_at(self.path) not in (None, self._file)

    def backup(self, target: Path) -> None:
        """A verified copy as one file, while the store is in use; without pictures, which stay on the device."""
        copy_database(self._db, target, without=("thumbnails", "review"), when_damaged=self._suspect)

    def backup_if_due(self) -> None:
        """Renew the automatic backup if it is older than a day."""
        newest = self.backup_path.stat().st_mtime if self.backup_path.exists() else 0.0
        if not 0 <= time.time() - newest < BACKUP_INTERVAL_S:
            self.backup(self.backup_path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is one durable step, or nothing of it happened."""
        with self.lock(), self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                before = self._pending = self._state()
                yield
                after = replace(self._pending, sequence=before.sequence + 1)
                if self._pending != before:
                    write_state(self._db, after)
                self._db.execute("COMMIT")
                self._is_settled = False
                self._traced = 0 if before.unscrubbed else after.sequence
            except BaseException:  # also Ctrl-C: leave the store as it was, then go on failing
                if self._db.in_transaction:  # a full disk may make SQLite roll back by itself
                    self._db.execute("ROLLBACK")
                raise
            if self._pending != before:
                self._acknowledge(after)
            if self._exclusive:  # there is room again: let other processes in
                self._db.close()
                self._file = 0, 0
                self._connect()

    def settle(self, after_s: float = SETTLE_AFTER_S) -> None:
        """Move what was committed out of the write-ahead log, if the last time was so many seconds ago.

        A log that is damaged just ends earlier, without a word; what was moved into the database is checked. Readers
        are not waited for: then it is done the next time.
        """
        if self._is_settled or time.monotonic() - self._settled_s < after_s or self._exclusive:
            return
        self._settled_s = time.monotonic()
        try:
            self._db.set_busy_timeout(0)
            try:
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                self._is_settled = True
            finally:
                self._db.set_busy_timeout(connection.BUSY_TIMEOUT_MS)
            self._counter.sync()
        except (apsw.Error, OSError) as error:
            log.info("the write-ahead log of %s stays until the next time: %s", self.path, error)

    def size_bytes(self) -> int:
        """What the content takes, without free pages."""
        pages = self._db.pragma("page_count") - self._db.pragma("freelist_count")
        return int(pages * self._db.pragma("page_size"))

    def damaged(self, problem: str) -> HomeError:
        """The error for damage that was found; whoever opens the store next looks at every row and repairs it."""
        self._suspect()
        return HomeError(
            f"{self.path} is damaged or not a store ({problem}): start again, and what can be saved will be"
        )

    def check_row(self, table: str, row: Sequence[Any]) -> None:
        """Raise HomeError, as :meth:`damaged`, where a row of all columns does not have its checksum."""
        if row_checksum(table, row[:-1]) != row[-1]:
            raise self.damaged(f"{ROWS[table]} {row[0]} does not match its checksum")

    @property
    def device(self) -> str:
        """Identity of the store."""
        return self._device

    def state(self) -> State:
        """What the store knows of itself."""
        with self._errors():
            return self._state()

    def samples_key(self) -> Key:
        """Of samples and their labels without a group: while it is the same, there are only more."""
        query = "SELECT generation, revision - coalesce((SELECT changes FROM elsewhere), 0) FROM state"
        ((generation, changes),) = self.rows(query)
        return {"device": self.device, "generation": generation, "changes": changes}

    # reading -----------------------------------------------------------------------------------------------------

    def rows(self, query: str, values: Sequence[Value] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows a query gives."""
        with self._errors():
            yield from self._db.execute(query, values)

    def scrub(self, gone: Sequence[int] | None = None, table: str = "samples") -> None:
        """Take what was removed out of the write-ahead log, the kept files and the automatic backup too.

        Args:
            gone: the rows of ``table`` that the last transaction took, if nothing else: of a large backup they alone
                are taken out. Empty where none was: neither kept files nor backup ever held what was.
        """
        with self.lock():
            try:
                if self.state().sequence != self._traced:  # others left something too, or another change did
                    gone = None
                if gone is None or gone:
                    with self._errors():
                        self.kept_summary.remove(self.samples_key())
                        self.kept_head.remove()
                        sweep(self.path)
                        sweep(self.backup_path)
                if not self._is_settled:
                    with self._errors():
                        self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                if self.backup_path.exists() and (gone is None or gone):
                    self._scrub_backup(gone, table)
                with self.transaction():
                    self._pending = replace(self._pending, unscrubbed=False)
            except StorageError as error:
                log.warning("forgotten, but traces stay in the files until the next time: %s", error)

    # inside ------------------------------------------------------------------------------------------------------

    def _suspect(self) -> None:
        with suppress(OSError):
            suspicion_path(self.path).touch(mode=0o600)

    def _scrub_backup(self, gone: Sequence[int] | None, table: str) -> None:
        if gone is not None and self.backup_path.stat().st_size > CHECKED_AT_START_BYTES:
            try:
                forget_in_copy(self.backup_path, gone, table)
                return
            except StorageError as error:
                log.info("%s: it is made anew", error)
        self.backup(self.backup_path)

    def _scrub_if_nobody_learns(self) -> None:
        with suppress(StorageError), LearningLock(self.lock.path, wait_s=0.0)():
            self.scrub()

    def _state(self) -> State:
        state = read_state(self._db)
        if state is None:
            raise apsw.CorruptError("the row with its own counts is damaged")
        return state

    def _acknowledge(self, state: State) -> None:
        try:
            self._counter.write(
                Acknowledged(
                    self._device,
                    state.generation,
                    state.sequence,
                    state.revision,
                    state.samples,
                    self._last_id(),
                )
            )
        except (OSError, apsw.Error) as error:  # it was committed all the same
            log.info("%s: %s", self._counter.path, error)
        self.settle()

    def _last_id(self) -> int:
        query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'samples'"
        return int(next(iter(list(self._db.execute(query))))[0])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DAMAGE as error:
            raise self.damaged(str(error)) from None
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
