"""Have I seen this kind of thing? Similarity to bundled embeddings, with thresholds set on the holdout.

The score is the mean cosine to the k nearest held-out embeddings (Sun et al., "Out-of-Distribution Detection with Deep
Nearest Neighbors", ICML 2022, https://arxiv.org/abs/2204.06507): the best of those compared in ``benchmarks/unknown``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from .evidence import Evidence
from .prototype import unit

NEIGHBOURS = 5
FALSE_ALARMS = 0.05  # share of known things that may fall below the threshold
STRICTNESS = 0.25  # quantile, over known things, of how near a learned thing must come to its own samples
ENOUGH = 20  # held-out embeddings needed before a 5 % quantile means anything
RECENT_PER_CLASS = 64  # device samples of each class that are remembered here, the newest

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Novelty:
    """What is known, and the thresholds below which a thing is not.

    Args:
        bank: (b, d) float32 unit vectors: the holdout.
        recent: (r, d) float32 unit vectors: device samples.
        near: (r,) cosine that a thing must have to one of these to be taken for the same kind.
        origin: code of the value 0.
        threshold: mean cosine to the nearest of the bank; −inf where too little is known to call anything strange.
    """

    bank: Vectors
    recent: Vectors
    near: Vectors
    origin: int
    threshold: float

    def similarity(self, codes: Codes) -> Vectors:
        """(n, d) uint8 → (n,) float32 mean cosine to the nearest of the bank; −1 where the bank is empty."""
        return _nearest(unit(codes, self.origin) @ self.bank.T)

    def is_unknown(self, codes: Codes) -> npt.NDArray[np.bool_]:
        """(n, d) uint8 → (n,) bool.

        A thing is known if it resembles the holdout, or if what it resembles most was learned here and is near enough.
        """
        rows = unit(codes, self.origin)
        to_bank = rows @ self.bank.T
        unknown = _nearest(to_bank) < self.threshold
        if len(self.recent):
            to_recent = rows @ self.recent.T
            best = to_recent.argmax(axis=1)
            cosine = to_recent[np.arange(len(rows)), best]
            unknown &= ~((cosine >= to_bank.max(axis=1, initial=-1.0)) & (cosine >= self.near[best]))
        return np.asarray(unknown)


def fit_novelty(evidence: Evidence) -> Novelty:
    """The threshold is the holdout's 5 % quantile, each left out in turn; nearness asks what the holdout shows."""
    shown = np.array([label not in evidence.hidden for label in evidence.holdout_labels], bool)
    bank = unit(evidence.holdout[shown], evidence.origin)
    labels = np.asarray(evidence.holdout_labels, np.str_)[shown]
    chosen = _newest(evidence.recent_labels)
    recent = unit(evidence.recent[chosen], evidence.origin)
    if len(bank) < ENOUGH:
        return Novelty(bank, recent, np.full(len(recent), -1.0, np.float32), evidence.origin, float("-inf"))
    cosine = bank @ bank.T
    cosine[np.diag_indices(len(bank))] = -1.0  # not its own neighbour
    threshold = float(np.quantile(_nearest(cosine), FALSE_ALARMS))
    if not chosen:
        return Novelty(bank, recent, np.zeros(0, np.float32), evidence.origin, threshold)
    same = labels[:, None] == labels[None, :]
    own = np.sort(np.where(same, cosine, -1.0), axis=1)
    sizes = same.sum(axis=1) - 1
    names, counts = np.unique(np.asarray(evidence.recent_labels, np.str_)[chosen], return_counts=True)
    needed = {str(name): _nearness(own, sizes, int(count)) for name, count in zip(names, counts, strict=True)}
    near = np.array([needed[evidence.recent_labels[row]] for row in chosen], np.float32)
    return Novelty(bank, recent, near, evidence.origin, threshold)


def _nearness(own: Vectors, sizes: npt.NDArray[np.int64], count: int) -> float:
    """Cosine to the nearest of ``count`` own samples that three of four held-out things reach.

    Args:
        own: (h, h) cosines of held-out things to others of their class, ascending, −1 for other classes.
        sizes: (h,) how many others of its class each has.
    """
    rows = np.flatnonzero(sizes > 0)
    if not len(rows):
        return -1.0
    # The nearest of n is about the n/(n+1) quantile of all.
    rank = np.ceil(sizes[rows] * count / (count + 1)).astype(np.intp)
    column = own.shape[1] - 1 - sizes[rows] + np.maximum(rank, 1)
    return float(np.quantile(own[rows, column], STRICTNESS))


def _newest(labels: tuple[str, ...]) -> list[int]:
    """Indices of the last ``RECENT_PER_CLASS`` of each label, ascending."""
    left: dict[str, int] = {}
    chosen = []
    for row in range(len(labels) - 1, -1, -1):
        left[labels[row]] = left.get(labels[row], RECENT_PER_CLASS) - 1
        if left[labels[row]] >= 0:
            chosen.append(row)
    return chosen[::-1]


def _nearest(cosine: Vectors) -> Vectors:
    """(n, b) → (n,) mean of each row's largest ``NEIGHBOURS`` entries."""
    count = min(NEIGHBOURS, cosine.shape[1])
    if count == 0:
        return np.full(len(cosine), -1.0, np.float32)
    return np.asarray(np.partition(cosine, cosine.shape[1] - count, axis=1)[:, -count:].mean(axis=1), np.float32)
