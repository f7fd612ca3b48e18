"""Linear discriminant analysis with a shared, shrunk covariance, solved from sufficient statistics.

Shrinkage towards the diagonal follows Friedman, "Regularized Discriminant Analysis", JASA 1989; its strength is a rule,
λ = d / (d + N), so the result depends on the statistics alone: no search, no seed, the same after a merge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .evidence import Evidence, Moments, moments

PROBES = 32  # ±1 columns of Hutchinson's trace estimator (Comm. Stat. Simul. Comput. 18, 1989)
VARIANCE_FLOOR = 0.1  # of the mean variance: constant features would otherwise get infinite weight


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

    def scores(self, codes: npt.NDArray[np.uint8] | npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """(n, d) → (n, C) float32."""
        return np.asarray(codes, np.float32) @ self.weights.T + self.bias


def fit_lda(evidence: Evidence) -> Linear:
    """The linear rule for everything known."""
    return solve_lda(moments(evidence))


def solve_lda(given: Moments) -> Linear:
    """Moments → linear scores, log-posteriors up to a constant under equal class priors.

    With R the scatter scaled to unit diagonal, A = (1 − λ) R + λ I and M the scaled means: weights A⁻¹ M and bias
    −½ (mᵀ A⁻¹ m − d_eff / n_c). E[m̂ᵀA⁻¹m̂] exceeds mᵀA⁻¹m by tr(A⁻¹R) / n_c: without the last term a class known
    from few samples would always lose. One linear solve gives both, random probes beside the means estimate the trace.
    """
    dimension = given.scatter.shape[0]
    shrinkage = dimension / (dimension + given.samples)
    variance = np.diagonal(given.scatter).copy()
    mean_variance = float(variance.mean()) or 1.0
    scale = 1.0 / np.sqrt(np.maximum(variance, VARIANCE_FLOOR * mean_variance))
    matrix = given.scatter * scale
    matrix *= scale[:, None]
    matrix *= 1.0 - shrinkage
    matrix[np.diag_indices(dimension)] += shrinkage
    probes = np.random.default_rng(0).choice([-1.0, 1.0], size=(dimension, PROBES))
    scaled_means = given.means * scale
    solved = np.linalg.solve(matrix, np.concatenate([scaled_means.T, probes], axis=1))
    classes = len(given.labels)
    directions = solved[:, :classes].T
    trace_inverse = float((probes * solved[:, classes:]).sum()) / PROBES
    effective_dimension = (dimension - shrinkage * trace_inverse) / (1.0 - shrinkage) if given.samples else 0.0
    quadratic = np.einsum("cd,cd->c", directions, scaled_means)
    bias = -0.5 * (quadratic - effective_dimension / given.effective)
    return Linear(given.labels, (directions * scale).astype(np.float32), bias.astype(np.float32))
