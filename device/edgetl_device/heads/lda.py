"""Linear discriminant analysis with a shared, shrunk covariance (see :mod:`.precision`), from statistics alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..codes import CodeTransform
from .class_moments import ClassMoments, class_moments
from .evidence import Evidence
from .scorer import ClosedForm, Floats, Numbers, Scorer


@dataclass(frozen=True, eq=False)
class Linear(Scorer):
    """Scores = codes · weightsᵀ + bias.

    Args:
        labels: (C,).
        weights: (C, d) float32.
        bias: (C,) float32.
    """

    has_slopes: ClassVar[bool] = True

    labels: tuple[str, ...]
    weights: Floats
    bias: Floats

    @classmethod
    def fit(cls, evidence: Evidence) -> Linear:
        """The linear rule for everything known."""
        return solve_lda(class_moments(evidence))

    def scores(self, codes: Numbers) -> Floats:
        """(n, d) → (n, C) float32 log-posteriors up to a constant for each row."""
        return np.asarray(codes, np.float32) @ self.weights.T + self.bias

    def slopes(self, point: Floats) -> Floats:
        """Codes (d,) float32 → (C, d) by how much each score rises with each code: the same everywhere."""
        return self.weights

    def closed_form(self, transform: CodeTransform) -> ClosedForm:
        """As it is."""
        return ClosedForm(self.weights, self.bias)


def solve_lda(moments: ClassMoments) -> Linear:
    """ClassMoments → linear scores with weights P M and bias log prior − ½ (mᵀ P m − E / n_c).

    The mean of n samples lies by E / n too far out (E: expected squared distance of a sample): without the last term a
    class known from few samples would always lose.
    """
    precision = moments.precision
    if not moments.labels or precision is None:
        return Linear((), np.zeros((0, moments.means.shape[1]), np.float32), np.zeros(0, np.float32))
    centre = moments.means.mean(axis=0)
    means = (moments.means - centre).astype(np.float32)
    whitened = means @ precision
    quadratic = np.einsum("cd,cd->c", whitened, means)
    bias = moments.log_prior - 0.5 * (quadratic - precision.unseen / moments.effective) - whitened @ centre
    return Linear(moments.labels, whitened, bias.astype(np.float32))
