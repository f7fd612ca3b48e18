"""The shrunk precision matrix: the one d × d solve of the project."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .evidence import Moments

_BASE = 160  # size at which LAPACK takes over from the block recursion

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Precision:
    """Inverse of the covariance, shrunk to its diagonal (Friedman, "Regularized Discriminant Analysis", JASA 1989).

    The strength is a rule, λ = d / (d + N): the result depends on the statistics alone, so it is deterministic, free of
    order and valid after a merge.

    Args:
        matrix: (d, d) float32, P = (covariance + d/N · diag(variances))⁻¹.
        fitted: tr(P · covariance), the mean squared distance of a training sample to its class's mean.
        unseen: that of a sample the covariance has not seen, by leave-one-out in the mean (Golub, Heath and Wahba,
            Technometrics 1979): fitted / (1 − fitted / Ñ).
    """

    matrix: Matrix
    fitted: float
    unseen: float


def solve(given: Moments) -> Precision:
    """Moments of at least one sample → Precision."""
    dimension = len(given.variances)
    ridge = dimension / given.samples
    matrix = given.covariance.copy()
    matrix[np.diag_indices(dimension)] += (ridge * given.variances).astype(np.float32)
    inverse = invert(matrix)
    fitted = dimension - ridge * float(np.diagonal(inverse).astype(np.float64) @ given.variances)
    share = min(max(fitted / given.weight, 1e-4), 1 - 1e-4)
    return Precision(inverse, fitted, given.weight * share / (1 - share))


def invert(matrix: Matrix) -> Matrix:
    """Inverse of a symmetric positive definite matrix by blocks: nearly all of it is matrix products.

    Four times faster than ``numpy.linalg.inv`` at d = 1280. Every level is made symmetric again: that keeps the
    relative error near 1e-6, where the antisymmetric part would otherwise grow to 5e-4.
    """
    size = len(matrix)
    if size <= _BASE:
        found = np.linalg.inv(matrix)
        return np.asarray((found + found.T) / 2, np.float32)
    half = size // 2
    side = matrix[:half, half:]
    first = invert(matrix[:half, :half])
    across = first @ side
    schur = invert(matrix[half:, half:] - _symmetric(side.T @ across))
    corner = across @ schur
    result = np.empty_like(matrix)
    result[:half, :half] = first + _symmetric(corner @ across.T)
    result[:half, half:] = -corner
    result[half:, :half] = -corner.T
    result[half:, half:] = schur
    return result


def _symmetric(matrix: Matrix) -> Matrix:
    return (matrix + matrix.T) * np.float32(0.5)
