"""Linear discriminant analysis with a shared, shrunk covariance (see :mod:`.precision`), from statistics alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from .class_moments import ClassMoments, class_moments
from .evidence import Evidence


@dataclass(frozen=True, eq=False)
class Linear:
    """Scores = codes · weightsᵀ + bias.

    Args:
        labels: (C,).
        weights: (C, d) float32.
        bias: (C,) float32.
    """

    labels: tuple[str, ...]
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def scores(self, codes: Codes | npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """(n, d) → (n, C) float32 log-posteriors up to a constant for each row."""
        return np.asarray(codes, np.float32) @ self.weights.T + self.bias

    def slopes(self, point: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Codes (d,) float32 → (C, d) by how much each score rises with each code: the same everywhere."""
        return self.weights


def fit_lda(evidence: Evidence) -> Linear:
    """The linear rule for everything known."""
    return solve_lda(class_moments(evidence))


def solve_lda(given: ClassMoments) -> Linear:
    """ClassMoments → linear scores with weights P M and bias log prior − ½ (mᵀ P m − E / n_c).

    The mean of n samples lies by E / n too far out (E: expected squared distance of a sample): without the last term a
    class known from few samples would always lose.
    """
    found = given.precision
    if not given.labels or found is None:
        return Linear((), np.zeros((0, given.means.shape[1]), np.float32), np.zeros(0, np.float32))
    centre = given.means.mean(axis=0)
    means = (given.means - centre).astype(np.float32)
    directions = means @ found
    quadratic = np.einsum("cd,cd->c", directions, means)
    bias = given.log_prior - 0.5 * (quadratic - found.unseen / given.effective) - directions @ centre
    return Linear(given.labels, directions, bias.astype(np.float32))
