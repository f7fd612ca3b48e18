"""Changes of rows, each with its part in the sum of checksums; all of them in a transaction of the caller."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import apsw

from .checksum import Value, add, row_checksum
from .repair import ACCEPTED, RECOVERED
from .replacement import now
from .state import CHECKED, OF_SAMPLES, State

MOST_EVENTS = 1000  # in the event log


class Changes:
    """The part of a database that changes rows.

    Attributes:
        _db: the open file.
        _pending: what the store will know of itself when the transaction ends.
        _device: identity of the store.
    """

    _db: apsw.Connection
    _pending: State
    _device: str

    def insert(self, table: str, **values: Value) -> int:
        """A new row; → its number. Rows of tables with checksums get theirs."""
        marks = ",".join("?" * len(values))
        query = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks}) RETURNING *"
        (row,) = list(self._db.execute(query, tuple(values.values())))
        number = int(self._db.last_insert_rowid())
        self._count(new=[self._checked(table, row, number)])
        return number

    def delete(self, table: str, condition: str, values: Sequence[Value] = ()) -> int:
        """The rows for which a condition holds; → how many."""
        columns = "checksum" if table in CHECKED else "*"
        gone = list(self._db.execute(f"DELETE FROM {table} WHERE {condition} RETURNING {columns}", values))
        self._count(gone=[row[0] if table in CHECKED else row_checksum(table, row) for row in gone])
        return len(gone)

    def update(self, table: str, changes: str, condition: str, values: Sequence[Value]) -> int:
        """Change the rows for which a condition holds; ``values`` are those of the changes, then of the condition."""
        needed = condition.count("?")
        conditions = values[len(values) - needed :]
        query = f"SELECT rowid, * FROM {table} WHERE {condition}"
        before = list(self._db.execute(query, conditions))
        self._count(gone=[row[-1] if table in CHECKED else row_checksum(table, row[1:]) for row in before])
        for number, *_ in before:
            change = f"UPDATE {table} SET {changes} WHERE rowid = ? RETURNING *"
            (row,) = list(self._db.execute(change, (*values[: len(values) - needed], number)))
            self._count(new=[self._checked(table, row, number)])
        return len(before)

    def insert_samples(self, rows: Sequence[tuple[Value, ...]]) -> list[int]:
        """Samples (backbone, runtime, label, raw, time) → their ids."""
        ((last,),) = list(self._db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'samples'"))
        numbered = [(last + 1 + number, *row) for number, row in enumerate(rows)]
        checked = [(*row, row_checksum("samples", row)) for row in numbered]
        self._db.executemany(
            "INSERT INTO samples (id, backbone, runtime, label, raw, time, checksum) VALUES (?,?,?,?,?,?,?)", checked
        )
        self._count(new=[row[-1] for row in checked])
        self._pending = replace(self._pending, samples=self._pending.samples + len(rows))
        return [row[0] for row in numbered]

    def delete_samples(self, condition: str, values: Sequence[Value] = ()) -> int:
        """As :meth:`delete`; traces of them are to be removed by :meth:`scrub`."""
        gone = list(self._db.execute(f"DELETE FROM samples WHERE {condition} RETURNING id, checksum", values))
        self._count(gone=[checksum for _, checksum in gone])
        ids = json.dumps([number for number, _ in gone])
        for table in OF_SAMPLES:
            self.delete(table, "sample IN (SELECT value FROM json_each(?))", (ids,))
        self._pending = replace(self._pending, samples=self._pending.samples - len(gone), unscrubbed=True)
        return len(gone)

    def next_id(self, table: str) -> int:
        """The number that the next row of a table gets; no row that is gone has it."""
        rows = list(self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)))
        return int(rows[0][0]) + 1 if rows else 1

    def insert_inspected(self, **values: Value) -> None:
        """A photo that inspection was taught; it counts as a sample."""
        self.insert("inspected", **values)
        self._pending = replace(self._pending, samples=self._pending.samples + 1)

    def delete_inspected(self, condition: str, values: Sequence[Value] = ()) -> int:
        """As :meth:`delete_samples`, of photos that inspection was taught."""
        gone = self.delete("inspected", condition, values)
        self._pending = replace(self._pending, samples=self._pending.samples - gone, unscrubbed=True)
        return gone

    def to_be_scrubbed(self) -> None:
        """Something was removed that may still have traces in other files, until :meth:`scrub` is done."""
        self._pending = replace(self._pending, unscrubbed=True)

    def taken_away(self, *, elsewhere: bool = False) -> None:
        """What was learned is not only more than before: :attr:`State.revision` changes.

        Args:
            elsewhere: no label without a group was taken from any sample that is not pending.
        """
        self._pending = replace(self._pending, revision=self._pending.revision + 1)
        if elsewhere and not self.update("elsewhere", "changes = changes + 1", "1", ()):
            self.insert("elsewhere", changes=1)

    def identify(self, device: str) -> None:
        """Another identifier; what was acknowledged is noted under it from now on."""
        self.update("identity", "device = ?", "1", (device,))
        self._device = device

    def log_event(self, kind: str, detail: dict[str, Any]) -> None:
        """Add a line to the event log; the oldest ones go, those of repairs stay."""
        number = self.insert("events", time=now(), kind=kind, detail=json.dumps(detail, sort_keys=True))
        self.delete("events", "id <= ? AND kind NOT IN (?, ?)", (number - MOST_EVENTS, RECOVERED, ACCEPTED))

    def run(self, statement: str, rows: Iterable[Sequence[Value]] | None = None) -> int:
        """A statement on tables that no checksum adds up, once or for each row of values; → how many rows changed."""
        if rows is None:
            self._db.execute(statement)
        else:
            self._db.executemany(statement, rows)
        return int(self._db.changes())

    # inside ------------------------------------------------------------------------------------------------------

    def _checked(self, table: str, row: Sequence[Value], number: int) -> bytes:
        if table not in CHECKED:
            return row_checksum(table, row)
        checksum = row_checksum(table, row[:-1])
        self._db.execute(f"UPDATE {table} SET checksum = ? WHERE rowid = ?", (checksum, number))
        return checksum

    def _count(self, gone: Iterable[bytes] = (), new: Iterable[bytes] = ()) -> None:
        self._pending = replace(self._pending, total=add(self._pending.total, gone, new))
