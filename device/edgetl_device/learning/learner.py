"""Learner: store + bundle → candidate → gate → promote, reject or roll back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..bundle.content import BundleContent
from ..codes import Int8
from ..errors import EdgetlError, HeadError, InputError, MismatchError, StorageError
from ..heads.evidence import Evidence
from ..heads.head import Head
from ..inference.backbone import Backbone
from ..inference.classifier import Classifier
from ..labels import NOTHING, check_label, check_label_count, check_sample_label, refuse_similar, similar_label
from ..statistics import Statistics
from ..store.pending import PendingBatch
from ..store.schema import SampleRow, VersionRow
from ..store.store import Store
from .drift import Drift, DriftState
from .gate_words import counted
from .retraining import Outcome as Outcome
from .retraining import Retraining
from .solver import Solver

log = logging.getLogger("edgetl.learner")

_UNSOLVABLE = (ArithmeticError, ValueError, MemoryError)  # NumPy's LinAlgError is a ValueError

GOOD = ("factory", "promoted")  # states of a version that may be rolled back to
_MOST_NAMED = 20  # labels in a message
MAX_STARTS = 3  # of a version that never ran well; then it is not tried again


@dataclass(frozen=True)
class Started:
    """What :meth:`Learner.mark_started` found.

    Args:
        version: the version to use.
        failed: the version that was given up just now because it never ran well, or None.
        reason: for a person; empty where nothing was given up.
    """

    version: int
    failed: int | None
    reason: str


class Learner:
    """Learns and forgets samples; the active head is never overwritten, only succeeded.

    A version is a rule and the samples it knows; its head is solved from them, so forgetting reaches into all versions.
    Statistics of the stored samples are kept in memory, so one more sample costs an addition and a solve.

    Whatever changes the store takes the learning lock and waits for another process up to ten seconds; then it raises
    StorageError. To keep several steps together: ``with learner.lock(): learner.add(…); learner.retrain()``. Reading
    and recognising never wait.

    Args:
        factory: the bundle's content.
        store: the device's database.
        runtime: name of the TFLite runtime recorded with samples.
    """

    def __init__(self, factory: BundleContent, store: Store, runtime: str) -> None:
        self.factory = factory
        self.store = store
        self.runtime = runtime
        self.bundle = factory.bundle
        self.transform = self.bundle.codes
        self.lock = store.lock
        self._solver = Solver(factory, store)
        self._done: tuple[str, ...] = ()  # to samples since the last retraining, for a person
        _ = self.active_version

    # reading -----------------------------------------------------------------------------------------------------

    @property
    def active_version(self) -> int:
        """The number of the version in use."""
        number = self.store.active(self.bundle.digest)
        if number is None:  # a new store, or one that was restored in its place and knows another bundle
            with self.lock():
                number = self.store.active(self.bundle.digest)  # another process may have been faster
                if number is None:
                    first = (self.bundle.digest, "factory", "installed", self.factory.rule, 0)
                    number = self.store.add_version(*first, {}, activate=True)
        return number

    def active_head(self) -> Head:
        """The head in use. One that cannot be solved is given up for the version before it, and the log says so."""
        while True:
            row = self._version(self.active_version)
            try:
                return self._solver.solve(row).head
            except (EdgetlError, *_UNSOLVABLE) as error:
                if isinstance(error, StorageError) or self._before(row.id) is None:
                    raise _as_refusal(error) from error
                self._give_up(row.id, f"its head cannot be made: {error}")

    def classifier(self, backbone: Backbone) -> Classifier:
        """The backbone with the head in use."""
        return Classifier(backbone, self.active_head())

    def samples(self, label: str | None = None) -> list[SampleRow]:
        """Stored samples of this backbone."""
        return self.store.samples(self.bundle.backbone_digest, label)

    def known_labels(self) -> tuple[str, ...]:
        """The bundle's labels and those of stored samples, sorted."""
        return tuple(sorted({*self.bundle.labels, *self.store.counts(self.bundle.backbone_digest)}))

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

    def versions(self) -> list[VersionRow]:
        """All versions made with this bundle."""
        return self.store.versions(self.bundle.digest)

    @property
    def is_new_to_its_samples(self) -> bool:
        """Whether samples are stored and no version was made since the one in use: so it is after an installation."""
        return any(not row.pending for row in self.samples()) and self.versions()[-1].id == self.active_version

    def has_nothing_to_learn(self, rule: str | None = None) -> bool:
        """Whether a retraining would only repeat the version in use: no rule but its own, no sample after its last."""
        return not self.unlearned and rule in (None, self._version(self.active_version).rule)

    @property
    def unlearned(self) -> int:
        """How many samples are stored that the version in use has not learned, those that are pending left out."""
        return self.store.count_after(self.bundle.backbone_digest, self._version(self.active_version).last_sample)

    def device_statistics(self) -> Statistics:
        """What was learned here, without what the factory brought."""
        return self.evidence().device

    def evidence(self) -> Evidence:
        """Everything known now; reads only what was added since the last call, unless something was taken away."""
        return self._solver.evidence(self._solver.newest())

    def drift(self) -> Drift:
        """Watches whether the stream still resembles what the active head knows; goes on where it was kept.

        Feed it with codes; it lives in memory. A changed head asks for a new one.
        """
        kept = self.store.drift(self.bundle.digest)
        mine = kept is not None and kept["version"] == self.active_version
        return Drift(self.active_head().novelty, kept if mine else None)

    def keep_drift(self, drift: Drift) -> None:
        """Write the window down, for ``status`` and the next process: rarely, SD cards wear."""
        self.store.keep_drift(self.bundle.digest, {"version": self.active_version, **drift.to_json()})

    def drift_state(self) -> DriftState:
        """What was last kept, without solving a head."""
        kept = self.store.drift(self.bundle.digest)
        if kept is None or kept["version"] != self.active_version:
            return DriftState("collecting", 0, None)
        return DriftState(kept["state"], kept["frames"], kept["rank"])

    # learning ----------------------------------------------------------------------------------------------------

    def add(self, label: str, raw: Int8, thumbnails: Sequence[bytes | None] = ()) -> list[int]:
        """Store (n, d) int8 raw embeddings of one label; durable when it returns. Returns their ids.

        Learning a factory label that was forgotten shows it again.

        Args:
            thumbnails: none, or one JPEG (or None) a sample, as :func:`~.photos.thumbnail` makes them. They are
                forgotten with their samples, never exported or backed up, and dropped first when the store is full.
        """
        label = check_sample_label(label)
        if raw.ndim != 2 or raw.shape[1] != self.transform.dimension or raw.dtype != np.int8:
            raise MismatchError(
                f"embeddings must be (n, {self.transform.dimension}) int8, got {raw.shape} {raw.dtype}: "
                "they were made by another backbone"
            )
        if len(thumbnails) not in (0, len(raw)):
            raise InputError(f"expected no thumbnails or one for each of {len(raw)} samples, got {len(thumbnails)}")
        with self.lock():
            self._check_room_for(label)
            return self.store.add_samples(label, raw, self.bundle.backbone_digest, self.runtime, thumbnails)

    def retrain(self, rule: str | None = None, *, accept_scene_change: bool = False) -> Outcome:
        """Fit a candidate on what is known and promote it if the gate lets it pass.

        What it does not let pass is set aside, batch by batch (see :meth:`pending`); all other samples are learned.

        Args:
            rule: a head's name; default is the active version's.
            accept_scene_change: use everything that is stored, what is pending too, whatever the gate says.

        Raises:
            HeadError: no head can be computed; the samples stay, and so does the version in use.
        """
        with self.lock():
            self.active_head()
            active = self._version(self.active_version)
            done = self._done if rule in (None, active.rule) else (*self._done, f"head {rule}")
            try:
                retraining = Retraining(self.factory, self.store, self._solver, active, rule or active.rule, done)
                outcome = retraining.run(insist=accept_scene_change)
            except _UNSOLVABLE as error:
                raise _as_refusal(error) from error
            self._done = ()
            if outcome.promoted:
                try:
                    self.store.backup_if_due()
                except StorageError as error:  # the new head is in use all the same
                    log.warning("no automatic backup: %s", error)
        return outcome

    def forget(self, ids: Sequence[int]) -> int:
        """Remove samples exactly: statistics are as if they had never been added. Returns how many."""
        with self.lock():
            distinct = self._existing(ids)
            labels = set(self.store.labels_of(self.bundle.backbone_digest, distinct).values())
            self.store.remove_samples(self.bundle.backbone_digest, distinct)
            left = labels & set(self.known_labels())  # nothing names a label that is gone
            of_label = f" of {min(left)}" if len(labels) == len(left) == 1 else ""
            self._done = (*self._done, f"forgot {counted(len(distinct))}{of_label}")
        return len(distinct)

    def forget_label(self, label: str) -> tuple[int, bool]:
        """Remove all samples of a label; returns how many, and whether it is the factory's and is hidden from now on.

        Raises:
            InputError: nobody knows this label.
        """
        with self.lock():
            self.check_known(label)
            ours = label in self.bundle.labels
            removed = self.forget([row.id for row in self.samples(label)])
            if ours:
                self.hide(label)
        return removed, ours

    def forget_all(self) -> int:
        """Back to what the factory knew: no samples, of no backbone, and no hidden labels. Returns how many samples."""
        with self.lock():
            self._done = ("forgot everything",)
            return self.store.remove_everything()

    def hide(self, label: str) -> None:
        """Never predict a factory label again, until it is learned again."""
        with self.lock():
            self.store.hide(self.bundle.backbone_digest, label)

    def relabel(self, label: str, ids: Sequence[int]) -> int:
        """Move samples to another label. Returns how many: those that are learned under it already stay as they are."""
        label = check_sample_label(label)
        with self.lock():
            already = {row.id for row in self.samples(label) if not row.pending}
            distinct = [number for number in self._existing(ids) if number not in already]
            if not distinct:
                return 0
            self._check_room_for(label)
            self.store.relabel_samples(self.bundle.backbone_digest, distinct, label)
            self._done = (*self._done, f"moved {counted(len(distinct))} to {label}")
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
            return self.forget(self.pending_batch(number).ids)

    def rollback(self, number: int | None = None) -> int:
        """Re-activate an earlier version; default is the last good one before the active. Returns its number."""
        with self.lock():
            active = self.active_version
            good = [row for row in self.versions() if row.state in GOOD]
            if number is None:
                target = self._before(active)
                if target is None:
                    raise InputError(f"version {active} is the oldest: there is nothing to roll back to")
            else:
                matching = [row for row in good if row.id == number]
                known = ", ".join(str(row.id) for row in good)
                bad = [row for row in self.versions() if row.id == number and row.state not in GOOD]
                if bad:
                    why = "was rejected by the gate" if bad[0].state == "rejected" else "did not start"
                    raise InputError(f"version {number} {why} and cannot be used: expected one of {known}")
                if not matching:
                    raise InputError(f"no version {number} to roll back to: expected one of {known}")
                target = matching[0]
            self.store.activate(self.bundle.digest, target.id)
        return target.id

    # a head that makes the app fail ------------------------------------------------------------------------------

    def mark_started(self) -> Started:
        """Note on disk that the active version is put to use: an app calls this at its start and after each swap.

        A version that was started three times and never got to :meth:`mark_healthy` made the app fail, whatever way it
        died: it is given up for the last good version before it. A version that was healthy once is not counted any
        more, for what fails then is something else; nor is the factory's, which has none before it.
        """
        with self.lock():
            failed, reason = None, ""
            while True:
                number = self.active_version
                if self.store.count_start(number) <= MAX_STARTS or self._before(number) is None:
                    return Started(number, failed, reason)
                failed, reason = number, f"it failed to start {MAX_STARTS} times"
                reason = self._give_up(number, reason)

    def mark_healthy(self) -> None:
        """Note on disk that the active version works: an app calls this once, after its first good inferences."""
        with self.lock():
            self.store.prove(self.active_version)

    def _give_up(self, number: int, why: str) -> str:
        with self.lock():
            target = self._before(number)
            assert target is not None, "callers made sure"
            reason = f"version {number} was rolled back to {target.id}: {why}"
            self.store.fail(self.bundle.digest, number, target.id, reason)
        log.warning("%s", reason)
        return reason

    # inside ------------------------------------------------------------------------------------------------------

    def _version(self, number: int) -> VersionRow:
        row = self.store.version(self.bundle.digest, number)
        assert row is not None, "active versions exist: a foreign key says so"
        return row

    def _before(self, number: int) -> VersionRow | None:
        """The last good version before one."""
        earlier = [row for row in self.versions() if row.id < number and row.state in GOOD]
        return earlier[-1] if earlier else None

    def _check_room_for(self, label: str) -> None:
        if label not in self.bundle.labels:
            labels = {*self.known_labels(), label}
            check_label_count(len(labels), "`edgetl-device forget --label L` makes room")

    def _existing(self, ids: Sequence[int]) -> list[int]:
        distinct = list(dict.fromkeys(ids))
        missing = sorted(set(distinct) - set(self.store.labels_of(self.bundle.backbone_digest, distinct)))
        if missing:
            raise InputError(f"no sample {missing[0]}: list them with `edgetl-device samples`")
        return distinct


def _as_refusal(error: Exception) -> EdgetlError:
    """What kept a head from being computed, as a line for a person."""
    if isinstance(error, EdgetlError):
        return error
    cause = " ".join(str(error).split())[:80] or type(error).__name__
    return HeadError(
        f"no head can be computed from the bundle and the samples ({cause}): `edgetl-device forget` what was taught "
        "last, or install another bundle"
    )
