"""Have I seen this kind of thing? Similarity to bundled embeddings, with thresholds set on the holdout.

The score is the mean cosine to the k nearest references (k-nearest-neighbour novelty, Sun et al., "Out-of-Distribution
Detection with Deep Nearest Neighbors", ICML 2022, https://arxiv.org/abs/2204.06507).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .evidence import Evidence
from .prototype import unit

NEIGHBOURS = 3
FALSE_ALARMS = 0.05  # share of known things that may fall below the threshold
ENOUGH = 20  # references needed before a 5 % quantile means anything


@dataclass(frozen=True, eq=False)
class Familiarity:
    """Similarity to references, and the threshold below which a thing is not familiar.

    Args:
        references: (r, d) float32 unit vectors.
        origin: code of the value 0.
        threshold: similarity, −1 … 1; −inf where too little is known to call anything strange.
    """

    references: npt.NDArray[np.float32]
    origin: int
    threshold: float

    def similarity(self, codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(n, d) uint8 → (n,) float32 mean cosine to the nearest references; −1 where there is none."""
        return _nearest(unit(codes, self.origin) @ self.references.T)

    def is_familiar(self, codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """(n, d) uint8 → (n,) bool."""
        return np.asarray(self.similarity(codes) >= self.threshold)


def fit_familiarity(evidence: Evidence) -> Familiarity:
    """References are holdout and device samples; the threshold is the holdout's 5 % quantile, each left out in turn."""
    references = unit(evidence.references, evidence.origin)
    judged = references[: evidence.holdout] if evidence.holdout >= ENOUGH else references
    threshold = float("-inf")
    if len(judged) >= ENOUGH:
        cosine = judged @ references.T
        cosine[np.arange(len(judged)), np.arange(len(judged))] = -np.inf  # not its own neighbour
        threshold = float(np.quantile(_nearest(cosine), FALSE_ALARMS))
    return Familiarity(references, evidence.origin, threshold)


def _nearest(cosine: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n, r) → (n,) mean of each row's largest ``NEIGHBOURS`` entries."""
    count = min(NEIGHBOURS, cosine.shape[1])
    if count == 0:
        return np.full(len(cosine), -1.0, np.float32)
    top = np.partition(cosine, cosine.shape[1] - count, axis=1)[:, -count:]
    return np.asarray(np.where(np.isfinite(top), top, -1.0).mean(axis=1), np.float32)
