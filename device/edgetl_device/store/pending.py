"""Samples that were stored and are not learned for now: set aside by the gate, batch by batch, until a person decides.

What a person decides is kept too: a confirmed sample is not questioned again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from .database import Database
from .grouped import GroupedLabels, listed
from .views import Views


@dataclass(frozen=True)
class PendingBatch:
    """Samples of one label that were set aside together.

    Args:
        id: number of the batch, that of its first sample; never used again.
        label: what they were taught as.
        looks_like: the label that they seem to belong to; None where they look like none, or like several.
        samples: how many.
        reason: why they were set aside, for a person.
        time: when the first of them was stored, UTC.
        ids: of the samples, ascending.
    """

    id: int
    label: str
    looks_like: str | None
    samples: int
    reason: str
    time: str
    ids: tuple[int, ...]


class PendingSamples:
    """The part of the store that keeps them; the methods that change something run in the caller's transaction."""

    def __init__(self, database: Database, views: Views, grouped: GroupedLabels) -> None:
        self._database = database
        self._views = views
        self._grouped = grouped

    def batches(self, backbone: str) -> list[PendingBatch]:
        """What is pending, oldest first."""
        query = (
            "SELECT batch, label, looks_like, count(*), reason, min(time), json_group_array(id) "
            "FROM pending CROSS JOIN samples ON sample = id WHERE +backbone = ? GROUP BY batch ORDER BY batch"
        )
        return [
            PendingBatch(batch, label, looks_like, count, reason, time, tuple(sorted(json.loads(ids))))
            for batch, label, looks_like, count, reason, time, ids in self._database.rows(query, (backbone,))
        ]

    def among(self, ids: Sequence[int]) -> set[int]:
        """Those of these samples that are pending."""
        query = "SELECT sample FROM pending WHERE sample IN (SELECT value FROM json_each(?))"
        return {int(number) for (number,) in self._database.rows(query, (listed(ids),))}

    def confirmed(self, after: int = 0) -> set[int]:
        """Samples with larger ids whose label a person confirmed."""
        return {
            int(number) for (number,) in self._database.rows("SELECT sample FROM confirmed WHERE sample > ?", (after,))
        }

    def set_aside(self, ids: Sequence[int], looks_like: str | None, reason: str) -> int:
        """Make samples pending, as one batch; → its number."""
        batch = min(ids)
        for number in ids:
            self._database.insert("pending", sample=number, batch=batch, looks_like=looks_like, reason=reason)
        return batch

    def confirm(self, ids: Sequence[int]) -> None:
        """Note that a person says that these samples' labels are right."""
        for number in ids:
            self._database.delete("confirmed", "sample = ?", (number,))
            self._database.insert("confirmed", sample=number)

    def admit(self, ids: Sequence[int], label: str | None = None) -> list[int]:
        """Let pending samples be learned, confirmed, under their label or another; → their ids from now on.

        They get new ones: a version is the head of the samples up to an id, and none made before may change.
        """
        these = (listed(ids),)
        query = (
            "SELECT backbone, runtime, label, raw, time FROM samples "
            "WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
        )
        rows = [
            (backbone, runtime, label or own, raw, time)
            for backbone, runtime, own, raw, time in list(self._database.rows(query, these))
        ]
        new = self._database.insert_samples(rows)
        pairs = dict(zip(sorted(ids), new, strict=True))
        self._views.move(pairs)
        self._grouped.move(pairs)
        self._database.delete_samples("id IN (SELECT value FROM json_each(?))", these)
        self.confirm(new)
        return new
