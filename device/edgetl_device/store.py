"""The device's database: one SQLite file with samples, head versions, the active version and the event log.

What is acknowledged is on disk (WAL, ``synchronous=FULL``); "new head" and "now active" are one transaction. apsw
brings its own SQLite: the one in Raspberry Pi OS still has the WAL-reset bug fixed in 3.51.3 (https://sqlite.org/wal.html).
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import apsw
import numpy as np

from .backup import BUSY_TIMEOUT_MS, copy_database, restore_database, what_is_wrong
from .codes import Int8
from .errors import HomeError, StorageError

log = logging.getLogger("edgetl.store")

MAX_SAMPLES = 200_000
MAX_BYTES = 256 << 20
BACKUP_INTERVAL_S = 24 * 3600.0
_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",
    "foreign_keys": True,
    "secure_delete": True,  # what is forgotten is overwritten, not only unlinked
}


def _first(db: apsw.Connection) -> None:
    db.pragma("application_id", APPLICATION_ID)
    db.execute(
        """
        CREATE TABLE samples (
            id INTEGER PRIMARY KEY AUTOINCREMENT, backbone TEXT NOT NULL, runtime TEXT NOT NULL,
            label TEXT NOT NULL, raw BLOB NOT NULL, time TEXT NOT NULL
        );
        CREATE INDEX samples_of ON samples (backbone, label);
        CREATE TABLE versions (
            id INTEGER PRIMARY KEY AUTOINCREMENT, bundle TEXT NOT NULL, time TEXT NOT NULL, state TEXT NOT NULL,
            reason TEXT NOT NULL, rule TEXT NOT NULL, last_sample INTEGER NOT NULL, metrics TEXT NOT NULL
        );
        CREATE TABLE active (bundle TEXT PRIMARY KEY, version INTEGER NOT NULL REFERENCES versions (id));
        CREATE TABLE hidden (backbone TEXT NOT NULL, label TEXT NOT NULL, PRIMARY KEY (backbone, label));
        CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, kind TEXT NOT NULL,
            detail TEXT NOT NULL);
        """
    )


def _identity(db: apsw.Connection) -> None:
    db.execute("CREATE TABLE identity (device TEXT NOT NULL)")
    db.execute("INSERT INTO identity VALUES (?)", (str(uuid.uuid4()),))


APPLICATION_ID = 0x6564676C  # "edgl": tells a store from any other SQLite file
MIGRATIONS: tuple[Callable[[apsw.Connection], None], ...] = (_first, _identity)
"""Append only: a store of any age is brought up to date by the ones it has not seen."""


@dataclass(frozen=True)
class SampleRow:
    """One stored sample, without its embedding."""

    id: int
    label: str
    time: str


@dataclass(frozen=True)
class VersionRow:
    """One head version.

    Args:
        state: ``factory``, ``promoted`` or ``rejected``.
        last_sample: it is the head of the samples up to this id, less those forgotten since.
    """

    id: int
    time: str
    state: str
    reason: str
    rule: str
    last_sample: int
    metrics: dict[str, Any]


class Store:
    """One open store; not shared between threads.

    A damaged file is moved aside, never deleted, and the last automatic backup takes its place.

    Args:
        path: the SQLite file, made if missing.
        max_samples, max_bytes: the budget; beyond it learning refuses, for an evicted sample could never be forgotten
            exactly.

    Raises:
        HomeError: the file is damaged and there is no backup, it is not a store, or of a newer edgetl.
        StorageError: the disk is full, read-only or failing, or another process holds the store too long.
    """

    def __init__(self, path: Path, max_samples: int = MAX_SAMPLES, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self.max_samples, self.max_bytes = max_samples, max_bytes
        self._recover()
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = apsw.Connection(str(path))
            self._db.set_busy_timeout(BUSY_TIMEOUT_MS)
            for name, value in _PRAGMAS.items():
                self._db.pragma(name, value)
            self._migrate()

    def close(self) -> None:
        """Give the file back; afterwards the store cannot be used."""
        self._db.close()

    @property
    def device(self) -> str:
        """A random identifier, made with the store: merging tells devices apart by it."""
        ((device,),) = self._rows("SELECT device FROM identity")
        return str(device)

    @property
    def backup_path(self) -> Path:
        """The automatic backup beside the store."""
        return self.path.with_name(f"{self.path.stem}.backup{self.path.suffix}")

    def backup(self, target: Path) -> None:
        """A verified copy as one file, while the store is in use."""
        copy_database(self._db, target)

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
            except BaseException:  # also Ctrl-C: leave the store as it was, then go on failing
                if self._db.in_transaction:  # a full disk makes SQLite roll back by itself
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    # samples -----------------------------------------------------------------------------------------------------

    def add_samples(self, label: str, raw: Int8, backbone: str, runtime: str) -> list[int]:
        """(n, d) int8 raw embeddings of one label → their ids; durable when it returns. Shows a hidden label again."""
        now = _now()
        with self.transaction():
            self._check_budget(raw)
            self._show(backbone, label)
            rows = [(backbone, runtime, label, row.tobytes(), now) for row in raw]
            ids = []
            for row in rows:
                self._db.execute("INSERT INTO samples (backbone, runtime, label, raw, time) VALUES (?,?,?,?,?)", row)
                ids.append(self._db.last_insert_rowid())
            self._event("learn", {"label": label, "samples": len(ids)})
        return ids

    def samples(self, backbone: str, label: str | None = None) -> list[SampleRow]:
        """Stored samples of a backbone, oldest first."""
        query = "SELECT id, label, time FROM samples WHERE backbone = ? AND (? IS NULL OR label = ?) ORDER BY id"
        return [SampleRow(*row) for row in self._rows(query, (backbone, label, label))]

    def embeddings(
        self, backbone: str, dimension: int, after: int = 0, up_to: int | None = None
    ) -> tuple[list[int], list[str], list[str], Int8]:
        """Samples with ``after`` < id ≤ ``up_to`` → ids, labels, runtimes and (n, d) int8 raw embeddings."""
        condition = "backbone = ? AND id > ? AND (? IS NULL OR id <= ?)"
        query = f"SELECT id, label, runtime, raw FROM samples WHERE {condition} ORDER BY id"
        ids, labels, runtimes, blobs = [], [], [], bytearray()
        for identity, label, runtime, blob in self._rows(query, (backbone, after, up_to, up_to)):
            if len(blob) != dimension:
                raise HomeError(
                    f"sample {identity} has {len(blob)} features, expected {dimension}: the store is damaged"
                )
            ids.append(identity)
            labels.append(label)
            runtimes.append(runtime)
            blobs += blob
        return ids, labels, runtimes, np.frombuffer(blobs, np.int8).reshape(len(ids), dimension)

    def labels_of(self, backbone: str, ids: Sequence[int]) -> dict[int, str]:
        """Those of the ids that exist → their labels."""
        wanted = set(ids)
        query = "SELECT id, label FROM samples WHERE backbone = ?"
        return {identity: label for identity, label in self._rows(query, (backbone,)) if identity in wanted}

    def remove_samples(self, backbone: str, ids: Sequence[int]) -> None:
        """Delete samples in one step; nothing of them stays in the files."""
        with self.transaction():
            self._db.executemany("DELETE FROM samples WHERE backbone = ? AND id = ?", [(backbone, i) for i in ids])
            self._event("forget", {"samples": len(ids)})
        self._scrub()

    def relabel_samples(self, backbone: str, ids: Sequence[int], label: str) -> None:
        """Move samples to another label; a hidden one is shown again."""
        with self.transaction():
            self._show(backbone, label)
            rows = [(label, backbone, identity) for identity in ids]
            self._db.executemany("UPDATE samples SET label = ? WHERE backbone = ? AND id = ?", rows)
            self._event("relabel", {"samples": len(ids), "label": label})

    def hidden(self, backbone: str) -> frozenset[str]:
        """Factory labels that were forgotten."""
        return frozenset(label for (label,) in self._rows("SELECT label FROM hidden WHERE backbone = ?", (backbone,)))

    def hide(self, backbone: str, label: str) -> None:
        """Hide a factory label until it is learned again."""
        with self.transaction():
            self._db.execute("INSERT OR IGNORE INTO hidden VALUES (?, ?)", (backbone, label))
            self._event("hide", {"label": label})

    def revision(self) -> int:
        """Changes whenever anything but an addition happened to samples or labels, in this process or another."""
        query = "SELECT coalesce(max(id), 0) FROM events WHERE kind IN ('forget', 'relabel', 'hide', 'show')"
        ((number,),) = self._rows(query)
        return int(number)

    # versions ----------------------------------------------------------------------------------------------------

    def add_version(
        self,
        bundle: str,
        state: str,
        reason: str,
        rule: str,
        last_sample: int,
        metrics: dict[str, Any],
        *,
        activate: bool,
    ) -> int:
        """Record a version and, in the same step, make it the active one; returns its number."""
        row = (bundle, _now(), state, reason, rule, last_sample, json.dumps(metrics, sort_keys=True))
        with self.transaction():
            self._db.execute(
                "INSERT INTO versions (bundle, time, state, reason, rule, last_sample, metrics) VALUES (?,?,?,?,?,?,?)",
                row,
            )
            number = self._db.last_insert_rowid()
            if activate:
                self._db.execute("INSERT OR REPLACE INTO active VALUES (?, ?)", (bundle, number))
            self._event(state, {"version": number, "reason": reason})
        return number

    def versions(self, bundle: str) -> list[VersionRow]:
        """All versions made with a bundle, oldest first."""
        return self._versions("bundle = ? ORDER BY id", (bundle,))

    def version(self, bundle: str, number: int) -> VersionRow | None:
        """One version, or None."""
        rows = self._versions("bundle = ? AND id = ?", (bundle, number))
        return rows[0] if rows else None

    def active(self, bundle: str) -> int | None:
        """The number of the active version, or None before the first."""
        rows = list(self._rows("SELECT version FROM active WHERE bundle = ?", (bundle,)))
        return int(rows[0][0]) if rows else None

    def activate(self, bundle: str, number: int) -> None:
        """Make an existing version the active one."""
        with self.transaction():
            self._db.execute("INSERT OR REPLACE INTO active VALUES (?, ?)", (bundle, number))
            self._event("rollback", {"version": number})

    # the rest ----------------------------------------------------------------------------------------------------

    def _show(self, backbone: str, label: str) -> None:
        self._db.execute("DELETE FROM hidden WHERE backbone = ? AND label = ?", (backbone, label))
        if self._db.changes():
            self._event("show", {"label": label})

    def _scrub(self) -> None:
        """Take what was removed out of the write-ahead log and the automatic backup too."""
        try:
            with self._errors():
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            if self.backup_path.exists():
                self.backup(self.backup_path)
        except StorageError as error:
            log.warning("forgotten, but traces stay in the files until the next time: %s", error)

    def _check_budget(self, raw: Int8) -> None:
        ((count,),) = self._rows("SELECT count(*) FROM samples")
        pages = self._db.pragma("page_count") - self._db.pragma("freelist_count")
        size_bytes = pages * self._db.pragma("page_size")
        if count + len(raw) > self.max_samples or size_bytes + raw.nbytes > self.max_bytes:
            raise StorageError(
                f"the store is full ({count} samples, {size_bytes / 1e6:.0f} MB; at most {self.max_samples} and "
                f"{self.max_bytes / 1e6:.0f} MB): make room with `edgetl-device forget --label L`; nothing was stored"
            )

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

    def _versions(self, condition: str, values: Sequence[Any]) -> list[VersionRow]:
        columns = "id, time, state, reason, rule, last_sample, metrics"
        rows = self._rows(f"SELECT {columns} FROM versions WHERE {condition}", values)
        return [
            VersionRow(number, made, state, reason, rule, last_sample, json.loads(metrics))
            for number, made, state, reason, rule, last_sample, metrics in rows
        ]

    def _event(self, kind: str, detail: dict[str, Any]) -> None:
        row = (_now(), kind, json.dumps(detail, sort_keys=True))
        self._db.execute("INSERT INTO events (time, kind, detail) VALUES (?,?,?)", row)

    def _rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        with self._errors():
            yield from self._db.execute(query, values)

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


def check_backup(path: Path) -> None:
    """Raise HomeError unless a file is a store that this edgetl can read; nothing is changed."""
    problem = what_is_wrong(path) if path.exists() else "there is no such file"
    if problem is None:
        database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            kind, version = database.pragma("application_id"), database.pragma("user_version")
        finally:
            database.close()
        if kind != APPLICATION_ID:
            problem = "it is not a backup of an edgetl store"
        elif not 1 <= version <= len(MIGRATIONS):
            problem = "it was written by a newer edgetl: update with `pip install -U edgetl-device`"
    if problem is not None:
        raise HomeError(f"{path} cannot be restored: {problem}")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
