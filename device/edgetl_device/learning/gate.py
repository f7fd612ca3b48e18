"""The promotion gate: may a candidate head replace the active one?

Three questions, each answered with a significance test, for a handful of photos always changes a handful of answers:

1. Do known classes get worse on the factory's holdout?
2. Do device samples that are trusted already get worse, each scored as if it had not been learned? They stand in for
   the classes that have no holdout.
3. Do the new samples contradict their labels: is the active head, which has learned none of them, sure that they are
   something else that it knows?

Error rates are measured in ``benchmarks/gate``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..heads.evidence import Evidence
from ..heads.head import Head

TOLERANCE = 0.05  # of a class's recall: ten good samples of one class already move its neighbours by 0.03
SIGNIFICANCE = 0.01  # of questions 1 and 2; classes that are asked share it (Bonferroni)
SURE = 0.6  # probability from which the active head counts as sure
SURE_BUT_WRONG = 0.2  # share of a harmless batch of which it may be; who teaches shows what was not recognised
CONTRADICTION = 0.01  # significance of question 3

Bools = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Verdict:
    """Whether the candidate may be promoted.

    Args:
        promoted: yes or no.
        reason: for a person: which class would lose how much, or which samples do not look like their label.
        accuracy: of the candidate on the holdout, 0 … 1; None without a holdout.
    """

    promoted: bool
    reason: str
    accuracy: float | None


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


def judge(candidate: Judged, active: Judged, new: Samples) -> Verdict:
    """Ask the three questions; the samples that only the candidate has learned are ``new``."""
    evidence = candidate.evidence
    holdout = Samples(evidence.holdout, evidence.holdout_labels)
    verdict = compare(candidate.head, active.head, holdout)
    problem = None
    if verdict.promoted:
        problem = contradiction(active.head, new) or _trusted(candidate, active)
    return Verdict(False, f"rejected: {problem}", verdict.accuracy) if problem else verdict


def compare(candidate: Head, active: Head, holdout: Samples) -> Verdict:
    """Question 1: two heads on the same held-out photos.

    A class speaks against the candidate when its recall falls by more than the tolerance *and* the photos that changed
    sides are too one-sided for chance (exact sign test on discordant pairs, McNemar 1947); so do all classes together,
    for many classes with a handful of photos each could not speak alone. Classes that either head cannot predict
    (forgotten, or new) do not vote.
    """
    common = set(candidate.labels) & set(active.labels)
    rows = [row for row, label in enumerate(holdout.labels) if label in common]
    if not rows:
        return Verdict(True, "promoted: no holdout to compare on", None)
    truth = np.array([holdout.labels[row] for row in rows])
    before, after = (_predicted(head, holdout.codes[rows]) == truth for head in (active, candidate))
    accuracy = float(after.mean())
    losers = _losers(truth, before, after)
    if losers:
        return Verdict(False, f"rejected: {_told(losers)}", accuracy)
    if _is_worse(before, after, SIGNIFICANCE):
        told = f"held-out accuracy would fall from {before.mean():.2f} to {accuracy:.2f}"
        return Verdict(False, f"rejected: {told}", accuracy)
    return Verdict(True, f"promoted: held-out accuracy {before.mean():.3f} -> {accuracy:.3f}", accuracy)


def contradiction(active: Head, new: Samples) -> str | None:
    """Question 3: what is wrong with the new samples, or None.

    Only samples of labels that the active head knows are asked, and one that it calls unknown is never held against
    them: a new scene looks strange, not wrong. Each label is asked by itself, and all together.
    """
    column = {label: index for index, label in enumerate(active.labels)}
    rows = [row for row, label in enumerate(new.labels) if label in column]
    if not rows or len(column) < 2:
        return None
    labels = np.array([new.labels[row] for row in rows])
    probabilities, unknown = active.predict(new.codes[rows])
    others = probabilities.copy()
    others[np.arange(len(rows)), [column[str(label)] for label in labels]] = 0.0
    wrong = (others.max(axis=1) > SURE) & ~unknown
    looks = np.asarray(active.labels)[others.argmax(axis=1)]
    told = []
    for label in sorted(set(labels)):
        asked = labels == label
        if _tail(int(wrong[asked].sum()), int(asked.sum()), SURE_BUT_WRONG) < CONTRADICTION:
            told.append((int(wrong[asked].sum()), _contradicted(str(label), asked, wrong, looks)))
    if not told and _tail(int(wrong.sum()), len(rows), SURE_BUT_WRONG) < CONTRADICTION:
        return f"{int(wrong.sum())} of {len(rows)} new samples look like something else than their labels say"
    told.sort(key=lambda item: -item[0])
    return "; ".join(text for _, text in told[:3]) or None


def _trusted(candidate: Judged, active: Judged) -> str | None:
    """Question 2: which device classes get worse, or None."""
    known = set(candidate.head.labels) & set(active.head.labels)
    evidence = active.evidence
    rows = [row for row, label in enumerate(evidence.recent_labels) if label in known]
    if not rows:
        return None
    labels = tuple(evidence.recent_labels[row] for row in rows)
    truth = np.array(labels)
    sides = []
    for judged in (active, candidate):
        scores = judged.head.scorer.scores_without_each(judged.evidence, evidence.recent[rows], labels)
        sides.append(np.asarray(judged.head.labels, np.str_)[scores.argmax(axis=1)] == truth)
    losers = _losers(truth, sides[0], sides[1])
    return f"of the samples learned before, {_told(losers)}" if losers else None


def _losers(truth: Names, before: Bools, after: Bools) -> list[tuple[float, float, str]]:
    """Recall before and after, and name, of the classes that get worse; the worst first."""
    found = []
    classes = sorted(set(truth))
    for label in classes:
        of_class = truth == label
        if _is_worse(before[of_class], after[of_class], SIGNIFICANCE / len(classes)):
            found.append((float(before[of_class].mean()), float(after[of_class].mean()), str(label)))
    return sorted(found, key=lambda loser: loser[1] - loser[0])


def _told(losers: list[tuple[float, float, str]]) -> str:
    return ", ".join(f"{label} would fall from {old:.2f} to {new:.2f}" for old, new, label in losers[:3])


def _contradicted(label: str, asked: Bools, wrong: Bools, looks: Names) -> str:
    names, counts = np.unique(looks[asked & wrong], return_counts=True)
    nearest = [str(name) for name in names[np.argsort(-counts, kind="stable")][:2]]
    told = f"{int((asked & wrong).sum())} of {int(asked.sum())} new samples of {label}"
    return f"{told} look like {' or '.join(nearest)}"


def _is_worse(before: Bools, after: Bools, significance: float) -> bool:
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    if (lost - gained) / len(before) <= TOLERANCE:
        return False
    return _tail(lost, lost + gained, 0.5) < significance


def _predicted(head: Head, codes: Codes) -> Names:
    best = head.scorer.scores(codes).argmax(axis=1)
    labels: Names = np.asarray(head.labels, np.str_)[best]
    return labels


def _tail(count: int, of: int, share: float) -> float:
    """Probability of at least ``count`` of ``of``, each with probability ``share`` (binomial)."""
    return float(sum(comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(count, of + 1)))
