"""Question 3 of the gate: which new samples contradict their label? Asked of each sample, and of each batch as a whole.

The evidence is scores of the active head, which has learned none of the new samples, held against its scores of photos
whose label is known: held-out ones, and what was learned here, each left out. By how much another label beats a
sample's own, g, is a log-likelihood ratio between the two, as far as probabilities are calibrated.

What a person teaches is often what the head got wrong, so g > 0 alone proves nothing. Two models tell wrong labels from
the head's own mistakes:

- A batch that is wrong as a whole is a draw from another class K: its mean score for K against its label lies where
  K's known photos lie, as far as these tell. The head's own mistakes lie between the two classes.
- In any other batch a share π of the labels is wrong, and the head errs on a share r of the right ones, more than it
  usually does where a person picked its mistakes. EM (Dempster, Laird and Rubin, J. R. Statist. Soc. B 1977) finds both
  and each sample's probability of being wrong: a mixture model of label noise (Lawrence and Schölkopf, "Estimating a
  kernel Fisher discriminant in the presence of label noise", ICML 2001).

A new label is questioned where its samples cannot be told from a known class, counted in standard errors: by the
distance between the two means, under the precision that the head uses, without what chance adds to it (Bai and
Saranadasa, "Effect of high dimension: by an example of a two sample problem", Statistica Sinica 1996), and by how much
less than that class's known photos they win against all other classes.

Bounds were chosen on five sets of photos and confirmed on five others; see ``benchmarks/gate_samples``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..heads.evidence import Evidence
from ..heads.head import Head
from ..labels import NOTHING
from .gate_words import looks_like, same_thing

LIKE_ANOTHER = 0.86  # of the way from the own class to another, from which a batch is wrong as a whole
ERRORS_LESS = 0.5  # standard errors of where another class lies, by which a batch has to lie nearer to it
EVIDENCE = 0.05  # of that way, for each nat by which another class wins on average
WHOLE = 3  # samples from which a batch may be judged as a whole
WRONG, WRONG_ALONE = 0.8, 0.85  # probability of being wrong from which a sample is set aside; of one or two alone
PRIOR = (1.0, 19.0)  # wrong and right labels that π starts from
FEW_ERRORS = 2.0  # samples that r starts from
ENOUGH = 3  # known photos of a class that say where it lies
MOST_OF_CLASS = 64  # known photos of a class that a new label is compared with
MOST_KNOWN = 256  # of all classes, that say how far chance moves a mean
SAME, SAME_FEW = 3.0, 1.75  # standard errors within which a new label is a known class
FEW, MANY = 4, 8  # photos of a new label: with fewer nobody asks; from many on the first bound holds
_STEPS = 30
_STRONGEST = 6.0  # nats that one sample may say

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Doubt:
    """Why some of the new samples of a label are not learned for now.

    Args:
        label: theirs.
        rows: which of the new samples.
        looks_like: the label that they seem to belong to; None where they look like none, or like several.
        reason: for a person.
    """

    label: str
    rows: tuple[int, ...]
    looks_like: str | None
    reason: str


@dataclass(frozen=True, eq=False)
class _Known:
    """Photos whose labels are known.

    Args:
        scores: (m, C) in nats.
        truth: (m,) columns.
    """

    scores: Floats
    truth: Rows

    def margins(self) -> Floats:
        """(m,) by how much another class beats the own one."""
        return _margins(self.scores, self.truth)

    def between(self, other: int, own: int, of: int) -> Floats | None:
        """Scores of ``other`` against ``own``, of the known photos of a class; None where they are too few."""
        rows = self.scores[self.truth == of]
        return rows[:, other] - rows[:, own] if len(rows) >= ENOUGH else None


def doubts_about(head: Head, evidence: Evidence, codes: Codes, labels: Names) -> list[Doubt]:
    """Which of the new samples (n, d) uint8 with their (n,) labels should wait, and why; all others may be learned.

    A sample that the head calls unknown is never held against its label: a new scene looks strange, not wrong.

    Args:
        head: has learned none of them.
        evidence: that it was fitted on.
    """
    if len(head.labels) < 2 or not len(codes):
        return []
    scores = head.scorer.scores(codes).astype(np.float64) / head.temperature
    _, unknown = head.predict(codes)
    column = {label: index for index, label in enumerate(head.labels)}
    found: list[Doubt] = []
    for label in sorted({*labels.tolist()} - {NOTHING}):  # background may look like anything: that is why it is taught
        rows = np.flatnonzero(labels == label)
        if label in column:
            found += _contradictions(head, evidence, column[label], rows, scores[rows], unknown[rows])
        else:
            found += _aliases(head, evidence, codes[rows], label, rows, scores[rows], unknown[rows])
    return found


# a known label ----------------------------------------------------------------------------------------------------


def _contradictions(
    head: Head, evidence: Evidence, own: int, rows: Rows, scores: Floats, unknown: Bools
) -> list[Doubt]:
    """The doubts about a batch (b, C) of the label in column ``own``."""
    labels = np.asarray(head.labels, np.str_)
    beaten = _margins(scores, np.full(len(rows), own))
    margins = np.where(unknown, -_STRONGEST, beaten)
    if not (margins > 0).any():
        return []
    others = scores.copy()
    others[:, own] = -np.inf
    looks = others.argmax(axis=1)
    known = _known(head, evidence, {own, *looks[margins > 0].tolist()})
    label = str(labels[own])
    whole = _all_another(known, scores, margins, own)
    if whole is not None:
        against = beaten > 0  # also what is strange besides
        reason = looks_like(label, int(against.sum()), len(rows), labels[looks[against]])
        alike = set(looks[against].tolist()) <= {whole}
        return [Doubt(label, tuple(rows.tolist()), str(labels[whole]) if alike else None, reason)]
    errors = known.margins() > 0
    wrong = wrong_labels(margins, (errors.sum() + 1.0) / (len(errors) + 5.0))
    found = []
    for other in sorted(set(looks[wrong].tolist())):
        these = wrong & (looks == other)
        reason = looks_like(label, int(these.sum()), len(rows), labels[looks[these]])
        found.append(Doubt(label, tuple(rows[these].tolist()), str(labels[other]), reason))
    return found


def _all_another(known: _Known, scores: Floats, margins: Floats, own: int) -> int | None:
    """The class that a batch (b, C) seems to be a draw from instead of its own, or None."""
    strength = float(np.clip(margins, -3.0, _STRONGEST).mean())
    if len(scores) < WHOLE or strength <= 0:
        return None
    best, place = None, LIKE_ANOTHER - EVIDENCE * strength
    for other in range(scores.shape[1]):
        there, here = known.between(other, own, other), known.between(other, own, own)
        if other == own or (there is None and here is None):
            continue
        position = place_between(scores[:, other] - scores[:, own], there, here)
        best, place = (other, position) if position > place else (best, place)
    return best


def place_between(batch: Floats, there: Floats | None, here: Floats | None) -> float:
    """Where the mean of a batch (b,) lies on the way from the own class's known photos, 0, to another's, 1.

    Less a part of the standard error of where the other class lies: a few photos tell that roughly. −∞ where the two
    are not apart.
    """
    mirrored = there if there is not None else here
    assert mirrored is not None, "one of them is known"
    there, here = (-mirrored if each is None else each for each in (there, here))
    way = float(there.mean() - here.mean())
    if way <= 0:
        return -np.inf
    spread = np.sqrt((there.var(ddof=1) + here.var(ddof=1)) / 2)
    return float((batch.mean() - here.mean() - ERRORS_LESS * spread / np.sqrt(len(there))) / way)


def wrong_labels(margins: Floats, errors: float) -> Bools:
    """Which samples (n,) of a batch are probably labelled wrongly.

    Args:
        margins: nats by which another class beats the own one.
        errors: share of right labels that the head usually gets wrong.

    Example:
        >>> import numpy as np
        >>> typical, wrong, mistakes = [-4.0] * 9, [5.0], [1.0] * 10
        >>> wrong_labels(np.array(typical + wrong), 0.1).tolist() == [False] * 9 + [True]
        True
        >>> wrong_labels(np.array(mistakes), 0.1).any()
        np.False_
    """
    against = margins > 0
    evidence = np.clip(margins, -_STRONGEST * 3, _STRONGEST * 3)
    share, rate = PRIOR[0] / sum(PRIOR), 0.5
    wrong = np.zeros(len(margins))
    for _ in range(_STEPS):
        given_right = np.where(against, np.log(errors / rate), np.log((1 - errors) / (1 - rate)))
        odds = np.exp(evidence + given_right) * share / (1 - share)
        wrong = odds / (1 + odds)
        share = float(np.clip((wrong.sum() + PRIOR[0]) / (len(wrong) + sum(PRIOR)), 0.02, 0.6))
        right = 1 - wrong
        rate = float((right[against].sum() + FEW_ERRORS * errors) / (right.sum() + FEW_ERRORS))
        rate = min(max(rate, errors), 0.98)
    return np.asarray(wrong > (WRONG if len(margins) >= WHOLE else WRONG_ALONE))


def _known(head: Head, evidence: Evidence, columns: Iterable[int]) -> _Known:
    """The holdout, and of what was learned here the samples of some classes, each as if it had not been learned."""
    column = {label: index for index, label in enumerate(head.labels)}
    held = [row for row, label in enumerate(evidence.holdout_labels) if label in column]
    scores = [head.holdout_scores[held].astype(np.float64)]
    truth = [column[evidence.holdout_labels[row]] for row in held]
    asked = {head.labels[index] for index in columns}
    rows = [row for row, label in enumerate(evidence.recent_labels) if label in asked]
    if rows:
        own = [evidence.recent_labels[row] for row in rows]
        left_out = head.scorer.scores_without_each(evidence, evidence.recent[rows], own)
        sound = np.flatnonzero(np.isfinite(left_out).all(axis=1))
        scores.append(left_out[sound])
        truth += [column[own[row]] for row in sound]
    return _Known(np.concatenate(scores) / head.temperature, np.array(truth, np.intp))


def _margins(scores: Floats, own: Rows) -> Floats:
    """(n, C) scores and (n,) columns → (n,) by how much the best other column beats these."""
    rows = np.arange(len(scores))
    others = scores.copy()
    others[rows, own] = -np.inf
    return np.asarray(others.max(axis=1) - scores[rows, own])


# a new label ------------------------------------------------------------------------------------------------------


def _aliases(
    head: Head, evidence: Evidence, codes: Codes, label: str, rows: Rows, scores: Floats, unknown: Bools
) -> list[Doubt]:
    """A doubt about a batch of a label that the head does not know, where it is a known class under another name."""
    count = len(rows)
    other = int(scores.mean(axis=0).argmax())
    if count < FEW or float(((scores.argmax(axis=1) == other) & ~unknown).mean()) < 0.5:
        return []
    name = head.labels[other]
    held = evidence.holdout[[row for row, each in enumerate(evidence.holdout_labels) if each == name]]
    here = evidence.recent[[row for row, each in enumerate(evidence.recent_labels) if each == name]]
    sets = [each[-MOST_OF_CLASS:] for each in (held, here) if len(each) >= MANY]
    if not sets:
        return []
    apart = min(_errors_apart(evidence, codes[-MOST_OF_CLASS:], known) for known in sets)
    apart += _errors_short(_known(head, evidence, {other}), scores, other)
    if apart >= (SAME if count >= MANY else SAME_FEW):
        return []
    return [Doubt(label, tuple(rows.tolist()), name, same_thing(label, count, name))]


def _errors_short(known: _Known, scores: Floats, column: int) -> float:
    """Standard errors by which samples (n, C) win less clearly for a class than its known photos do."""
    usual = -_margins(known.scores[known.truth == column], known.truth[known.truth == column])
    won = -_margins(scores, np.full(len(scores), column))
    return float((usual.mean() - won.mean()) / max(float(usual.std()), 1e-6) * np.sqrt(len(won)))


def _errors_apart(evidence: Evidence, codes: Codes, known: Codes) -> float:
    """Standard errors by which the means of two sets of codes, (n, d) and (m, d) uint8, differ."""
    n, m = len(codes), len(known)
    products = _products(evidence, np.concatenate([codes, known]))
    first, second, across = products[:n, :n], products[n:, n:], products[:n, n:]
    apart = _without_itself(first) + _without_itself(second) - 2 * float(across.mean())
    variance = 2 * _squared_scatter(evidence) * (1 / (n * (n - 1)) + 1 / (m * (m - 1)) + 2 / (n * m))
    return float(apart / np.sqrt(max(variance, 1e-30)))


def _squared_scatter(evidence: Evidence) -> float:
    """tr (Σ P)², Σ the scatter within classes: mean square of the products of two photos of one class."""
    labels = (*evidence.holdout_labels, *evidence.recent_labels)
    codes = np.concatenate([evidence.holdout, evidence.recent])
    rows = np.arange(len(labels))
    if len(rows) > MOST_KNOWN:
        rows = np.linspace(0, len(rows) - 1, MOST_KNOWN).round().astype(np.intp)
    products, names = _products(evidence, codes[rows]), np.asarray(labels, np.str_)[rows]
    total, pairs = 0.0, 0
    for name in set(names.tolist()):
        members = np.flatnonzero(names == name)
        if len(members) >= FEW:
            inner = products[np.ix_(members, members)]
            inner = inner - inner.mean(axis=0) - inner.mean(axis=1)[:, None] + inner.mean()
            total += float(np.square(inner).sum() - np.square(np.diag(inner)).sum())
            pairs += len(members) * (len(members) - 1)
    return total / max(pairs, 1)


def _products(evidence: Evidence, codes: Codes) -> Floats:
    """(n, d) uint8 → (n, n) inner products under the precision."""
    centred = (codes - evidence.centre).astype(np.float32)
    return np.asarray((centred @ evidence.precision) @ centred.T, np.float64)


def _without_itself(products: Floats) -> float:
    """Mean of a square matrix but for its diagonal."""
    n = len(products)
    return float((products.sum() - np.trace(products)) / (n * (n - 1)))
