"""SampleKeeper: samples and their labels, and what a person decides about those that the gate set aside."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from ..bundle.content import BundleContent
from ..codes import Int8
from ..errors import InputError, MismatchError
from ..labels import NOTHING, check_label, check_label_count, check_sample_label, refuse_similar, similar_label
from ..store.pending import PendingBatch
from ..store.schema import SampleRow
from ..store.store import Store
from .gate_words import Done, counted

_MOST_NAMED = 20  # labels in a message


class SampleKeeper:
    """The samples of one bundle's backbone, in a store; no method makes a head.

    Args:
        factory: the bundle's content.
        store: the device's database.
        runtime: name of the TFLite runtime recorded with samples.
    """

    def __init__(self, factory: BundleContent, store: Store, runtime: str) -> None:
        self.bundle = factory.bundle
        self.store = store
        self.runtime = runtime
        self.lock = store.lock
        self.transform = self.bundle.codes
        self._done: tuple[Done, ...] = ()  # to samples since the last retraining, for a person

    def samples(self, label: str | None = None) -> list[SampleRow]:
        """Stored samples of this backbone."""
        return self.store.samples(self.bundle.backbone_digest, label)

    def photo_ids(self) -> list[int]:
        """Ids of all stored samples of this backbone, those that are labelled in groups alone too, ascending."""
        return sorted(self.store.photos(self.bundle.backbone_digest))

    def groups_of(self, ids: Sequence[int]) -> tuple[str, ...]:
        """The groups in which any of these samples is labelled, sorted."""
        return tuple(sorted({name for labels in self.store.grouped.labels_of(ids).values() for name in labels}))

    def known_labels(self) -> tuple[str, ...]:
        """The bundle's labels and those of stored samples, sorted."""
        return tuple(sorted({*self.bundle.labels, *self.store.labels(self.bundle.backbone_digest)}))

    def check_known(self, label: str) -> None:
        """Raise InputError if neither the bundle nor a sample has this label."""
        known = self.known_labels()
        if label not in known:
            meant = similar_label(label, known)
            question = f"did you mean {meant}? " if meant else ""
            names = ", ".join(known[:_MOST_NAMED]) + (", …" if len(known) > _MOST_NAMED else "")
            raise InputError(f"no label {label!r}: {question}known labels: {names or 'none yet'}")

    def refuse_slip(self, label: str, insist: str) -> None:
        """Raise SimilarLabelError where a label is new here and may be a slip of a known one.

        Args:
            insist: how to say that it is meant, for the message.
        """
        if check_sample_label(label) != NOTHING:
            refuse_similar(check_label(label), self.known_labels(), insist)

    def add(
        self,
        label: str,
        raw: Int8,
        thumbnails: Sequence[bytes | None] = (),
        *,
        view: str = "",
        groups: Mapping[str, str] | None = None,
    ) -> list[int]:
        """Store (n, d) int8 raw embeddings of one label; durable when it returns. Returns their ids.

        Learning a factory label that was forgotten shows it again.

        Args:
            label: "" for samples that are labelled in groups alone.
            thumbnails: none, or one JPEG (or None) a sample, as :func:`~.photos.thumbnail` makes them. They are
                forgotten with their samples, never exported or backed up, and dropped first when the store is full.
            view: how their photos were looked at, :attr:`Looking.key <edgetl_device.looking.Looking.key>`.
            groups: what they are labelled as in groups, see :meth:`~.groups.Groups.add`.
        """
        if label or not groups:
            label = check_sample_label(label)
        if len(thumbnails) not in (0, len(raw)):
            raise InputError(f"expected no thumbnails or one for each of {len(raw)} samples, got {len(thumbnails)}")
        with self.lock():
            self.check_addition(label, raw)
            backbone = self.bundle.backbone_digest
            with self._changing(()) if label in self.store.hidden(backbone) else nullcontext():
                return self.store.add_samples(label, raw, backbone, self.runtime, thumbnails, view, groups)

    def check_addition(self, label: str, raw: Int8) -> None:
        """Raise InputError or MismatchError unless these embeddings can be added as samples of a label."""
        if raw.ndim != 2 or raw.shape[1] != self.transform.dimension or raw.dtype != np.int8:
            raise MismatchError(
                f"embeddings must be (n, {self.transform.dimension}) int8, got {raw.shape} {raw.dtype}: "
                "they were made by another backbone"
            )
        if label:
            self._check_room_for(check_sample_label(label))

    def forget(self, ids: Sequence[int]) -> int:
        """Remove samples exactly: statistics are as if they had never been added. Returns how many.

        With them go their labels in all groups; a group's learner takes away its own labels alone.
        """
        with self.lock():
            return self._forget(self._existing(ids, self.store.photos), self.store.remove_samples)

    def _forget(self, distinct: Sequence[int], remove: Callable[[str, Sequence[int]], None]) -> int:
        with self.lock():
            labels = set(self.store.labels_of(self.bundle.backbone_digest, distinct).values())
            with self._changing(distinct):
                remove(self.bundle.backbone_digest, distinct)
            left = labels & set(self.known_labels())  # nothing names a label that is gone
            label = min(left) if len(labels) == len(left) == 1 else None
            words = f"forgot {counted(len(distinct))}{f' of {label}' if label else ''}"
            self._done = (*self._done, Done(words, "forgot", len(distinct), label))
        return len(distinct)

    def forget_label(self, label: str) -> tuple[int, bool]:
        """Remove all samples of a label; returns how many, and whether it is the factory's and is hidden from now on.

        Raises:
            InputError: nobody knows this label.
        """
        with self.lock():
            self.check_known(label)
            ours = label in self.bundle.labels
            removed = self._forget([row.id for row in self.samples(label)], self.store.unlabel_samples)
            if ours:
                self.hide(label)
        return removed, ours

    def forget_all(self) -> int:
        """Back to what the factory knew: no samples, of no backbone, and no hidden labels. Returns how many samples."""
        with self.lock():
            self._done = (Done("forgot everything"),)
            return self.store.remove_everything()

    def hide(self, label: str) -> None:
        """Never predict a factory label again, until it is learned again."""
        with self.lock(), self._changing(()):
            self.store.hide(self.bundle.backbone_digest, label)

    def relabel(self, label: str, ids: Sequence[int]) -> int:
        """Move samples to another label. Returns how many: those that are learned under it already stay as they are."""
        label = check_sample_label(label)
        with self.lock():
            labels = self.store.labels_of(self.bundle.backbone_digest, ids)
            pending = {number for batch in self.pending() for number in batch.ids}
            already = {number for number, own in labels.items() if own == label and number not in pending}
            distinct = [number for number in self._existing(ids) if number not in already]
            if not distinct:
                return 0
            self._check_room_for(label)
            with self._changing(distinct):
                self.store.relabel_samples(self.bundle.backbone_digest, distinct, label)
            words = f"moved {counted(len(distinct))} to {label}"
            self._done = (*self._done, Done(words, "moved", len(distinct), label))
        return len(distinct)

    def confirm(self, ids: Sequence[int]) -> int:
        """A person says that these samples' labels are right: nobody doubts them again. → how many."""
        with self.lock():
            distinct = self._existing(ids)
            self.store.confirm_samples(self.bundle.backbone_digest, distinct)
        return len(distinct)

    # pending -----------------------------------------------------------------------------------------------------

    def pending(self) -> list[PendingBatch]:
        """Batches that the gate set aside, oldest first: stored, and learned by no head before a person decides."""
        return self.store.pending(self.bundle.backbone_digest)

    def pending_batch(self, number: int) -> PendingBatch:
        """One of them; raises InputError where there is none."""
        batches = self.pending()
        for batch in batches:
            if batch.id == number:
                return batch
        known = ", ".join(str(batch.id) for batch in batches[:_MOST_NAMED])
        raise InputError(f"no pending batch {number}: {f'expected one of {known}' if known else 'nothing is pending'}")

    def use_pending(self, number: int) -> list[int]:
        """A person says that a pending batch is labelled rightly: nobody asks again. → its samples' ids from now on.

        The head follows at the next :meth:`retrain`, as after all changes of samples.
        """
        with self.lock():
            return self.store.admit(self.bundle.backbone_digest, self.pending_batch(number).ids)

    def move_pending(self, number: int, label: str | None = None) -> tuple[str, list[int]]:
        """Move a pending batch to a label, by default the one it looks like; → that, and its ids from now on.

        Raises:
            InputError: no such batch, or none is given and it looks like no label, or like several.
        """
        with self.lock():
            batch = self.pending_batch(number)
            target = label if label is not None else batch.looks_like
            if target is None:
                raise InputError(
                    f"batch {number} does not look like one thing: give a LABEL for all of it, or relabel its samples"
                )
            target = check_sample_label(target)
            self._check_room_for(target)
            return target, self.store.admit(self.bundle.backbone_digest, batch.ids, target)

    def forget_pending(self, number: int) -> int:
        """Remove a pending batch exactly; returns how many samples."""
        with self.lock():
            return self._forget(self.pending_batch(number).ids, self.store.unlabel_samples)

    # inside ------------------------------------------------------------------------------------------------------

    def _changing(self, ids: Sequence[int]) -> AbstractContextManager[None]:
        """Around what changes these samples, or hides or shows a label, for who remembers the others."""
        return nullcontext()

    def _check_room_for(self, label: str) -> None:
        if label not in self.bundle.labels:
            labels = {*self.known_labels(), label}
            check_label_count(len(labels), "`edgetl-device forget --label L` makes room")

    def _existing(
        self, ids: Sequence[int], stored: Callable[[str, Sequence[int]], Container[int]] | None = None
    ) -> list[int]:
        """Ids, each once.

        Args:
            stored: backbone and ids → those that there are; by default those that are labelled.
        """
        distinct = list(dict.fromkeys(ids))
        there = (stored or self.store.labels_of)(self.bundle.backbone_digest, distinct)
        missing = sorted(number for number in distinct if number not in there)
        if missing:
            raise InputError(f"no sample {missing[0]}: list them with `edgetl-device samples`")
        return distinct
