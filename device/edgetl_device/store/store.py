"""The device's store: samples, head versions, the active version, trials and the event log in one SQLite file.

"New head" and "now active" are one transaction; see :mod:`.database` for how the file survives and :mod:`.schema` for
its tables.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..codes import Int8
from ..errors import StorageError
from ..files import make_private
from .budget import MAX_BYTES, MAX_SAMPLES, Budget
from .checksum import row_checksum
from .database import Database
from .grouped import GroupedLabels, listed
from .inspected import InspectedPhotos
from .learned_samples import LearnedSamples
from .lock import LearningLock
from .pending import PendingBatch, PendingSamples
from .read_only import is_read_only, private_copy
from .regions import Regions
from .repair import ACCEPTED, Repair, repairs_in
from .replacement import now
from .review import ReviewFrames
from .schema import SampleRow
from .shifts import Shifts
from .versions import StoredVersions
from .views import Views

log = logging.getLogger("edgetl.store")

_ROW = "id, label, time, EXISTS (SELECT 1 FROM pending WHERE sample = id)"

MAX_ID = (1 << 63) - 1  # of SQLite


class Store(LearnedSamples):
    """One open store; not shared between threads.

    Args:
        path: the SQLite file, made if missing.
        max_samples, max_bytes: the budget.

    Attributes:
        budget: how much it may hold.
        versions: head versions, the active one, and their trials.
        inspected: what visual inspection was taught.
        review: frames that are kept for a person to glance at.

    Raises:
        HomeError, StorageError: as :class:`~.database.Database`; StorageError from whatever learns or forgets where the
            disk is read-only. What is noted in passing, as starts and drift, is then lost with this object.
    """

    def __init__(self, path: Path, max_samples: int = MAX_SAMPLES, max_bytes: int = MAX_BYTES) -> None:
        self._copy = private_copy(path) if is_read_only(path) else None
        self._path = path
        self.database = Database(Path(self._copy.name) / path.name if self._copy else path)
        self.keeps_summaries = self._copy is None
        if self._copy is None:
            make_private(path.parent)
        self.budget = Budget(self.database, max_samples, max_bytes)
        self.versions = StoredVersions(self.database, self._refuse_read_only)
        self.inspected = InspectedPhotos(self.database, self._refuse_read_only, self.budget.make_room)
        self.shifts = Shifts(self.database, self._refuse_read_only)
        self.views = Views(self.database, self._refuse_read_only)
        self.regions = Regions(self.database, self._refuse_read_only)
        self.review = ReviewFrames(self.database, self._refuse_read_only, self.budget.has_room)
        self.grouped = GroupedLabels(self.database)
        self._pending = PendingSamples(self.database, self.views, self.grouped)

    def close(self) -> None:
        """Give the file back; afterwards the store cannot be used."""
        self.database.close()
        if self._copy is not None:
            self._copy.cleanup()

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self._path

    @property
    def lock(self) -> LearningLock:
        """The learning lock: whoever takes it goes on with the store that is at the path then."""
        return self.database.lock

    @property
    def backup_path(self) -> Path:
        """The automatic backup beside the store."""
        return self.database.backup_path

    def backup(self, target: Path) -> None:
        """A verified copy as one file, while the store is in use; without pictures, which stay on the device."""
        self.database.backup(target)

    def backup_if_due(self) -> None:
        """Renew the automatic backup if it is older than a day."""
        if self._copy is None:
            self.database.backup_if_due()

    def settle(self) -> None:
        """Move what was learned out of the write-ahead log: for an app, about once a second."""
        self.database.settle()

    def has_followed(self) -> bool:
        """Whether a change of this store went to another file that had taken the place of the one first opened."""
        return self.database.followed

    def is_replaced(self) -> bool:
        """Whether to open it again: another file has taken its place, or it can be written and could not before."""
        return self.database.is_replaced() or (self._copy is not None and not is_read_only(self._path))

    @property
    def device(self) -> str:
        """A random identifier, made with the store: merging tells devices apart by it."""
        ((device,),) = self.database.rows("SELECT device FROM identity")
        return str(device)

    def become_another(self) -> str:
        """Take a new identifier, for a store that was copied: both count from now on. Returns it."""
        self._refuse_read_only()
        identifier = str(uuid.uuid4())
        with self.database.transaction():
            self.database.identify(identifier)
            self.database.log_event("identity", {"device": identifier})
        return identifier

    def repairs(self) -> list[Repair]:
        """The repairs of this store whose losses nobody accepted yet, oldest first."""
        return repairs_in(self.database.rows)

    def accept_losses(self) -> None:
        """Note that somebody knows what is missing: :meth:`repairs` is empty until the next one."""
        self._refuse_read_only()
        with self.database.transaction():
            self.database.log_event(ACCEPTED, {})

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
        """(n, d) int8 raw embeddings of one label → their ids; durable when it returns. Shows a hidden label again.

        A photo that was labelled in groups alone is not stored again: it gets this label, and a new id, for a version
        is the head of the samples up to an id and none made before may change.

        Args:
            label: "" where they are labelled in groups alone.
            thumbnails: none, or one JPEG (or None) for each sample; left out where the budget has no room for them.
            view: how the photos were looked at, as JSON; empty as the bundle does.
            groups: group → what they are labelled as there.
        """
        self._refuse_read_only()
        with self.database.transaction():
            return self.insert(label, raw, backbone, runtime, thumbnails, view, groups or {})

    def insert(
        self,
        label: str,
        raw: Int8,
        backbone: str,
        runtime: str,
        thumbnails: Sequence[bytes | None],
        view: str,
        groups: Mapping[str, str],
    ) -> list[int]:
        """What :meth:`add_samples` does, in the caller's transaction."""
        made = now()
        self.budget.make_room(len(raw), raw.nbytes)
        self._show(self._hidden_of(backbone), label)
        rows = [(backbone, runtime, label, row.tobytes(), made) for row in raw]
        ids = self.database.insert_samples(rows)
        self.views.note(ids, view)
        pictures = [(i, jpeg) for i, jpeg in zip(ids, thumbnails, strict=False) if jpeg is not None]
        if self.database.size_bytes() + sum(len(jpeg) for _, jpeg in pictures) <= self.budget.max_bytes:
            checked = [(*picture, row_checksum("thumbnails", picture)) for picture in pictures]
            self.database.run("INSERT INTO thumbnails VALUES (?, ?, ?)", checked)
        if label:  # after the pictures: those of samples whose place is taken are kept where there are no newer ones
            self.grouped.take_over(backbone, runtime, ids, rows, groups)
        for group, name in groups.items():
            self.grouped.label(group, name, backbone, ids)
        self.database.log_event("learn", {"label": label, "samples": len(ids)})
        return ids

    def samples(self, backbone: str, label: str | None = None) -> list[SampleRow]:
        """Stored samples of a backbone, oldest first."""
        query = (
            f"SELECT {_ROW} FROM samples WHERE backbone = ? AND label <> '' AND (? IS NULL OR label = ?) ORDER BY id"
        )
        return [sample_row(row) for row in self.database.rows(query, (backbone, label, label))]

    def newest_samples(
        self, backbone: str, label: str | None = None, before: int | None = None, limit: int = 48
    ) -> list[SampleRow]:
        """Up to so many samples with an id below ``before``, newest first; what is not asked for is not read."""
        mine, values = "backbone = ? AND label = ?", list[Any]((backbone, label))
        if label is None:  # the sign keeps SQLite from the index, whose rows it would have to sort
            mine, values = "+backbone = ? AND label <> ''", [backbone]
        query = f"SELECT {_ROW} FROM samples WHERE {mine} AND id < ? ORDER BY id DESC LIMIT ?"
        values = [*values, MAX_ID if before is None else before, limit]
        return [sample_row(row) for row in self.database.rows(query, values)]

    def counts(self, backbone: str) -> dict[str, int]:
        """Label → how many samples are stored; sorted."""
        query = "SELECT label, count(*) FROM samples WHERE backbone = ? AND label <> '' GROUP BY label ORDER BY label"
        return {label: int(count) for label, count in self.database.rows(query, (backbone,))}

    def count(self) -> int:
        """How many samples are stored, of all backbones and whatever they are labelled as."""
        return self.database.state().samples

    def count_elsewhere(self, backbone: str) -> int:
        """How many samples belong to other backbones: of no use with this one, but counted in the budget."""
        ((count,),) = self.database.rows(
            "SELECT count(*) FROM samples WHERE backbone < ?1 OR backbone > ?1", (backbone,)
        )
        return int(count)

    def thumbnail(self, identity: int) -> bytes | None:
        """The JPEG kept with a sample, or None, also where it was damaged."""
        for row in self.database.rows("SELECT sample, jpeg, checksum FROM thumbnails WHERE sample = ?", (identity,)):
            if row_checksum("thumbnails", row[:-1]) == row[-1]:
                return bytes(row[1])
            log.warning("the picture of sample %d is damaged", identity)
        return None

    def labels_of(self, backbone: str, ids: Sequence[int]) -> dict[int, str]:
        """Those of the ids that exist → their labels."""
        query = (
            "SELECT id, label FROM samples WHERE +backbone = ? AND label <> '' "
            "AND id IN (SELECT value FROM json_each(?)) ORDER BY id"
        )
        return dict(self.database.rows(query, (backbone, listed(ids))))

    def photos(self, backbone: str, ids: Sequence[int] | None = None) -> frozenset[int]:
        """Those of the ids that exist, or all, also where they are labelled in groups alone."""
        query, values = "SELECT id FROM samples WHERE +backbone = ?", [backbone]
        if ids is not None:
            query, values = f"{query} AND id IN (SELECT value FROM json_each(?))", [backbone, listed(ids)]
        return frozenset(int(number) for (number,) in self.database.rows(query, values))

    def remove_samples(self, backbone: str, ids: Sequence[int]) -> None:
        """Delete samples with their thumbnails in one step; nothing of them stays in the files."""
        self._remove(backbone, ids, "0")

    def unlabel_samples(self, backbone: str, ids: Sequence[int]) -> None:
        """As :meth:`remove_samples`, but a sample that is labelled in a group stays there."""
        self._remove(backbone, ids, "id IN (SELECT sample FROM grouped)")

    def _remove(self, backbone: str, ids: Sequence[int], stays: str) -> None:
        self._refuse_read_only()
        here, values = "+backbone = ? AND id IN (SELECT value FROM json_each(?))", (backbone, listed(ids))
        with self.database.transaction():
            learned = f"{here} AND label <> '' AND id NOT IN (SELECT sample FROM pending)"
            is_learned = any(self.database.rows(f"SELECT 1 FROM samples WHERE {learned} LIMIT 1", values))
            self.database.delete_samples(f"{here} AND NOT {stays}", values)
            kept = [int(number) for (number,) in self.database.rows(f"SELECT id FROM samples WHERE {here}", values)]
            for table in ("pending", "confirmed"):
                self.database.delete(table, "sample IN (SELECT value FROM json_each(?))", (listed(kept),))
            self.database.update("samples", "label = ''", here, values)
            self.database.taken_away(elsewhere=not is_learned)
            self.database.log_event("forget", {"samples": len(ids)})
        self.database.scrub(None if kept else ids)

    def remove_everything(self) -> int:
        """Delete the samples of all backbones and show hidden labels again, in one step; returns how many samples.

        Frames for review go too: they are the camera's pictures as well.
        """
        self._refuse_read_only()
        with self.database.transaction():
            for hidden in list(self.database.rows("SELECT backbone, label FROM hidden")):
                self._show(*hidden)
            removed = self.database.delete_samples("1")
            self.review.drop_rows()
            self.database.taken_away()
            self.database.log_event("forget", {"samples": removed})
        self.database.scrub()
        return removed

    def relabel_samples(self, backbone: str, ids: Sequence[int], label: str) -> None:
        """Move samples to another label; a hidden one is shown again."""
        self._refuse_read_only()
        pending = self._pending.among(ids)
        with self.database.transaction():
            self._show(self._hidden_of(backbone), label)
            learned = [identity for identity in ids if identity not in pending]
            for identity in learned:
                self.database.update("samples", "label = ?", "backbone = ? AND id = ?", (label, backbone, identity))
            self._pending.confirm(learned)
            if pending:
                self._pending.admit(sorted(pending), label)
            if learned:
                self.database.taken_away()
            self.database.log_event("relabel", {"samples": len(ids), "label": label})
        if pending:
            self.database.scrub()

    # pending -----------------------------------------------------------------------------------------------------

    def pending(self, backbone: str) -> list[PendingBatch]:
        """Batches of samples that were set aside, oldest first."""
        return self._pending.batches(backbone)

    def confirmed(self, after: int = 0) -> set[int]:
        """Samples with ids above ``after`` whose label a person confirmed."""
        return self._pending.confirmed(after)

    def confirm(self, ids: Sequence[int]) -> None:
        """Note that a person says that these samples' labels are right: nobody asks about them again."""
        self._refuse_read_only()
        with self.database.transaction():
            self._pending.confirm(ids)
            self.database.log_event("confirm", {"samples": len(ids)})

    def confirm_samples(self, backbone: str, ids: Sequence[int]) -> None:
        """As :meth:`confirm`, of a backbone's samples by their own ids."""
        self.confirm(ids)

    def set_aside(self, batches: Sequence[tuple[Sequence[int], str | None, str]]) -> list[int]:
        """Ids, what they look like and why, of each batch → the batches' numbers; no head learns them from now on."""
        self._refuse_read_only()
        with self.database.transaction():
            numbers = [self._pending.set_aside(*batch) for batch in batches]
            self.database.taken_away()
            self.database.log_event("set aside", {"samples": sum(len(ids) for ids, _, _ in batches)})
        return numbers

    def admit(self, backbone: str, ids: Sequence[int], label: str | None = None) -> list[int]:
        """Let pending samples be learned, under their label or another; → their ids from now on.

        The move is one step. They are confirmed: nobody asks about them again. A hidden label is shown again.
        """
        self._refuse_read_only()
        with self.database.transaction():
            for shown in {label} if label is not None else set(self.labels_of(backbone, ids).values()):
                self._show(self._hidden_of(backbone), shown)
            new = self._pending.admit(ids, label)
            self.database.log_event("admit", {"samples": len(new)})
        self.database.scrub()
        return new

    def hidden(self, backbone: str) -> frozenset[str]:
        """Factory labels that were forgotten."""
        return frozenset(
            label
            for (label,) in self.database.rows(
                "SELECT label FROM hidden WHERE backbone = ?", (self._hidden_of(backbone),)
            )
        )

    def hide(self, backbone: str, label: str) -> None:
        """Hide a factory label until it is learned again."""
        self._refuse_read_only()
        with self.database.transaction():
            if label not in self.hidden(backbone):
                self.database.insert("hidden", backbone=self._hidden_of(backbone), label=label)
            self.database.taken_away(elsewhere=True)
            self.database.log_event("hide", {"label": label})

    def revision(self) -> int:
        """Changes whenever anything but an addition happened to samples or labels, in this process or another."""
        state = self.database.state()
        return (state.generation << 32) + state.revision

    def sequence(self) -> int:
        """Grows with every change, also when a backup is restored: of two exports the one with more is newer."""
        state = self.database.state()
        return (state.generation << 32) + state.sequence

    # the rest ----------------------------------------------------------------------------------------------------

    def drift(self, bundle: str) -> dict[str, Any] | None:
        """What was last kept about the stream (see :mod:`.drift`), or None."""
        rows = list(self.database.rows("SELECT state FROM drift WHERE bundle = ?", (bundle,)))
        return dict(json.loads(rows[0][0])) if rows else None

    def keep_drift(self, bundle: str, state: dict[str, Any]) -> None:
        """Replace what is kept about the stream."""
        with self.database.transaction():
            self.database.delete("drift", "bundle = ?", (bundle,))
            self.database.insert("drift", bundle=bundle, time=now(), state=json.dumps(state))

    def _refuse_read_only(self) -> None:
        if self._copy is not None:
            raise StorageError(
                f"{self._path} cannot be written (read-only disk, or another user's): nothing was changed; "
                "check the card, `dmesg` tells why it turned read-only"
            )

    def _hidden_of(self, backbone: str) -> str:
        """What the rows of hidden labels call a backbone."""
        return backbone

    def _show(self, hidden_of: str, label: str) -> None:
        if self.database.delete("hidden", "backbone = ? AND label = ?", (hidden_of, label)):
            self.database.taken_away(elsewhere=True)
            self.database.log_event("show", {"label": label})


def sample_row(row: tuple[Any, ...]) -> SampleRow:
    """Of id, label, time and whether it is pending."""
    number, label, made, pending = row
    return SampleRow(number, label, made, bool(pending))
