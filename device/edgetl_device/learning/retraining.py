"""Retraining: new samples → what is doubtful is set aside → candidate → gate → version.

A batch is the new samples of one label. What speaks against one batch never holds up another: batches that would do
harm are found by judging them one after the other, halves at a time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..bundle.content import BundleContent
from ..heads.evidence import Evidence, extend
from ..heads.head import fit_head
from ..heads.registry import current_name
from ..store.pending import PendingBatch
from ..store.schema import VersionRow
from ..store.store import Store
from .gate import ClassChange, Doubt, Judged, Samples, Verdict, doubts_about, judge, loses, promoted_verdict
from .gate_words import Done, gained_and_lost, with_what_was_done
from .lesson import Lesson, new_samples, older_samples
from .solver import Solved, Solver

_MOST_TOLD = 8  # labels that a version lists; of more only its reason says something


@dataclass(frozen=True)
class Outcome:
    """What a retraining led to.

    Args:
        version: number of the version that is active now.
        promoted: whether it is the candidate.
        reason: for a person.
        accuracy: of the candidate on the holdout, 0 … 1; None without a holdout.
        retrain_ms: from evidence to verdict, milliseconds.
        set_aside: batches of new samples that are pending from now on: they are stored, and no head learns them
            before a person decides.
        changes: classes of which more or fewer photos are recognised than before, the greatest gain first.
    """

    version: int
    promoted: bool
    reason: str
    accuracy: float | None
    retrain_ms: float
    set_aside: tuple[PendingBatch, ...] = ()
    changes: tuple[ClassChange, ...] = ()

    def gained_and_lost(self) -> list[str]:
        """The changes in words, a line for each class; of many the greatest."""
        return gained_and_lost([(c.label, c.before, c.after, c.photos, c.held_out) for c in self.changes])


class Retraining:
    """One retraining of a device, under the learning lock.

    Args:
        factory: the bundle's content.
        store: what is stored.
        solver: makes heads of it.
        active: the version in use.
        rule: the learning rule of the candidate.
        done: to samples since the last retraining.
    """

    def __init__(
        self,
        factory: BundleContent,
        store: Store,
        solver: Solver,
        active: VersionRow,
        rule: str,
        done: Sequence[Done] = (),
    ) -> None:
        self._factory = factory
        self._store = store
        self._solver = solver
        self._active = active
        self._rule = rule
        self._done = done
        self._before = solver.solve(active)
        _ = self._before.evidence  # as it is now: samples may be set aside
        self._backbone = factory.bundle.backbone_digest
        self._set_aside: list[int] = []

    def run(self, *, insist: bool) -> Outcome:
        """Retrain.

        Args:
            insist: use everything that is stored, whatever speaks against it.
        """
        started = time.perf_counter()
        if insist:
            pending = [number for batch in self._store.pending(self._backbone) for number in batch.ids]
            if pending:
                self._store.admit(self._backbone, pending)
        lesson = new_samples(self._factory, self._store, self._active.last_sample)
        if insist and not lesson.confirmed.all():  # also where another version is asked about them later
            self._store.confirm([int(number) for number in lesson.ids[~lesson.confirmed]])
        objections = [] if insist else self._set_doubts_aside(lesson)
        lesson = lesson.without(self._set_aside)
        if objections and not len(lesson) and self._rule == self._active.rule:
            return self._rejected("; ".join(objections), started)
        candidate = self._candidate()
        verdict = judge(candidate, self._judged, _samples(lesson))
        if insist:
            verdict = verdict.overruled()
        elif not verdict.promoted:
            more = self._set_harmful_aside(lesson, verdict)
            if more is None:
                return self._rejected(verdict.objection, started, verdict.accuracy)
            objections += more
            lesson = lesson.without(self._set_aside)
            if not len(lesson) and self._rule == self._active.rule:
                return self._rejected("; ".join(objections), started, verdict.accuracy)
            candidate = self._candidate()
            verdict = judge(candidate, self._judged, _samples(lesson))
            if not verdict.promoted:
                insisted = verdict.insisted() if lesson.confirmed.any() else promoted_verdict(candidate, self._judged)
                verdict = insisted
        if objections:
            verdict = replace(verdict, reason=f"{verdict.reason}; set aside: {'; '.join(objections)}")
        return self._promoted(candidate, verdict, started)

    @property
    def _judged(self) -> Judged:
        return Judged(self._before.head, self._before.evidence)

    def _candidate(self) -> Judged:
        evidence = self._solver.evidence(self._solver.newest())
        return Judged(fit_head(evidence, self._rule), evidence)

    # setting aside -----------------------------------------------------------------------------------------------

    def _set_doubts_aside(self, lesson: Lesson) -> list[str]:
        """What contradicts its own label, by the head that has not learned it; → why."""
        asked = lesson.where(~lesson.confirmed)
        doubts = doubts_about(self._judged, _samples(asked))
        self._keep_aside(asked, doubts)
        return [doubt.reason for doubt in doubts]

    def _set_harmful_aside(self, lesson: Lesson, verdict: Verdict) -> list[str] | None:
        """Batches that would make known classes worse; → why. None where the rule itself does, or nothing is new."""
        asked = lesson.where(~lesson.confirmed)
        base = self._judged
        if lesson.confirmed.any() or self._rule != self._active.rule:
            evidence = _extended(base.evidence, lesson.where(lesson.confirmed))
            base = Judged(fit_head(evidence, self._rule), evidence)
            if not lesson.confirmed.any() and not judge(base, self._judged, _samples(lesson.of([]))).promoted:
                return None
        if not len(asked):
            return [] if lesson.confirmed.any() else None
        refused: list[tuple[str, Verdict]] = []
        if len(asked.names) == 1 and base.head is self._before.head:
            refused = [(asked.names[0], verdict)]
        else:
            self._find_harmful(base, asked, asked.names, refused)
        doubts = [loses(base, _samples(asked), label, no.objection) for label, no in refused]
        self._keep_aside(asked, doubts)
        return [doubt.reason for doubt in doubts]

    def _find_harmful(
        self, base: Judged, lesson: Lesson, labels: list[str], refused: list[tuple[str, Verdict]]
    ) -> Judged:
        """What is learned of some batches on top of ``base``; those that the gate refuses are noted in ``refused``."""
        batch = lesson.of(labels)
        evidence = _extended(base.evidence, batch)
        candidate = Judged(fit_head(evidence, self._rule), evidence)
        verdict = judge(candidate, base, _samples(batch))
        if verdict.promoted:
            return candidate
        if len(labels) == 1:
            refused.append((labels[0], verdict))
            return base
        middle = len(labels) // 2
        base = self._find_harmful(base, lesson, labels[:middle], refused)
        return self._find_harmful(base, lesson, labels[middle:], refused)

    def _keep_aside(self, lesson: Lesson, doubts: Sequence[Doubt]) -> None:
        if not doubts:
            return
        batches = []
        for doubt in doubts:
            ids = [int(lesson.ids[row]) for row in doubt.rows]
            of_label = lesson.ids[lesson.labels == doubt.label]
            if len(ids) * 2 > len(of_label):  # the batch as a whole: also what is too old to be judged by itself
                after, first = self._active.last_sample, int(lesson.ids[0])
                confirmed = self._store.confirmed(after)
                older = older_samples(self._factory, self._store, after, first, doubt.label)
                ids = [*(number for number in older if number not in confirmed), *ids]
            batches.append((ids, doubt.looks_like, doubt.reason))
        aside = [number for ids, _, _ in batches for number in ids]
        with self._solver.setting_aside(aside):
            numbers = self._store.set_aside(batches)
        self._set_aside += aside
        assert len(numbers) == len(batches)

    # the end -----------------------------------------------------------------------------------------------------

    def _promoted(self, candidate: Judged, verdict: Verdict, started: float) -> Outcome:
        verdict = replace(verdict, reason=with_what_was_done(verdict.reason, [each.words for each in self._done]))
        number = self._add_version("promoted", candidate.evidence, verdict)
        self._solver.remember(Solved(number, candidate.head, candidate.evidence))
        return self._outcome(number, verdict, started)

    def _rejected(self, objection: str, started: float, accuracy: float | None = None) -> Outcome:
        verdict = Verdict(False, f"not learned: {objection}", accuracy, objection)
        self._add_version("rejected", self._before.evidence, verdict)
        return self._outcome(self._active.id, verdict, started)

    def _add_version(self, state: str, evidence: Evidence, verdict: Verdict) -> int:
        aside = [
            {"label": batch.label, "samples": batch.samples, "looks_like": batch.looks_like}
            for batch in self._batches_aside()[:_MOST_TOLD]
        ]
        learned = dict(sorted(verdict.learned.items())) if len(verdict.learned) <= _MOST_TOLD else {}
        done = [each.to_json() for each in self._done[-_MOST_TOLD:]] if all(each.did for each in self._done) else []
        told = {"learned": learned, "set_aside": aside, "done": done} if verdict.promoted else {"set_aside": aside}
        return self._store.versions.add(
            self._factory.bundle.digest,
            state,
            verdict.reason,
            current_name(self._rule),
            self._solver.newest().last,
            {"accuracy": verdict.accuracy, "samples": evidence.device.samples} | {k: v for k, v in told.items() if v},
            activate=verdict.promoted,
        )

    def _batches_aside(self) -> list[PendingBatch]:
        aside = set(self._set_aside)
        return [batch for batch in self._store.pending(self._backbone) if batch.id in aside] if aside else []

    def _outcome(self, version: int, verdict: Verdict, started: float) -> Outcome:
        elapsed_ms = (time.perf_counter() - started) * 1e3
        changes, batches = verdict.changes if verdict.promoted else (), tuple(self._batches_aside())
        return Outcome(version, verdict.promoted, verdict.reason, verdict.accuracy, elapsed_ms, batches, changes)


def _samples(lesson: Lesson) -> Samples:
    return Samples(lesson.codes, tuple(str(label) for label in lesson.labels))


def _extended(evidence: Evidence, lesson: Lesson) -> Evidence:
    return extend(evidence, lesson.codes, [str(label) for label in lesson.labels], lesson.runtimes)
