"""Have I seen this kind of thing? Similarity to bundled embeddings, with thresholds set on the holdout.

The score is the mean cosine to the k nearest held-out embeddings (Sun et al., "Out-of-Distribution Detection with Deep
Nearest Neighbors", ICML 2022, https://arxiv.org/abs/2204.06507): the best of those compared in ``benchmarks/unknown``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from .evidence import Evidence
from .neighbours import Vectors, mean_of_nearest, unit

RECENT_PER_CLASS = 64  # device samples of each class that are remembered here, the newest
MOST_RECENT = 4096  # of all classes together: 5 MB, and what one frame is compared with


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
        return mean_of_nearest(unit(codes, self.origin) @ self.bank.T)

    def is_unknown(self, codes: Codes) -> npt.NDArray[np.bool_]:
        """(n, d) uint8 → (n,) bool.

        A thing is known if it resembles the holdout, or if what it resembles most was learned here and is near enough.
        """
        rows = unit(codes, self.origin)
        to_bank = rows @ self.bank.T
        unknown = mean_of_nearest(to_bank) < self.threshold
        if len(self.recent):
            to_recent = rows @ self.recent.T
            best = to_recent.argmax(axis=1)
            cosine = to_recent[np.arange(len(rows)), best]
            unknown &= ~((cosine >= to_bank.max(axis=1, initial=-1.0)) & (cosine >= self.near[best]))
        return np.asarray(unknown)


def fit_novelty(evidence: Evidence) -> Novelty:
    """The threshold is the holdout's 5 % quantile, each left out in turn; nearness asks what the holdout shows."""
    bank = evidence.bank
    chosen = newest(evidence.recent_labels)
    recent = unit(evidence.recent[chosen], evidence.origin)
    names, counts = np.unique(np.asarray(evidence.recent_labels, np.str_)[chosen], return_counts=True)
    count_of = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
    nearness = {count: bank.nearness(count) for count in set(count_of.values())}
    near = np.array([nearness[count_of[evidence.recent_labels[row]]] for row in chosen], np.float32)
    return Novelty(bank.vectors, recent, near, evidence.origin, bank.threshold)


def remembered_per_class(counts: Iterable[int]) -> int:
    """Samples of each class → how many of a class may be remembered: 64, or as many as keep within the total."""
    sizes = np.minimum(np.fromiter(counts, np.int64), RECENT_PER_CLASS)
    most = RECENT_PER_CLASS
    while most > 1 and int(np.minimum(sizes, most).sum()) > MOST_RECENT:
        most -= 1
    return most


def newest(labels: Sequence[str]) -> list[int]:
    """Indices of the newest of each label that are remembered, ascending."""
    most = remembered_per_class(Counter(labels).values())
    kept: Counter[str] = Counter()
    chosen = []
    for row in range(len(labels) - 1, -1, -1):
        kept[labels[row]] += 1
        if kept[labels[row]] <= most:
            chosen.append(row)
    return chosen[::-1]
