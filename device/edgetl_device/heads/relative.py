"""Relative distance: how much likelier is a thing as one of the factory's classes than as anything at all?

    r(x) = s₁ + κ (s₁ − s₂) + ½ (1 − γ) · ‖x − μ‖²

with s₁ ≥ s₂ the largest scores that the :mod:`.gaussian` rule gives for the factory alone, and lengths under the
precision within classes. Where all classes have one covariance and κ = 0 this is half of

    (1 − γ) ‖x − μ‖² − min_c ‖x − m_c‖²

with γ = 0 the Mahalanobis distance relative to everything (Ren et al. 2021, https://arxiv.org/abs/2106.09022), which
sees near strangers best, with γ = 1 the plain one (Lee et al. 2018, https://arxiv.org/abs/1807.03888), which sees far
ones. Classes' own covariances, and the lead of the best class over the next, tell near strangers better: these lie
between classes. ``benchmarks/unknown`` compares it with others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .precision import Matrix, Vector
from .space import Whitened

FALSE_ALARMS = 0.05  # share of known things that may fall below the threshold
PLAIN_SHARE = 0.25  # γ: .2 to .3 do alike
LEAD_SHARE = 0.4  # κ: more sees near strangers better and far ones worse

_BLOCK_ROWS = 64  # of own terms, which are large


@dataclass(frozen=True, eq=False)
class RelativeDistance:
    """The factory's classes, and below what nothing is one of them.

    Args:
        weights: (C, d) float32, scores by offsets from the centre.
        slope: (C,) float32, by lengths.
        bias: (C,) float32.
        classes: (k,) which of them have a covariance of their own.
        curvatures: (k, q, q) float32: their scores lose half of this form of an offset along the space's basis.
        threshold: 5 % quantile of the holdout.
    """

    weights: Matrix
    slope: Matrix
    bias: Matrix
    classes: np.ndarray[tuple[int, ...], np.dtype[np.intp]]
    curvatures: Matrix
    threshold: float

    def __call__(self, whitened: Whitened) -> Vector:
        """(n,) r: the larger, the more familiar."""
        scores = whitened.offsets @ self.weights.T + whitened.lengths[:, None] * self.slope + self.bias
        for start in range(0, len(scores) if len(self.classes) else 0, _BLOCK_ROWS):
            along = whitened.along[start : start + _BLOCK_ROWS]
            forms = np.einsum("knq,nq->nk", along @ self.curvatures, along)
            scores[start : start + _BLOCK_ROWS, self.classes] -= 0.5 * forms
        return relative(scores, whitened.lengths)


def relative(scores: Matrix | Vector, lengths: Vector) -> Vector:
    """Scores (n, C) and squared lengths (n,) of offsets from the centre → (n,) r; −∞ where there is no class."""
    classes = scores.shape[1]
    if not classes:
        return np.full(len(scores), -np.inf)
    best = scores.max(axis=1)
    lead = best - np.partition(scores, classes - 2, axis=1)[:, classes - 2] if classes > 1 else 0.0
    return np.asarray(best + LEAD_SHARE * lead + 0.5 * (1 - PLAIN_SHARE) * lengths, np.float64)
