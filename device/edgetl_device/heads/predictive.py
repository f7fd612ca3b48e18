"""Predictive discriminant: how well does a photo fit a class whose mean is itself only an estimate?

A class is a Gaussian with a scatter shared by all and a mean known from its n samples. Integrating the mean out widens
a class seen n times by s = 1 + 1/(n + τ) and draws its mean towards the mean of all classes: the posterior predictive
of probabilistic LDA (Ioffe, ECCV 2006, https://doi.org/10.1007/11744085_41) with an isotropic prior in the whitened
space. So a class learned from one photo neither swallows its neighbours nor always loses, and with many samples this is
LDA.

    log p(c | x) = −½ [ (x − m_c)ᵀ P (x − m_c) / s_c + ρ · E · ln s_c ] + constant

E is the expected squared distance of an unseen sample of a class (see :class:`~.precision.Precision`): a class of one
sample is not punished for all d dimensions of its volume but for those that carry information. τ, ρ and the weight of
device samples were chosen on the benchmarks ``heads_*`` and are the same for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from .evidence import Evidence, Moments, moments

PRIOR_SAMPLES = 0.5  # τ
VOLUME_SHARE = 0.5  # ρ
_BLOCK_ROWS = 128  # scored at once, to spare memory


@dataclass(frozen=True, eq=False)
class Predictive:
    """Scores = y · weightsᵀ + (yᵀ P y) · slope + bias, with y = code − centre: linear but for one shared feature.

    Args:
        labels: (C,).
        centre: (d,) float32, mean of all classes.
        precision: (d, d) float32.
        weights: (C, d) float32.
        slope, bias: (C,) float32.
        unseen: E.
    """

    labels: tuple[str, ...]
    centre: npt.NDArray[np.float32]
    precision: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    slope: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    unseen: float

    def scores(self, codes: Codes | npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """(n, d) → (n, C) float32 log-posteriors up to a constant for each row."""
        scores = np.empty((len(codes), len(self.labels)), np.float32)
        for start in range(0, len(codes), _BLOCK_ROWS):
            centred = codes[start : start + _BLOCK_ROWS] - self.centre
            quadratic = np.einsum("nd,nd->n", centred @ self.precision, centred)
            block = centred @ self.weights.T + quadratic[:, None] * self.slope + self.bias
            scores[start : start + _BLOCK_ROWS] = block
        return scores


def fit_predictive(evidence: Evidence) -> Predictive:
    """The predictive discriminant of everything known."""
    return solve_predictive(moments(evidence))


def solve_predictive(given: Moments) -> Predictive:
    """Moments → Predictive; also of float features."""
    dimension = given.means.shape[1]
    found = given.precision
    if not given.labels or found is None:
        none, nothing = np.zeros(0, np.float32), np.zeros((0, dimension), np.float32)
        centre, identity = np.zeros(dimension, np.float32), np.eye(dimension, dtype=np.float32)
        return Predictive((), centre, identity, nothing, none, none, 0.0)
    centre = given.means.mean(axis=0)
    trust = given.effective / (given.effective + PRIOR_SAMPLES)
    means = (trust[:, None] * (given.means - centre)).astype(np.float32)
    spread = 1.0 + 1.0 / (given.effective + PRIOR_SAMPLES)
    directions = means @ found.matrix
    quadratic = np.einsum("cd,cd->c", directions, means)
    bias = -0.5 * (quadratic / spread + VOLUME_SHARE * found.unseen * np.log(spread))
    return Predictive(
        given.labels,
        centre.astype(np.float32),
        found.matrix,
        (directions / spread[:, None]).astype(np.float32),
        (-0.5 / spread).astype(np.float32),
        bias.astype(np.float32),
        found.unseen,
    )
