"""Head versions in the store: which there are, which one is active, and how those that are on trial do.

"New head" and "now active" are one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from .database import Database
from .replacement import now
from .schema import VersionRow

MOST_VERSIONS = 1000  # of a bundle in one state, so that bad ones displace no good one; older go, but for those in use


class StoredVersions:
    """The part of the store that keeps them; each method that changes something is one durable step.

    Args:
        database: of the store.
        may_write: raises StorageError where the disk is read-only; then only the factory's version can be added, and
            trials can be noted, for as long as the store is open.
    """

    def __init__(self, database: Database, may_write: Callable[[], None]) -> None:
        self._database = database
        self._may_write = may_write

    def add(
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
        if state != "factory":
            self._may_write()
        with self._database.transaction():
            number = self._database.insert(
                "versions",
                bundle=bundle,
                time=now(),
                state=state,
                reason=reason,
                rule=rule,
                last_sample=last_sample,
                metrics=json.dumps(metrics, sort_keys=True),
            )
            if activate:
                self._activate(bundle, number)
            if number % (1 + MOST_VERSIONS // 10) == 0:  # it reads all versions, so not each time
                self._drop_oldest()
            self._database.log_event(state, {"version": number, "reason": reason})
        return number

    def of(self, bundle: str) -> list[VersionRow]:
        """All versions made with a bundle, oldest first."""
        return self._rows("bundle = ? ORDER BY id", (bundle,))

    def get(self, bundle: str, number: int) -> VersionRow | None:
        """One version, or None."""
        rows = self._rows("bundle = ? AND id = ?", (bundle, number))
        return rows[0] if rows else None

    def before(self, bundle: str, number: int, states: Sequence[str]) -> VersionRow | None:
        """The last version before one that is in one of these states, or None."""
        marks = ",".join("?" * len(states))
        condition = f"bundle = ? AND id < ? AND state IN ({marks}) ORDER BY id DESC LIMIT 1"
        rows = self._rows(condition, (bundle, number, *states))
        return rows[0] if rows else None

    def newest(self, bundle: str) -> int | None:
        """The number of the newest version, or None before the first."""
        ((number,),) = list(self._database.rows("SELECT max(id) FROM versions WHERE bundle = ?", (bundle,)))
        return None if number is None else int(number)

    def active(self, bundle: str) -> int | None:
        """The number of the active version, or None before the first."""
        rows = list(self._database.rows("SELECT version FROM active WHERE bundle = ?", (bundle,)))
        return int(rows[0][0]) if rows else None

    def activate(self, bundle: str, number: int) -> None:
        """Make an existing version the active one."""
        self._may_write()
        with self._database.transaction():
            self._activate(bundle, number)
            self._database.log_event("rollback", {"version": number})

    # trials ------------------------------------------------------------------------------------------------------

    def count_start(self, number: int) -> int:
        """Note that a version is put to use; → how often it was without being proven, this time included. 0: proven."""
        if list(self._database.rows("SELECT 1 FROM trials WHERE version = ? AND proven", (number,))):
            return 0
        with self._database.transaction():
            rows = list(self._database.rows("SELECT starts FROM trials WHERE version = ?", (number,)))
            starts = int(rows[0][0]) + 1 if rows else 1
            self._note_trial(number, starts, proven=False)
        return starts

    def prove(self, number: int) -> None:
        """Note that a version works: its later starts are not counted."""
        with self._database.transaction():
            self._note_trial(number, 0, proven=True)

    def fail(self, bundle: str, number: int, successor: int, reason: str) -> None:
        """In one step: a version is ``failed``, another one is active, and the log says why."""
        with self._database.transaction():
            self._database.update("versions", "state = 'failed', reason = ?", "id = ?", (reason, number))
            self._activate(bundle, successor)
            self._database.log_event("failed", {"version": number, "active": successor, "reason": reason})

    # inside ------------------------------------------------------------------------------------------------------

    def _note_trial(self, number: int, starts: int, *, proven: bool) -> None:
        self._database.delete("trials", "version = ?", (number,))
        self._database.insert("trials", version=number, starts=starts, proven=int(proven))

    def _activate(self, bundle: str, number: int) -> None:
        self._database.delete("active", "bundle = ?", (bundle,))
        self._database.insert("active", bundle=bundle, version=number)

    def _drop_oldest(self) -> None:
        ranked = "SELECT id, row_number() OVER (PARTITION BY bundle, state ORDER BY id DESC) AS place FROM versions"
        old = f"SELECT id FROM ({ranked}) WHERE place > {MOST_VERSIONS} AND id NOT IN (SELECT version FROM active)"
        self._database.delete("trials", f"version IN ({old})")
        self._database.delete("versions", f"id IN ({old})")

    def _rows(self, condition: str, values: Sequence[Any]) -> list[VersionRow]:
        columns = "id, time, state, reason, rule, last_sample, metrics"
        rows = self._database.rows(f"SELECT {columns} FROM versions WHERE {condition}", values)
        return [
            VersionRow(number, made, state, reason, rule, last_sample, json.loads(metrics))
            for number, made, state, reason, rule, last_sample, metrics in rows
        ]
