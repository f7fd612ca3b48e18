"""The device's database: one SQLite file with samples, head versions, the active version and the event log.

What is acknowledged is on disk (WAL, ``synchronous=FULL``); "new head" and "now active" are one transaction. apsw
brings its own SQLite: the one in Raspberry Pi OS still has the WAL-reset bug fixed in 3.51.3 (https://sqlite.org/wal.html).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import apsw
import numpy as np

from .codes import Int8
from .errors import HomeError, StorageError

BUSY_TIMEOUT_MS = 5000
_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",
    "foreign_keys": True,
    "secure_delete": True,  # what is forgotten is overwritten, not only unlinked
}


def _first(db: apsw.Connection) -> None:
    db.execute(
        """
        CREATE TABLE samples (
            id INTEGER PRIMARY KEY AUTOINCREMENT, backbone TEXT NOT NULL, runtime TEXT NOT NULL,
            label TEXT NOT NULL, raw BLOB NOT NULL, time TEXT NOT NULL
        );
        CREATE INDEX samples_of ON samples (backbone, label);
        CREATE TABLE versions (
            id INTEGER PRIMARY KEY AUTOINCREMENT, bundle TEXT NOT NULL, time TEXT NOT NULL, state TEXT NOT NULL,
            reason TEXT NOT NULL, rule TEXT NOT NULL, last_sample INTEGER NOT NULL, head BLOB, metrics TEXT NOT NULL
        );
        CREATE TABLE active (bundle TEXT PRIMARY KEY, version INTEGER NOT NULL REFERENCES versions (id));
        CREATE TABLE hidden (backbone TEXT NOT NULL, label TEXT NOT NULL, PRIMARY KEY (backbone, label));
        CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, kind TEXT NOT NULL,
            detail TEXT NOT NULL);
        """
    )


MIGRATIONS: tuple[Callable[[apsw.Connection], None], ...] = (_first,)
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
        last_sample: it was fitted on the samples up to this id.
        head: packed arrays; None where a sample it had learned was forgotten: it is solved again before use.
    """

    id: int
    time: str
    state: str
    reason: str
    rule: str
    last_sample: int
    head: bytes | None
    metrics: dict[str, Any]


class Store:
    """One open store; not shared between threads.

    Args:
        path: the SQLite file, made if missing.

    Raises:
        HomeError: the file is not a store, or of a newer edgetl.
        StorageError: the disk is full, read-only or failing, or another process holds the store too long.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
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
        """(n, d) int8 raw embeddings of one label → their ids; durable when it returns."""
        time = _now()
        with self.transaction():
            rows = [(backbone, runtime, label, row.tobytes(), time) for row in raw]
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
    ) -> tuple[list[int], list[str], Int8]:
        """Samples of a backbone with ``after`` < id ≤ ``up_to`` → ids, labels and (n, d) int8 raw embeddings."""
        query = (
            "SELECT id, label, raw FROM samples WHERE backbone = ? AND id > ? AND (? IS NULL OR id <= ?) ORDER BY id"
        )
        ids, labels, blobs = [], [], bytearray()
        for identity, label, blob in self._rows(query, (backbone, after, up_to, up_to)):
            if len(blob) != dimension:
                raise HomeError(
                    f"sample {identity} has {len(blob)} features, expected {dimension}: the store is damaged"
                )
            ids.append(identity)
            labels.append(label)
            blobs += blob
        return ids, labels, np.frombuffer(blobs, np.int8).reshape(len(ids), dimension)

    def labels_of(self, backbone: str, ids: Sequence[int]) -> dict[int, str]:
        """Those of the ids that exist → their labels."""
        wanted = set(ids)
        query = "SELECT id, label FROM samples WHERE backbone = ?"
        return {identity: label for identity, label in self._rows(query, (backbone,)) if identity in wanted}

    def remove_samples(self, backbone: str, ids: Sequence[int]) -> None:
        """Delete samples and every head that had learned one of them, in one step; nothing stays in the files."""
        with self.transaction():
            self._db.executemany("DELETE FROM samples WHERE backbone = ? AND id = ?", [(backbone, i) for i in ids])
            self._stale(ids)
            self._event("forget", {"samples": len(ids)})
        with self._errors():
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # or the write-ahead log would still hold them

    def relabel_samples(self, backbone: str, ids: Sequence[int], label: str) -> None:
        """Move samples to another label; heads that had learned one of them are solved again before use."""
        with self.transaction():
            rows = [(label, backbone, identity) for identity in ids]
            self._db.executemany("UPDATE samples SET label = ? WHERE backbone = ? AND id = ?", rows)
            self._stale(ids)
            self._event("relabel", {"samples": len(ids), "label": label})

    def hidden(self, backbone: str) -> frozenset[str]:
        """Factory labels that were forgotten."""
        return frozenset(label for (label,) in self._rows("SELECT label FROM hidden WHERE backbone = ?", (backbone,)))

    def set_hidden(self, backbone: str, label: str, hide: bool) -> None:
        """Hide a factory label, or show it again; heads that know it are solved again before use."""
        with self.transaction():
            if hide:
                self._db.execute("INSERT OR IGNORE INTO hidden VALUES (?, ?)", (backbone, label))
            else:
                self._db.execute("DELETE FROM hidden WHERE backbone = ? AND label = ?", (backbone, label))
            self._stale([0])
            self._event("hide" if hide else "show", {"label": label})

    # versions ----------------------------------------------------------------------------------------------------

    def add_version(
        self,
        bundle: str,
        state: str,
        reason: str,
        rule: str,
        last_sample: int,
        head: bytes,
        metrics: dict[str, Any],
        *,
        activate: bool,
    ) -> int:
        """Record a version and, in the same step, make it the active one; returns its number."""
        row = (bundle, _now(), state, reason, rule, last_sample, head, json.dumps(metrics, sort_keys=True))
        with self.transaction():
            self._db.execute(
                "INSERT INTO versions (bundle, time, state, reason, rule, last_sample, head, metrics) "
                "VALUES (?,?,?,?,?,?,?,?)",
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

    def activate(self, bundle: str, number: int, head: bytes) -> None:
        """Make an existing version the active one, with its head as solved last."""
        with self.transaction():
            self._db.execute("UPDATE versions SET head = ? WHERE bundle = ? AND id = ?", (head, bundle, number))
            self._db.execute("INSERT OR REPLACE INTO active VALUES (?, ?)", (bundle, number))
            self._event("rollback", {"version": number})

    # the rest ----------------------------------------------------------------------------------------------------

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
        columns = "id, time, state, reason, rule, last_sample, head, metrics"
        rows = self._rows(f"SELECT {columns} FROM versions WHERE {condition}", values)
        return [
            VersionRow(number, time, state, reason, rule, last_sample, head, json.loads(metrics))
            for number, time, state, reason, rule, last_sample, head, metrics in rows
        ]

    def _stale(self, ids: Sequence[int]) -> None:
        if ids:
            self._db.execute("UPDATE versions SET head = NULL WHERE last_sample >= ?", (min(ids),))

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


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
