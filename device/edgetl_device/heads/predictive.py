"""Predictive discriminant: how well does a photo fit a class whose mean is itself only an estimate?

A class is a Gaussian with a scatter shared by all and a mean known from its n samples. Integrating the mean out widens
a class seen n times by s = 1 + 1/(n + τ) and draws its mean towards the mean of all classes: the posterior predictive
of probabilistic LDA (Ioffe, ECCV 2006, https://doi.org/10.1007/11744085_41) with an isotropic prior in the whitened
space. So a class learned from one photo neither swallows its neighbours nor always loses, and with many samples this is
LDA.

    log p(c | x) = −½ [ (x − m_c)ᵀ P (x − m_c) / s_c + ρ · E · ln s_c ] + constant

E is the expected squared distance of an unseen sample of a class (see :class:`~.precision.Precision`): a class of one
sample is not punished for all d dimensions of its volume but for those that carry information. τ, ρ and the weight of
device samples are the same for all situations; ``benchmarks/README.md`` says how they were chosen and confirmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..codes import Codes, CodeTransform
from .class_moments import ClassMoments, class_moments, posterior
from .evidence import Evidence
from .leave_one_out import distances_without_each
from .precision import Precision
from .scorer import ClosedForm, Floats, Numbers, QuadraticTerm, Scorer

VOLUME_SHARE = 0.6  # ρ
ALIKE = 0.2  # nats; slopes that move the scores of a usual sample apart by less count as one
_BLOCK_ROWS = 128  # scored at once, to spare memory


@dataclass(frozen=True, eq=False)
class Predictive(Scorer):
    """Scores = y · weightsᵀ + (yᵀ P y) · slope + bias, with y = code − centre: linear but for one shared feature.

    What that feature adds to all classes alike changes no probability and is left out: often that is all of it.

    Args:
        labels: (C,).
        centre: (d,) float32, anywhere near the codes.
        precision: P; None where nothing is known.
        weights: (C, d) float32.
        slope, bias: (C,) float32.
    """

    has_slopes: ClassVar[bool] = True

    labels: tuple[str, ...]
    centre: Floats
    precision: Precision | None
    weights: Floats
    slope: Floats
    bias: Floats

    @classmethod
    def fit(cls, evidence: Evidence) -> Predictive:
        """The predictive discriminant of everything known."""
        moments = class_moments(evidence)
        return solve_predictive(moments, evidence.centre if moments.precision is not None else None)

    def scores(self, codes: Numbers) -> Floats:
        """(n, d) → (n, C) float32 log-posteriors up to a constant for each row."""
        scores = np.empty((len(codes), len(self.labels)), np.float32)
        if self.precision is None:
            return scores
        for start in range(0, len(codes), _BLOCK_ROWS):
            centred = (codes[start : start + _BLOCK_ROWS] - self.centre).astype(np.float32, copy=False)
            lengths = self.precision.lengths(centred) if self._tilt.any() else None
            scores[start : start + _BLOCK_ROWS] = self._scored(centred, lengths)
        return scores

    def holdout_scores(self, evidence: Evidence) -> Floats:
        """As :meth:`scores`, without most of the work."""
        if self.precision is None:
            return self.scores(evidence.holdout)
        lengths = evidence.holdout_distances.astype(np.float32) if self._tilt.any() else None
        return self._scored(evidence.holdout - self.centre, lengths)

    def scores_without_each(self, evidence: Evidence, codes: Codes, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """In closed form (see :mod:`.leave_one_out`)."""
        moments = class_moments(evidence)
        distances, spread = distances_without_each(evidence, moments, codes, labels)
        unseen = moments.precision.unseen if moments.precision is not None else 0.0
        return np.asarray(moments.log_prior - 0.5 * (distances / spread + VOLUME_SHARE * unseen * np.log(spread)))

    def slopes(self, point: Floats) -> Floats:
        """Codes (d,) float32 → (C, d) by how much each score rises with each code there."""
        if self.precision is None or not self._tilt.any():
            return self.weights
        return self.weights + 2 * self._tilt[:, None] * ((point - self.centre)[None] @ self.precision)

    def closed_form(self, transform: CodeTransform) -> ClosedForm:
        """Linear, and the one quadratic feature."""
        if self.precision is None or not self._tilt.any():
            return ClosedForm(self.weights, self.bias - self.weights @ self.centre)
        term = QuadraticTerm(self.centre, self.precision, self._tilt)
        return ClosedForm(self.weights, self.bias - self.weights @ self.centre, term)

    @cached_property
    def _tilt(self) -> Floats:
        """(C,) slope, less that of the class with the most samples: 0 for all where all have as many."""
        return np.asarray(self.slope - self.slope.max(initial=-np.inf), np.float32)

    def _scored(self, centred: Floats, lengths: Floats | None) -> Floats:
        scores = centred @ self.weights.T + self.bias
        return scores if lengths is None else scores + lengths[:, None] * self._tilt


def drawn_means(moments: ClassMoments) -> npt.NDArray[np.float64]:
    """(C, d) means of classes, drawn to the mean of all by how few samples each has."""
    middle = moments.means.mean(axis=0)
    trust, _ = posterior(moments.effective)
    return np.asarray(middle + trust[:, None] * (moments.means - middle))


def solve_predictive(
    moments: ClassMoments, centre: Floats | None = None, volume_share: float = VOLUME_SHARE
) -> Predictive:
    """ClassMoments → Predictive, expanded at ``centre`` (d,), with ρ; also of float features."""
    dimension = moments.means.shape[1]
    precision = moments.precision
    if not moments.labels or precision is None:
        none, nothing = np.zeros(0, np.float32), np.zeros((0, dimension), np.float32)
        return Predictive((), np.zeros(dimension, np.float32), None, nothing, none, none)
    if centre is None:
        centre = moments.means.mean(axis=0).astype(np.float32)
    _, spread = posterior(moments.effective)
    means = (drawn_means(moments) - centre).astype(np.float32)
    whitened = means @ precision
    quadratic = np.einsum("cd,cd->c", whitened, means)
    bias = moments.log_prior - 0.5 * (quadratic / spread + volume_share * precision.unseen * np.log(spread))
    slope, usual = -0.5 / spread, precision.unseen + quadratic.mean()  # of yᵀ P y
    tilt = slope - slope.mean()
    if np.abs(tilt).max() * usual <= ALIKE:
        bias, slope = bias + tilt * usual, slope - tilt
    return Predictive(
        moments.labels,
        centre,
        precision,
        (whitened / spread[:, None]).astype(np.float32),
        slope.astype(np.float32),
        bias.astype(np.float32),
    )
