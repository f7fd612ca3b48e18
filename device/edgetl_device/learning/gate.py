"""The promotion gate: may a candidate head replace the active one?

Three questions, the first two answered with significance tests, for a handful of photos always changes some answers:

1. Do known classes get worse on the factory's holdout?
2. Do device samples that are trusted already get worse, each scored as if it had not been learned? They stand in for
   the classes that have no holdout.
3. Which of the new samples contradict their labels (see :mod:`.gate_doubts`)?

A test on a handful of photos cannot become significant, whatever is lost. Where much would be lost on so few that no
test can confirm it, the gate does not guess: it asks, which is a no that a person may overrule.

Error rates are measured in ``benchmarks/gate``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import comb, exp, lgamma, log

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..heads.evidence import Evidence
from ..heads.head import Head
from ..labels import NOTHING
from . import gate_doubts
from .gate_doubts import Doubt as Doubt
from .gate_words import classes_that_lose, in_all, learned_change, too_few_to_tell

TOLERANCE = 0.05  # of a class's recall: ten good samples of one class already move its neighbours by 0.03
SIGNIFICANCE = 0.01  # of questions 1 and 2; classes that are asked share it (Bonferroni)
NEW_TOLERANCE, FIRST_TOLERANCE, FIRST_PHOTOS = 0.12, 0.3, 5
"""Of a class's recall, and half as much of the accuracy, that a new label may cost: from so many photos on, and with
fewer. What a class known from one photo takes from its neighbours, it gives back with the next ones: so with fewer, a
class that has photos enough for a test is lost only if the test says so."""
HOLDOUT_LOSSES = ((0.125, 0.25, 0.1), (0.25, 0.5, 0.2))
SAMPLE_LOSSES = ((0.125, 0.5, 0.25),)
"""Losses that no test can confirm and that are asked about: significance (that of three photos lost and none gained, of
two and none), and more than how much of a class's recall, or of the accuracy, was counted as lost. The few samples of a
device that has just begun change sides more often than held-out photos."""
MOST_SCORES = 1 << 19  # of question 2, samples times classes; where there are more, classes near to what was taught
_EXACT = 500  # of so many, binomial coefficients still fit into a float

Bools = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]
Rows = npt.NDArray[np.intp]
Losses = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class ClassChange:
    """A class of which more or fewer photos are recognised than before.

    Args:
        label: the class.
        before, after: share of the photos that the two heads recognise, 0 … 1.
        photos: how many they were asked.
        held_out: whether these are held-out photos, or samples of this device, each as if it had not been learned.
    """

    label: str
    before: float
    after: float
    photos: int
    held_out: bool


@dataclass(frozen=True)
class Verdict:
    """Whether the candidate may be promoted.

    Args:
        promoted: yes or no.
        reason: for a person: what was learned, or what speaks against it.
        accuracy: of the candidate on the holdout, 0 … 1; None without a holdout.
        objection: what speaks against it, the part of the reason to repeat where a person overrules the gate.
        changes: classes that gain or lose.
        learned: label → how many samples the candidate has learned more than the active head.
    """

    promoted: bool
    reason: str
    accuracy: float | None
    objection: str = ""
    changes: tuple[ClassChange, ...] = ()
    learned: Mapping[str, int] = field(default_factory=dict)

    def insisted(self) -> Verdict:
        """The verdict where only samples that a person confirmed speak against the candidate."""
        if self.promoted:
            return self
        reason = f"learned because you said that the labels are right, although {self.objection}"
        return replace(self, promoted=True, reason=reason, objection="")

    def overruled(self) -> Verdict:
        """The verdict of a person who says that the labels are right."""
        if self.promoted:
            return self
        reason = f"learned as a change of scene, although {self.objection}"
        return replace(self, promoted=True, reason=reason, objection="")


@dataclass(frozen=True, eq=False)
class Judged:
    """A head and the evidence it was fitted on."""

    head: Head
    evidence: Evidence


@dataclass(frozen=True, eq=False)
class Samples:
    """Codes (n, d) uint8 with their n labels."""

    codes: Codes
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Answers:
    """Which of n photos the active head and the candidate get right.

    Args:
        truth: (n,) labels.
        before, after: (n,).
        known: how many labels the active head tells apart.
    """

    truth: Names
    before: Bools
    after: Bools
    known: int


def judge(candidate: Judged, active: Judged, new: Samples) -> Verdict:
    """Ask questions 1 and 2; the samples that only the candidate has learned are ``new``."""
    holdout = on_holdout(candidate.head, active.head, candidate.evidence.holdout_labels)
    samples, allowed = None, tolerances(active.head, new)
    first = allowed[0] == FIRST_TOLERANCE
    objection = confirmed_loss(holdout, "held-out photos", allowed)
    if not objection:
        samples = _on_samples(candidate, active, new)
        objection = (
            confirmed_loss(samples, "photos learned before", allowed)
            or possible_loss(holdout, "held-out photos", _beyond(HOLDOUT_LOSSES, allowed), untested=first)
            or possible_loss(samples, "photos learned before", _beyond(SAMPLE_LOSSES, allowed), untested=first)
        )
    accuracy = float(holdout.after.mean()) if len(holdout.truth) else None
    if objection:
        changes, learned = class_changes(holdout, samples), _gained(candidate.evidence, active.evidence)
        return Verdict(False, f"not learned: {objection}", accuracy, objection, changes, learned)
    return promoted_verdict(candidate, active, samples)


def promoted_verdict(candidate: Judged, active: Judged, samples: Answers | None = None) -> Verdict:
    """The verdict on a candidate that nothing speaks against: what it has learned, and what that did to the rest.

    Args:
        samples: both heads on what was learned before, where they were asked.
    """
    holdout = on_holdout(candidate.head, active.head, candidate.evidence.holdout_labels)
    accuracy = float(holdout.after.mean()) if len(holdout.truth) else None
    counts = _gained(candidate.evidence, active.evidence)
    was = float(holdout.before.mean()) if len(holdout.truth) else None
    gone = sorted(set(active.head.labels) - set(candidate.head.labels))
    known = candidate.head.labels
    reason = learned_change(counts, was, accuracy, 0 if known == (NOTHING,) else len(known), gone)
    return Verdict(True, reason, accuracy, changes=class_changes(holdout, samples), learned=counts)


def class_changes(holdout: Answers, samples: Answers | None) -> tuple[ClassChange, ...]:
    """Classes of which more or fewer photos are recognised: of held-out ones, else of those learned before."""
    held_out = set(holdout.truth.tolist())
    changes = []
    for answers, classes in ((holdout, held_out), (samples, set(samples.truth.tolist()) - held_out if samples else ())):
        for label in sorted(classes):
            assert answers is not None
            of_class = answers.truth == label
            before, after = float(answers.before[of_class].mean()), float(answers.after[of_class].mean())
            if before != after:
                changes.append(ClassChange(label, before, after, int(of_class.sum()), answers is holdout))
    return tuple(sorted(changes, key=lambda change: change.before - change.after))


def on_holdout(candidate: Head, active: Head, labels: Sequence[str]) -> Answers:
    """Question 1: both heads on the same held-out photos, of which these are the labels.

    Classes that either head cannot predict (forgotten, or new) do not vote.
    """
    common = set(candidate.labels) & set(active.labels)
    rows = [row for row, label in enumerate(labels) if label in common]
    truth = np.asarray(labels, np.str_)[rows]
    before, after = (_predicted(head.labels, head.holdout_scores[rows]) == truth for head in (active, candidate))
    return Answers(truth, before, after, len(active.labels))


def tolerances(active: Head, new: Samples) -> tuple[float, float]:
    """What may be lost of a class's recall and of the accuracy: more where all that is new are new labels."""
    if not new.labels or set(new.labels) & set(active.labels):
        return TOLERANCE, TOLERANCE
    fewest = min(new.labels.count(label) for label in set(new.labels))
    of_class = FIRST_TOLERANCE if fewest < FIRST_PHOTOS else NEW_TOLERANCE
    return of_class, of_class / 2


def _beyond(losses: Losses, allowed: tuple[float, float]) -> Losses:
    return tuple((p, max(of_class, allowed[0]), max(of_all, allowed[1])) for p, of_class, of_all in losses)


def confirmed_loss(answers: Answers, photos: str, allowed: tuple[float, float] = (TOLERANCE, TOLERANCE)) -> str | None:
    """What is worse beyond chance, or None.

    A class speaks against the candidate when its recall falls by more than is allowed *and* the photos that changed
    sides are too one-sided for chance (exact sign test on discordant pairs, McNemar 1947); so do all classes together,
    for many classes with a handful of photos each could not speak alone.
    """
    if answers.known < 2:  # a head that knows one thing tells nothing apart: nothing can be lost
        return None
    classes = sorted(set(answers.truth))
    losers = []
    for label in classes:
        of_class = answers.truth == label
        before, after = answers.before[of_class], answers.after[of_class]
        if _is_lost(before, after, allowed[0], SIGNIFICANCE / len(classes)):
            losers.append((str(label), float(before.mean()), float(after.mean())))
    if losers:
        return classes_that_lose(losers, photos)
    if len(classes) and _is_lost(answers.before, answers.after, allowed[1], SIGNIFICANCE):
        return in_all(float(answers.before.mean()), float(answers.after.mean()), photos)
    return None


def possible_loss(
    answers: Answers, photos: str, losses: Losses = HOLDOUT_LOSSES, *, untested: bool = False
) -> str | None:
    """What seems much worse on too few photos to be sure, or None: nothing is lost by a head no better than chance.

    Args:
        untested: of the classes only those with so few photos that no test could confirm a loss of all of them.
    """
    if answers.known < 2 or not len(answers.truth) or float(answers.before.mean()) * answers.known <= 1:
        return None
    losers, classes = [], sorted(set(answers.truth))
    for label in classes:
        of_class = answers.truth == label
        if untested and 0.5 ** int(of_class.sum()) <= SIGNIFICANCE / len(classes):
            continue
        before, after = answers.before[of_class], answers.after[of_class]
        if any(_is_lost(before, after, of_class_lost, p) for p, of_class_lost, _ in losses):
            losers.append((str(label), float(before.mean()), float(after.mean())))
    count = len(answers.truth)
    if losers:
        return too_few_to_tell(classes_that_lose(losers, photos), count, photos)
    before, after = answers.before, answers.after
    if any(_is_lost(before, after, of_all_lost, p) for p, _, of_all_lost in losses):
        return too_few_to_tell(in_all(float(before.mean()), float(after.mean()), photos), count, photos)
    return None


def doubts_about(active: Judged, new: Samples) -> list[Doubt]:
    """Question 3: which of the new samples contradict their labels, and why; all others may be learned."""
    return gate_doubts.doubts_about(active.head, active.evidence, new.codes, np.asarray(new.labels, np.str_))


def loses(active: Judged, new: Samples, label: str, objection: str) -> Doubt:
    """A whole batch of a label that would make known classes worse, and what the active head takes it for."""
    rows = [row for row, name in enumerate(new.labels) if name == label]
    looks = None
    if active.head.labels:
        best = np.asarray(active.head.labels)[active.head.scorer.scores(new.codes[rows]).argmax(axis=1)]
        looks = only_one(best[best != label])
    return Doubt(label, tuple(rows), looks, objection)


def only_one(labels: Names) -> str | None:
    """The label that all of some have; None where there are none, or several."""
    names = np.unique(labels)
    return str(names[0]) if len(names) == 1 else None


def _on_samples(candidate: Judged, active: Judged, new: Samples) -> Answers:
    """Question 2: both heads on the samples that the active one has learned, each left out in turn."""
    known = set(candidate.head.labels) & set(active.head.labels)
    evidence = active.evidence
    rows = np.array([row for row, label in enumerate(evidence.recent_labels) if label in known], np.intp)
    most = MOST_SCORES // max(len(candidate.head.labels), 1)
    if len(rows) > most:
        rows = _nearest_classes(evidence, rows, new, most)
    labels = tuple(evidence.recent_labels[row] for row in rows)
    truth = np.asarray(labels, np.str_)
    right = [np.zeros(0, bool)] * 2
    if len(rows):
        codes = evidence.recent[rows]
        right = [
            _predicted(judged.head.labels, judged.head.scorer.scores_without_each(judged.evidence, codes, labels))
            == truth
            for judged in (active, candidate)
        ]
    return Answers(truth, right[0], right[1], len(active.head.labels))


def _nearest_classes(evidence: Evidence, rows: Rows, new: Samples, most: int) -> Rows:
    """``most`` of these samples: of the classes nearest to what was taught, which it may take something from."""
    device = evidence.device
    means = device.sums / device.counts[:, None]
    squares = np.einsum("cd,cd->c", means, means)
    taught = [new.codes[np.asarray(new.labels) == label].mean(axis=0) for label in sorted(set(new.labels))]
    nearness = np.max([means @ mean - 0.5 * squares for mean in taught] or [-squares], axis=0)
    rank = {device.labels[row]: place for place, row in enumerate(np.argsort(-nearness, kind="stable"))}
    order = np.argsort([rank[evidence.recent_labels[row]] for row in rows], kind="stable")
    return np.sort(rows[order[:most]])


def _gained(candidate: Evidence, active: Evidence) -> dict[str, int]:
    """Label → how many samples the candidate has learned more than the active head."""
    had = dict(zip(active.device.labels, active.device.counts.tolist(), strict=True))
    pairs = zip(candidate.device.labels, candidate.device.counts.tolist(), strict=True)
    return {label: count - had.get(label, 0) for label, count in pairs if count > had.get(label, 0)}


def _is_lost(before: Bools, after: Bools, tolerance: float, significance: float) -> bool:
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    if (lost - gained) / len(before) <= tolerance:
        return False
    return _tail(lost, lost + gained, 0.5) <= significance


def _predicted(labels: tuple[str, ...], scores: npt.NDArray[np.floating]) -> Names:
    if not len(scores):
        return np.zeros(0, np.str_)
    best: Names = np.asarray(labels, np.str_)[scores.argmax(axis=1)]
    return best


def _tail(count: int, of: int, share: float) -> float:
    """Probability of at least ``count`` of ``of``, each with probability ``share`` (binomial)."""
    if of <= _EXACT:
        return float(sum(comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(count, of + 1)))
    none, some = log(1 - share), log(share)
    of_all = lgamma(of + 1)
    return sum(
        exp(of_all - lgamma(k + 1) - lgamma(of - k + 1) + k * some + (of - k) * none) for k in range(count, of + 1)
    )
