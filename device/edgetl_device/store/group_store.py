"""GroupStore: the labels of one group, read and written as if they were all that a store holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..codes import Int8
from ..errors import HomeError
from .grouped import listed
from .learned_samples import BLOCK_SAMPLES
from .pending import PendingBatch
from .replacement import now
from .same_photos import same_photos
from .schema import SampleRow
from .store import MAX_ID, Store, sample_row

_COLUMNS = 7  # of samples: id, backbone, runtime, label, raw, time, checksum
_ROW = "sample, label, time, batch IS NOT NULL"
# The signs in queries keep SQLite from an index by name, of which it would read and sort all that the group holds.


class GroupStore(Store):
    """What a :class:`Store` does, with labels of one group instead of those without one.

    Versions, drift, trials and the file itself are the store's. Samples go by the store's ids, so one id means one
    photo in all groups. What orders them for versions and batches is the id of the label in the group:
    :meth:`embeddings`, :meth:`count_after`, :meth:`confirm`, :meth:`confirmed` and :meth:`set_aside` go by that.

    Args:
        store: which stays open, and closes the file.
        name: of the group.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._copy, self._path, self.database = store._copy, store._path, store.database
        self.budget, self.versions, self.inspected = store.budget, store.versions, store.inspected
        self.grouped, self.views, self._pending = store.grouped, store.views, store._pending
        self.review = store.review
        self.keeps_summaries = False  # one of each group would be written at each change of any
        self.name = name

    def close(self) -> None:
        """Nothing: the store has the file."""

    samples_key = Store._head_key  # any change may be one of the group

    # samples -----------------------------------------------------------------------------------------------------

    def add_samples(
        self,
        label: str,
        raw: Int8,
        backbone: str,
        runtime: str,
        thumbnails: Sequence[bytes | None] = (),
        view: str = "",
        groups: Mapping[str, str] | None = None,
    ) -> list[int]:
        """As :meth:`Store.add_samples`; a photo that is stored and has no label in this group is not stored again."""
        self._refuse_read_only()
        unlabelled = "AND NOT EXISTS (SELECT 1 FROM grouped WHERE sample = samples.id AND name = ?)"
        rows = [row.tobytes() for row in raw]
        with self.lock():
            stored = same_photos(self.database, backbone, runtime, rows, unlabelled, self.name)
            ids = [stored[row].pop() if stored.get(row) else None for row in rows]
            new = [place for place, number in enumerate(ids) if number is None]
            with self.database.transaction():
                self._show(self._hidden_of(backbone), label)
                self.grouped.label(self.name, label, backbone, [number for number in ids if number is not None])
                if new:
                    pictures = [thumbnails[place] for place in new] if thumbnails else ()
                    labels = {**(groups or {}), self.name: label}
                    added = self._store.insert("", raw[new], backbone, runtime, pictures, view, labels)
                    for place, number in zip(new, added, strict=True):
                        ids[place] = number
                self.database.log_event("learn", {"label": label, "group": self.name, "samples": len(ids)})
        return [number for number in ids if number is not None]

    def samples(self, backbone: str, label: str | None = None) -> list[SampleRow]:
        """Samples that are labelled in the group, in the order in which they were."""
        query = f"SELECT {_ROW} FROM grouped WHERE backbone = ? AND name = ? AND (? IS NULL OR label = ?) ORDER BY id"
        return [sample_row(row) for row in self.database.rows(query, (backbone, self.name, label, label))]

    def newest_samples(
        self, backbone: str, label: str | None = None, before: int | None = None, limit: int = 48
    ) -> list[SampleRow]:
        """As :meth:`Store.newest_samples`."""
        query = (
            f"SELECT {_ROW} FROM grouped WHERE +backbone = ? AND +name = ? AND (? IS NULL OR label = ?) AND sample < ? "
            "ORDER BY sample DESC LIMIT ?"
        )
        values = [backbone, self.name, label, label, MAX_ID if before is None else before, limit]
        return [sample_row(row) for row in self.database.rows(query, values)]

    def counts(self, backbone: str) -> dict[str, int]:
        """Label → how many samples have it in the group; sorted."""
        query = "SELECT label, count(*) FROM grouped WHERE backbone = ? AND name = ? GROUP BY label ORDER BY label"
        return {label: int(count) for label, count in self.database.rows(query, (backbone, self.name))}

    def labels(self, backbone: str) -> tuple[str, ...]:
        """As :meth:`Store.labels`."""
        return self._labels_in("grouped WHERE backbone = ?1 AND name = ?2", (backbone, self.name))

    def is_anything_learned(self, backbone: str) -> bool:
        """As :meth:`Store.is_anything_learned`."""
        query = "SELECT 1 FROM grouped WHERE backbone = ? AND name = ? AND batch IS NULL LIMIT 1"
        return bool(list(self.database.rows(query, (backbone, self.name))))

    def samples_of(self, ids: Sequence[int]) -> list[int]:
        """As :meth:`Store.samples_of`: the photos that these labels are about."""
        query = "SELECT id, sample FROM grouped WHERE id IN (SELECT value FROM json_each(?))"
        photo = dict(self.database.rows(query, (listed(ids),)))
        return [int(photo[number]) for number in ids]

    def count_after(self, backbone: str, after: int) -> int:
        """As :meth:`Store.count_after`, of labels with larger ids."""
        query = "SELECT count(*) FROM grouped WHERE +backbone = ? AND +name = ? AND id > ? AND batch IS NULL"
        ((count,),) = self.database.rows(query, (backbone, self.name, after))
        return int(count)

    def embeddings(
        self, backbone: str, dimension: int, after: int = 0, up_to: int | None = None
    ) -> Iterator[tuple[list[int], list[str], list[str], Int8]]:
        """As :meth:`Store.embeddings`, by the ids of the labels."""
        query = (
            "SELECT samples.*, grouped.* FROM grouped JOIN samples ON sample = samples.id "
            "WHERE +grouped.backbone = ? AND +name = ? AND grouped.id > ? AND (? IS NULL OR grouped.id <= ?) "
            f"AND batch IS NULL ORDER BY grouped.id LIMIT {BLOCK_SAMPLES}"
        )
        while block := list(self.database.rows(query, (backbone, self.name, after, up_to, up_to))):
            for row in block:
                self.database.check_row("samples", row[:_COLUMNS])
                self.database.check_row("grouped", row[_COLUMNS:])
            rows = ((row[_COLUMNS], row[_COLUMNS + 4], row[2], row[4]) for row in block)
            ids, labels, runtimes, blobs = (list(column) for column in zip(*rows, strict=True))
            if any(len(blob) != dimension for blob in blobs):
                raise HomeError(f"a sample of group {self.name} has not {dimension} features: the store is damaged")
            yield ids, labels, runtimes, np.frombuffer(b"".join(blobs), np.int8).reshape(len(ids), dimension)
            after = ids[-1]

    def labels_of(self, backbone: str, ids: Sequence[int]) -> dict[int, str]:
        """Those of the ids that are labelled in the group → their labels there."""
        query = f"SELECT sample, label FROM grouped WHERE {self._among} ORDER BY sample"
        return dict(self.database.rows(query, (backbone, self.name, listed(ids))))

    def photos(self, backbone: str, ids: Sequence[int] | None = None) -> frozenset[int]:
        """Those of the ids that are labelled in the group, or all."""
        return frozenset((row.id for row in self.samples(backbone)) if ids is None else self.labels_of(backbone, ids))

    def remove_samples(self, backbone: str, ids: Sequence[int]) -> None:
        """Remove the samples' labels in this group; those that are labelled nowhere then are gone altogether."""
        self._refuse_read_only()
        with self.database.transaction():
            self.database.delete("grouped", self._among, (backbone, self.name, listed(ids)))
            gone = self.database.delete_samples(f"{_UNLABELLED} AND {_THESE}", (listed(ids),))
            self.database.taken_away(elsewhere=True)
            self.database.log_event("forget", {"group": self.name, "samples": len(ids)})
        self.database.scrub(None if gone < len(ids) else ids)

    unlabel_samples = remove_samples

    def remove_everything(self) -> int:
        """Remove all labels of the group, of all backbones; returns how many."""
        self._refuse_read_only()
        with self.database.transaction():
            for hidden_of, label in list(self.database.rows("SELECT backbone, label FROM hidden")):
                if hidden_of.endswith(f"/{self.name}"):
                    self._show(hidden_of, label)
            removed = self.database.delete("grouped", "name = ?", (self.name,))
            self.database.delete_samples(_UNLABELLED)
            self.database.taken_away(elsewhere=True)
            self.database.log_event("forget", {"group": self.name, "samples": removed})
        self.database.scrub()
        return removed

    def relabel_samples(self, backbone: str, ids: Sequence[int], label: str) -> None:
        """Move samples to another label of the group."""
        self._refuse_read_only()
        with self.database.transaction():
            self._show(self._hidden_of(backbone), label)
            pending = self._take_pending(backbone, ids)
            learned = [number for number in ids if number not in pending]
            condition = (backbone, self.name, listed(learned))
            self.database.update("grouped", "label = ?, confirmed = 1", self._among, (label, *condition))
            self._confirm_anew(pending, label)
            if learned:
                self.database.taken_away(elsewhere=True)
            self.database.log_event("relabel", {"samples": len(ids), "label": label, "group": self.name})

    # pending -----------------------------------------------------------------------------------------------------

    def pending(self, backbone: str) -> list[PendingBatch]:
        """Batches of labels that were set aside, oldest first; their ids are those of samples."""
        query = (
            "SELECT batch, label, looks_like, reason, time, sample FROM grouped "
            "WHERE backbone = ? AND name = ? AND batch IS NOT NULL ORDER BY id"
        )
        batches: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
        for batch, *row in self.database.rows(query, (backbone, self.name)):
            batches[batch].append(tuple(row))
        return [_batch(number, rows) for number, rows in sorted(batches.items())]

    def confirmed(self, after: int = 0) -> set[int]:
        """Labels with ids above ``after`` that a person confirmed."""
        query = "SELECT id FROM grouped WHERE name = ? AND id > ? AND confirmed"
        return {int(number) for (number,) in self.database.rows(query, (self.name, after))}

    def confirm(self, ids: Sequence[int]) -> None:
        """Note that a person says that these labels are right."""
        self._refuse_read_only()
        with self.database.transaction():
            self.database.update("grouped", "confirmed = 1", _THESE, (listed(ids),))
            self.database.log_event("confirm", {"samples": len(ids), "group": self.name})

    def confirm_samples(self, backbone: str, ids: Sequence[int]) -> None:
        """Note that a person says that what the group says of these samples is right."""
        self._refuse_read_only()
        with self.database.transaction():
            self.database.update("grouped", "confirmed = 1", self._among, (backbone, self.name, listed(ids)))
            self.database.log_event("confirm", {"samples": len(ids), "group": self.name})

    def set_aside(self, batches: Sequence[tuple[Sequence[int], str | None, str]]) -> list[int]:
        """As :meth:`Store.set_aside`, by the ids of the labels."""
        self._refuse_read_only()
        with self.database.transaction():
            for ids, looks_like, reason in batches:
                changes = "batch = ?, looks_like = ?, reason = ?"
                self.database.update("grouped", changes, _THESE, (min(ids), looks_like, reason, listed(ids)))
            self.database.taken_away(elsewhere=True)
            detail = {"samples": sum(len(ids) for ids, _, _ in batches), "group": self.name}
            self.database.log_event("set aside", detail)
        return [min(ids) for ids, _, _ in batches]

    def admit(self, backbone: str, ids: Sequence[int], label: str | None = None) -> list[int]:
        """As :meth:`Store.admit`; the samples keep their ids."""
        self._refuse_read_only()
        with self.database.transaction():
            for shown in {label} if label is not None else set(self.labels_of(backbone, ids).values()):
                self._show(self._hidden_of(backbone), shown)
            self._confirm_anew(self._take_pending(backbone, ids), label)
            self.database.log_event("admit", {"samples": len(ids), "group": self.name})
        self.database.scrub()
        return sorted(ids)

    # inside ------------------------------------------------------------------------------------------------------

    _among = "+backbone = ? AND name = ? AND sample IN (SELECT value FROM json_each(?))"

    def _hidden_of(self, backbone: str) -> str:
        return f"{backbone}/{self.name}"  # no name of a group holds a slash

    def _take_pending(self, backbone: str, ids: Sequence[int]) -> dict[int, tuple[str, str]]:
        """Those of the samples whose label is pending lose it; → sample → backbone and label."""
        condition = f"{self._among} AND batch IS NOT NULL"
        values = (backbone, self.name, listed(ids))
        query = f"SELECT sample, backbone, label FROM grouped WHERE {condition}"
        taken = {number: (of, label) for number, of, label in self.database.rows(query, values)}
        self.database.delete("grouped", condition, values)
        return taken

    def _confirm_anew(self, taken: Mapping[int, tuple[str, str]], label: str | None) -> None:
        """Label samples again, by new ids and confirmed: no version made before may change."""
        made = now()
        for number, (backbone, own) in sorted(taken.items()):
            self.database.insert(
                "grouped", sample=number, backbone=backbone, name=self.name, label=label or own, time=made, confirmed=1
            )


_UNLABELLED = "label = '' AND id NOT IN (SELECT sample FROM grouped)"
_THESE = "id IN (SELECT value FROM json_each(?))"


def _batch(number: int, rows: Sequence[tuple[Any, ...]]) -> PendingBatch:
    """Rows (label, looks_like, reason, time, sample) of one batch → PendingBatch."""
    label, looks_like, reason, _, _ = rows[0]
    samples = tuple(sorted(row[4] for row in rows))
    return PendingBatch(number, label, looks_like, len(rows), reason, min(row[3] for row in rows), samples)
