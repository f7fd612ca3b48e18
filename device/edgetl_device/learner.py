"""Learner: store + bundle → candidate → gate → promote, reject or roll back."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .backbone import Backbone
from .classifier import Classifier
from .codes import Codes, Int8
from .errors import InputError, MismatchError, StorageError
from .factory import Factory
from .gate import Verdict, judge
from .heads import Evidence, Head, fit_head
from .labels import check_label
from .statistics import Statistics, statistics_of
from .store import SampleRow, Store, VersionRow

log = logging.getLogger("edgetl.learner")


@dataclass(frozen=True)
class Outcome:
    """What a retraining led to.

    Args:
        version: number of the version that is active now.
        promoted: whether it is the candidate.
        reason: for a person.
        accuracy: of the candidate on the holdout, 0 … 1; None without a holdout.
        retrain_ms: from evidence to verdict, milliseconds.
    """

    version: int
    promoted: bool
    reason: str
    accuracy: float | None
    retrain_ms: float


class Learner:
    """Learns and forgets samples; the active head is never overwritten, only succeeded.

    A version is a rule and the samples it knows; its head is solved from them, so forgetting reaches into all versions.
    Statistics of the stored samples are kept in memory, so one more sample costs an addition and a solve.

    Args:
        factory: the bundle's content.
        store: the device's database.
        runtime: name of the TFLite runtime recorded with samples.
    """

    def __init__(self, factory: Factory, store: Store, runtime: str) -> None:
        self.factory = factory
        self.store = store
        self.runtime = runtime
        self.bundle = factory.bundle
        self.transform = self.bundle.codes
        self._evidence: Evidence | None = None
        self._last_sample = 0
        self._solved: tuple[int, Head] | None = None
        self._revision = 0
        if store.active(self.bundle.digest) is None:
            store.add_version(self.bundle.digest, "factory", "installed", factory.rule, 0, {}, activate=True)

    # reading -----------------------------------------------------------------------------------------------------

    @property
    def active_version(self) -> int:
        """The number of the version in use."""
        number = self.store.active(self.bundle.digest)
        assert number is not None, "the constructor made one"
        return number

    def active_head(self) -> Head:
        """The head in use."""
        return self._head(self._version(self.active_version))

    def classifier(self, backbone: Backbone) -> Classifier:
        """The backbone with the head in use."""
        return Classifier(backbone, self.active_head())

    def samples(self, label: str | None = None) -> list[SampleRow]:
        """Stored samples of this backbone."""
        return self.store.samples(self.bundle.backbone_digest, label)

    def versions(self) -> list[VersionRow]:
        """All versions made with this bundle."""
        return self.store.versions(self.bundle.digest)

    def device_statistics(self) -> Statistics:
        """What was learned here, without what the factory brought."""
        return self.evidence().device

    def evidence(self) -> Evidence:
        """Everything known now; reads only what was added since the last call, unless something was taken away."""
        self._refresh()
        if self._evidence is None:
            self._evidence, self._last_sample = self._gather(None)
        else:
            backbone, dimension = self.bundle.backbone_digest, self.transform.dimension
            ids, labels, runtimes, raw = self.store.embeddings(backbone, dimension, after=self._last_sample)
            if ids:
                self._evidence = _extend(self._evidence, self.transform(raw), labels, runtimes)
                self._last_sample = ids[-1]
        return self._evidence

    # learning ----------------------------------------------------------------------------------------------------

    def add(self, label: str, raw: Int8) -> list[int]:
        """Store (n, d) int8 raw embeddings of one label; durable when it returns. Returns their ids.

        Learning a factory label that was forgotten shows it again.
        """
        label = check_label(label)
        if raw.ndim != 2 or raw.shape[1] != self.transform.dimension or raw.dtype != np.int8:
            raise MismatchError(
                f"embeddings must be (n, {self.transform.dimension}) int8, got {raw.shape} {raw.dtype}: "
                "they were made by another backbone"
            )
        return self.store.add_samples(label, raw, self.bundle.backbone_digest, self.runtime)

    def retrain(self, rule: str | None = None, *, accept_scene_change: bool = False) -> Outcome:
        """Fit a candidate on everything known and promote it if the gate lets it pass.

        Args:
            rule: a head's name; default is the active version's.
            accept_scene_change: promote although known classes lose on the factory's holdout.
        """
        started = time.perf_counter()
        active = self._version(self.active_version)
        evidence = self.evidence()
        candidate = fit_head(evidence, rule or active.rule)
        verdict = judge(candidate, self._head(active), evidence.holdout, evidence.holdout_labels)
        if not verdict.promoted and accept_scene_change:
            reason = f"{verdict.reason.replace('rejected', 'promoted')} (accepted as a change of scene)"
            verdict = Verdict(True, reason, verdict.accuracy)
        number = self.store.add_version(
            self.bundle.digest,
            "promoted" if verdict.promoted else "rejected",
            verdict.reason,
            candidate.rule,
            self._last_sample,
            {"accuracy": verdict.accuracy, "samples": evidence.device.samples},
            activate=verdict.promoted,
        )
        if verdict.promoted:
            self._solved = (number, candidate)
        elapsed_ms = (time.perf_counter() - started) * 1e3
        if verdict.promoted:
            try:
                self.store.backup_if_due()
            except StorageError as error:  # the new head is in use all the same
                log.warning("no automatic backup: %s", error)
        version = number if verdict.promoted else active.id
        return Outcome(version, verdict.promoted, verdict.reason, verdict.accuracy, elapsed_ms)

    def forget(self, ids: Sequence[int]) -> int:
        """Remove samples exactly: statistics are as if they had never been added. Returns how many."""
        distinct = self._existing(ids)
        self.store.remove_samples(self.bundle.backbone_digest, distinct)
        return len(distinct)

    def forget_label(self, label: str) -> tuple[int, bool]:
        """Remove all samples of a label; returns how many, and whether it is the factory's and is hidden from now on.

        Raises:
            InputError: nobody knows this label.
        """
        ids = [row.id for row in self.samples(label)]
        ours = label in self.bundle.labels
        if not ids and not ours:
            raise InputError(f"no label {label!r}: see `edgetl-device samples`")
        removed = self.forget(ids)
        if ours:
            self.hide(label)
        return removed, ours

    def hide(self, label: str) -> None:
        """Never predict a factory label again, until it is learned again."""
        self.store.hide(self.bundle.backbone_digest, label)

    def relabel(self, label: str, ids: Sequence[int]) -> int:
        """Move samples to another label. Returns how many."""
        label = check_label(label)
        distinct = self._existing(ids)
        self.store.relabel_samples(self.bundle.backbone_digest, distinct, label)
        return len(distinct)

    def rollback(self, number: int | None = None) -> int:
        """Re-activate an earlier version; default is the last good one before the active. Returns its number."""
        active = self.active_version
        good = [row for row in self.versions() if row.state != "rejected"]
        if number is None:
            earlier = [row for row in good if row.id < active]
            if not earlier:
                raise InputError(f"version {active} is the oldest: there is nothing to roll back to")
            target = earlier[-1]
        else:
            found = [row for row in good if row.id == number]
            if not found:
                known = ", ".join(str(row.id) for row in good)
                raise InputError(f"no version {number} to roll back to: expected one of {known}")
            target = found[0]
        self.store.activate(self.bundle.digest, target.id)
        return target.id

    # inside ------------------------------------------------------------------------------------------------------

    def _version(self, number: int) -> VersionRow:
        row = self.store.version(self.bundle.digest, number)
        assert row is not None, "active versions exist: a foreign key says so"
        return row

    def _head(self, row: VersionRow) -> Head:
        self._refresh()
        if self._solved is None or self._solved[0] != row.id:
            self._solved = (row.id, fit_head(self._gather(row.last_sample)[0], row.rule))
        return self._solved[1]

    def _gather(self, up_to: int | None) -> tuple[Evidence, int]:
        backbone = self.bundle.backbone_digest
        ids, labels, runtimes, raw = self.store.embeddings(backbone, self.transform.dimension, up_to=up_to)
        evidence = self.factory.evidence(self.transform(raw), labels, runtimes, self.store.hidden(backbone))
        return evidence, ids[-1] if ids else 0

    def _refresh(self) -> None:
        """Let go of what may know samples that are gone: someone forgot, relabelled or hid something."""
        revision = self.store.revision()
        if revision != self._revision:
            self._evidence = self._solved = None
            self._revision = revision

    def _existing(self, ids: Sequence[int]) -> list[int]:
        distinct = list(dict.fromkeys(ids))
        missing = sorted(set(distinct) - set(self.store.labels_of(self.bundle.backbone_digest, distinct)))
        if missing:
            raise InputError(f"no sample {missing[0]}: list them with `edgetl-device samples`")
        return distinct


def _extend(evidence: Evidence, codes: Codes, labels: Sequence[str], runtimes: Sequence[str]) -> Evidence:
    """Evidence and new device samples → Evidence, by addition."""
    more = statistics_of(codes, labels, evidence.factory.backbone, runtimes)
    return replace(
        evidence,
        device=evidence.device + more,
        recent=np.concatenate([evidence.recent, codes]),
        recent_labels=(*evidence.recent_labels, *labels),
    )
