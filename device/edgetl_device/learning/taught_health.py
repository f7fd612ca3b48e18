"""Is what was taught labelled rightly, and is it enough? Asked of every stored sample, as if it had not been learned.

A sample that the rule, without it, gives to another label by far is probably labelled wrongly; how often the others
come out right tells how far a class is known. Both take one pass over the samples, for leaving one out is a closed form
(:mod:`~edgetl_device.heads.leave_one_out`). It is the idea of pruning mislabelled training data by a filter
(Brodley and Friedl, "Identifying mislabeled training data", JAIR 11, 1999) without its cross-validation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..errors import InputError
from ..heads.evidence import Evidence
from ..heads.head import scorer_class
from ..heads.scorer import Scorer
from ..labels import NOTHING
from ..metrics import wilson_interval
from ..statistics import statistics_of
from .learner import Learner

BY_FAR = 4.5  # nats by which another label wins, from which a label looks wrong; see benchmarks/taught_health
ENOUGH = 8  # photos of a class, below which more are advised
_BLOCK = 512  # samples asked at once, to spare memory
_MOST_CAUSES = 12  # samples that are tried as causes: each costs a solve

Names = npt.NDArray[np.str_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DoubtfulLabel:
    """A sample that looks like something else than its label says.

    Args:
        id: of the sample.
        label: what it was taught as.
        looks_like: the label that wins without it.
        nats: by how much, a log-likelihood ratio.
    """

    id: int
    label: str
    looks_like: str
    nats: float


@dataclass(frozen=True)
class TaughtClass:
    """How well a class that was taught here is known.

    Args:
        label: its.
        samples: stored here.
        photos: stored here and in the bundle.
        right: of the samples, each left out in turn.
        interval: 95 % of that share (Wilson).
        confused_with: the label that most of the others were taken for; None where all are right.
    """

    label: str
    samples: int
    photos: int
    right: int
    interval: tuple[float, float]
    confused_with: str | None

    @property
    def missing(self) -> int:
        """How many more photos are advised."""
        return max(0, ENOUGH - self.photos)


@dataclass(frozen=True)
class TaughtHealth:
    """What :func:`health_of` found.

    Args:
        samples: how many were asked.
        doubtful: those that look wrong, the surest first, less those that a person confirmed.
        classes: by label.
        confused: the two classes that are taken for each other most often, and how often; None where none are.
    """

    samples: int
    doubtful: tuple[DoubtfulLabel, ...]
    classes: tuple[TaughtClass, ...]
    confused: tuple[str, str, int] | None

    def to_json(self) -> dict[str, Any]:
        """As ``edgetl-device health --json`` prints it."""
        return {
            "samples": self.samples,
            "doubtful": [vars(each) | {"nats": round(each.nats, 2)} for each in self.doubtful],
            "classes": [vars(each) | {"missing": each.missing} for each in self.classes],
            "confused": self.confused,
        }


def health_of(learner: Learner) -> TaughtHealth:
    """Ask every sample that is not pending; 10,000 of 1,280 features take a second or two of one core.

    >>> health = health_of(learner)
    >>> [(each.id, each.looks_like) for each in health.doubtful], health.classes[0].missing
    ([(17, 'ball')], 0)
    """
    evidence = learner.evidence()
    scorer = scorer_class(learner.version(learner.active_version).rule).fit(evidence)
    ids, labels, told, margins = list[int](), list[str](), list[str](), list[float]()
    if len(scorer.labels) > 1:
        for block_ids, block_labels, codes in _asked(learner, scorer):
            best, margin = left_out(scorer, evidence, codes, block_labels)
            ids += block_ids
            labels += block_labels
            told += best
            margins += margin
    confirmed = learner.store.confirmed()
    wrong = [
        row
        for row, margin in enumerate(margins)  # background may look like anything: that is why it is taught
        if margin > BY_FAR and ids[row] not in confirmed and labels[row] != NOTHING
    ]
    wrong.sort(key=lambda row: -margins[row])
    samples = learner.store.samples_of([ids[row] for row in wrong])
    doubtful = [
        DoubtfulLabel(sample, labels[row], told[row], margins[row]) for sample, row in zip(samples, wrong, strict=True)
    ]
    classes, confused = _classes(evidence, labels, told)
    return TaughtHealth(len(ids), tuple(doubtful), classes, confused)


def _asked(learner: Learner, scorer: Scorer) -> Iterator[tuple[list[int], list[str], Codes]]:
    """Ids, labels and codes of the samples that the rule tells apart, in blocks."""
    bundle, known = learner.bundle, set(scorer.labels)
    for ids, labels, _, raw in learner.store.embeddings(bundle.backbone_digest, bundle.codes.dimension):
        for start in range(0, len(ids), _BLOCK):
            rows = [row for row in range(start, min(start + _BLOCK, len(ids))) if labels[row] in known]
            if rows:
                yield [ids[row] for row in rows], [labels[row] for row in rows], bundle.codes(raw[rows])


def left_out(scorer: Scorer, evidence: Evidence, codes: Codes, labels: list[str]) -> tuple[list[str], list[float]]:
    """What each of these samples looks like without itself, and by how many nats another label than its own wins.

    Args:
        scorer: fitted on the evidence.
        codes: (n, d) uint8 of device samples.
        labels: theirs, all known to the scorer.
    """
    scores = scorer.scores_without_each(evidence, codes, labels)
    column = {label: index for index, label in enumerate(scorer.labels)}
    rows, own = np.arange(len(codes)), np.array([column[label] for label in labels])
    others = scores.copy()
    others[rows, own] = -np.inf
    margins = others.max(axis=1) - scores[rows, own]
    alone = ~np.isfinite(scores[rows, own])  # all that its class has: without it there is nothing to compare with
    margins = np.where(alone, -np.inf, margins)
    best = np.where(margins > 0, others.argmax(axis=1), own)
    return [scorer.labels[index] for index in best], margins.tolist()


def _classes(
    evidence: Evidence, labels: list[str], told: list[str]
) -> tuple[tuple[TaughtClass, ...], tuple[str, str, int] | None]:
    pairs = Counter(zip(labels, told, strict=True))
    wrong = Counter({pair: count for pair, count in pairs.items() if pair[0] != pair[1]})
    factory = dict(zip(evidence.factory.labels, evidence.factory.counts.tolist(), strict=True))
    found = []
    for label, samples in sorted(Counter(labels).items()):
        right = pairs[label, label]
        taken_for = max((count, other) for (own, other), count in [*wrong.items(), ((label, ""), 0)] if own == label)[1]
        photos = samples + factory.get(label, 0)
        found.append(TaughtClass(label, samples, photos, right, wilson_interval(right, samples), taken_for or None))
    both: Counter[tuple[str, str]] = Counter()
    for (own, other), count in wrong.items():
        both[min(own, other), max(own, other)] += count
    most = max(both.items(), key=lambda each: (each[1], each[0]), default=None)
    return tuple(found), None if most is None else (*most[0], most[1])


# why ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cause:
    """A sample that speaks for an answer.

    Args:
        id, label: of the sample.
        lead: nats by which the answer would lead without it; negative where another label would win, minus infinity
            where the label would be unknown.
        instead: the label that would then win.
    """

    id: int
    label: str
    lead: float
    instead: str


@dataclass(frozen=True)
class Why:
    """Why a photo is called what it is called.

    Args:
        label: the answer.
        second: the next best label; None where there is no other, and then there are no causes either.
        lead: nats between the two; infinite where there is no other.
        causes: samples of the answer, those that speak for it most first; each is taken out in turn, exactly.
    """

    label: str
    second: str | None
    lead: float
    causes: tuple[Cause, ...]

    @property
    def alone(self) -> tuple[Cause, ...]:
        """Samples without any single one of which the answer would be another."""
        return tuple(cause for cause in self.causes if cause.lead < 0)


def causes_of(learner: Learner, codes: Codes) -> Why:
    """Why one photo, (1, d) uint8 codes, is called what it is called.

    The samples of that label that are most like it are taken out one after the other, and the rule is fitted again.

    Raises:
        InputError: no label is known yet.
    """
    evidence = learner.evidence()
    rule = scorer_class(learner.version(learner.active_version).rule)
    scorer = rule.fit(evidence)
    if not scorer.labels:
        raise InputError("no label is known yet: teach two with `edgetl-device learn LABEL PHOTO…`, then ask why")
    answer, second, lead = _lead(scorer, codes)
    if second is None:  # whatever is taken out, nothing else can be answered
        return Why(answer, None, lead, ())
    ids, labels, known = learner.newest_samples()
    rows = np.flatnonzero(np.asarray(labels, np.str_) == answer)
    likeness = known[rows].astype(np.float32) @ codes[0].astype(np.float32) / np.linalg.norm(known[rows], axis=1)
    causes = []
    for row in rows[np.argsort(-likeness, kind="stable")][:_MOST_CAUSES]:
        without = _without(evidence, int(row), known[row][None], answer)
        best, other, margin = _lead(rule.fit(without), codes, answer)
        causes.append(Cause(ids[row], answer, margin, best if margin < 0 else (other or answer)))
    causes.sort(key=lambda cause: cause.lead)
    return Why(answer, second, lead, tuple(causes))


def _without(evidence: Evidence, row: int, code: Codes, label: str) -> Evidence:
    """The evidence less its recent sample at ``row``, as if that had not been learned."""
    device = evidence.device
    part = statistics_of(code, [label], device.backbone, device.runtimes, device.projection)
    keep = np.arange(len(evidence.recent)) != row
    return replace(
        evidence,
        device=device - part,
        recent=evidence.recent[keep],
        recent_labels=tuple(name for name, kept in zip(evidence.recent_labels, keep, strict=True) if kept),
    )


def _lead(scorer: Scorer, codes: Codes, answer: str | None = None) -> tuple[str, str | None, float]:
    """The best label, the best of the others, and by how much ``answer``, or the best, leads these."""
    scores = scorer.scores(codes)[0].astype(np.float64)
    order = np.argsort(-scores, kind="stable")
    best = scorer.labels[order[0]]
    answer = best if answer is None else answer
    if answer not in scorer.labels:
        return best, None, -np.inf
    own = scorer.labels.index(answer)
    others = [index for index in order if index != own]
    if not others:
        return best, None, np.inf
    return best, scorer.labels[others[0]], float(scores[own] - scores[others[0]])
