"""Predictive discriminant: how well does a photo fit a class whose mean is itself only an estimate?

A class is a Gaussian with a scatter shared by all and a mean known from its n samples. Integrating the mean out widens
a class seen n times by s = 1 + 1/(n + τ) and draws its mean towards the mean of all classes: the posterior predictive
of probabilistic LDA (Ioffe, ECCV 2006, https://doi.org/10.1007/11744085_41) with an isotropic prior in the whitened
space. So a class learned from one photo neither swallows its neighbours nor always loses, and with many samples this is
LDA.

    log p(c | x) = −½ [ (x − m_c)ᵀ P (x − m_c) / s_c + ρ · E · ln s_c ] + constant

E is the expected squared distance of an unseen sample of a class (see :class:`~.precision.Precision`): a class of one
sample is not punished for all d dimensions of its volume but for those that carry information. τ, ρ and the weight of
device samples are the same for all situations; how they were chosen and confirmed is told in ``benchmarks/README.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from .class_moments import ClassMoments, class_moments
from .evidence import Evidence
from .precision import Precision

PRIOR_SAMPLES = 2.0  # τ
VOLUME_SHARE = 0.6  # ρ
_BLOCK_ROWS = 128  # scored at once, to spare memory

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Predictive:
    """Scores = y · weightsᵀ + (yᵀ P y) · slope + bias, with y = code − centre: linear but for one shared feature.

    Args:
        labels: (C,).
        centre: (d,) float32, anywhere near the codes.
        precision: P; None where nothing is known.
        weights: (C, d) float32.
        slope, bias: (C,) float32.
    """

    labels: tuple[str, ...]
    centre: Floats
    precision: Precision | None
    weights: Floats
    slope: Floats
    bias: Floats

    def scores(self, codes: Codes | npt.NDArray[np.floating]) -> Floats:
        """(n, d) → (n, C) float32 log-posteriors up to a constant for each row."""
        scores = np.empty((len(codes), len(self.labels)), np.float32)
        if self.precision is None:
            return scores
        for start in range(0, len(codes), _BLOCK_ROWS):
            centred = (codes[start : start + _BLOCK_ROWS] - self.centre).astype(np.float32, copy=False)
            quadratic = np.einsum("nd,nd->n", centred @ self.precision, centred)
            scores[start : start + _BLOCK_ROWS] = self._scored(centred, quadratic)
        return scores

    def slopes(self, point: Floats) -> Floats:
        """Codes (d,) float32 → (C, d) by how much each score rises with each code there."""
        if self.precision is None:
            return np.zeros_like(self.weights)
        return self.weights + 2 * self.slope[:, None] * ((point - self.centre)[None] @ self.precision)

    def held_scores(self, evidence: Evidence) -> Floats:
        """As :meth:`scores` of the holdout of the very evidence this was fitted on, without most of the work."""
        if self.precision is None:
            return self.scores(evidence.holdout)
        return self._scored(evidence.holdout - self.centre, evidence.held.astype(np.float32))

    def _scored(self, centred: Floats, quadratic: Floats) -> Floats:
        return centred @ self.weights.T + quadratic[:, None] * self.slope + self.bias


def fit_predictive(evidence: Evidence) -> Predictive:
    """The predictive discriminant of everything known."""
    given = class_moments(evidence)
    return solve_predictive(given, evidence.centre if given.precision is not None else None)


def solve_predictive(given: ClassMoments, centre: Floats | None = None) -> Predictive:
    """ClassMoments → Predictive, expanded at ``centre`` (d,); also of float features."""
    dimension = given.means.shape[1]
    found = given.precision
    if not given.labels or found is None:
        none, nothing = np.zeros(0, np.float32), np.zeros((0, dimension), np.float32)
        return Predictive((), np.zeros(dimension, np.float32), None, nothing, none, none)
    middle = given.means.mean(axis=0)
    if centre is None:
        centre = middle.astype(np.float32)
    trust = given.effective / (given.effective + PRIOR_SAMPLES)
    means = (middle + trust[:, None] * (given.means - middle) - centre).astype(np.float32)
    spread = 1.0 + 1.0 / (given.effective + PRIOR_SAMPLES)
    directions = means @ found
    quadratic = np.einsum("cd,cd->c", directions, means)
    bias = given.log_prior - 0.5 * (quadratic / spread + VOLUME_SHARE * found.unseen * np.log(spread))
    return Predictive(
        given.labels,
        centre,
        found,
        (directions / spread[:, None]).astype(np.float32),
        (-0.5 / spread).astype(np.float32),
        bias.astype(np.float32),
    )
