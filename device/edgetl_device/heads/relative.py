"""Relative distance: how much nearer is a thing to one of the factory's classes than to the middle of them all?

    r(x) = (1 − γ) · ‖x − μ‖² − min_c ‖x − m_c‖²

under the precision within classes: with γ = 0 the Mahalanobis distance relative to everything (Ren et al. 2021,
https://arxiv.org/abs/2106.09022), which sees near strangers best, with γ = 1 the plain one (Lee et al. 2018,
https://arxiv.org/abs/1807.03888), which sees far ones. Because one precision serves both, r is the largest of C linear
scores less γ of one quadratic form (see :mod:`.space`). ``benchmarks/unknown`` compares it with others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..codes import Codes
from ..statistics import Statistics
from .precision import Matrix, Vector
from .scatter import label_rows, row_products
from .space import Space, Whitened

FALSE_ALARMS = 0.05  # share of known things that may fall below the threshold
PLAIN_SHARE = 0.2  # γ: .1 to .3 do alike

_NOTHING_NEAR = -np.inf


@dataclass(frozen=True, eq=False)
class RelativeDistance:
    """The factory's classes, and below what nothing is one of them.

    Args:
        weights: (C, d) float32 2 · P (m_c − centre).
        bias: (C,) float32.
        threshold: 5 % quantile of the holdout.
    """

    weights: Matrix
    bias: Matrix
    threshold: float

    def __call__(self, whitened: Whitened) -> Vector:
        """(n,) r: the larger, the more familiar."""
        return relative(whitened.offsets, whitened.lengths, self.weights, self.bias)


def relative(offsets: Matrix, lengths: Vector, weights: Matrix, bias: Matrix) -> Vector:
    """Offsets (n, d) from the centre, their squared lengths (n,) and C classes → (n,) r."""
    nearest = (offsets @ weights.T + bias).max(axis=1, initial=_NOTHING_NEAR)
    return np.asarray(nearest - PLAIN_SHARE * lengths)


def fit_relative(space: Space, factory: Statistics, known: Codes, hidden: frozenset[str]) -> RelativeDistance:
    """Classes of the factory that are not hidden, as the factory knew them: what is taught here changes no threshold.

    Args:
        known: (h, d) uint8 held-out codes of them, at least one.
    """
    rows = label_rows(factory, [label for label in factory.labels if label not in hidden])
    means = factory.sums[rows] / factory.counts[rows, None] - space.centre
    whitened = space.whiten(means.astype(np.float32))
    weights, bias = (2 * whitened).astype(np.float32), (-row_products(whitened, means)).astype(np.float32)
    held = space(known)
    threshold = float(np.quantile(relative(held.offsets, held.lengths, weights, bias), FALSE_ALARMS))
    return RelativeDistance(weights, bias, threshold)
