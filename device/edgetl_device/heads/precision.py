"""The shrunk precision matrix: the one d × d solve of the project."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_BASE = 160  # size at which LAPACK takes over from the block recursion

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Precision:
    """Inverse of the covariance, shrunk to its diagonal (Friedman, "Regularized Discriminant Analysis", JASA 1989).

    The strength is a rule, λ = d / (d + N): the result depends on the statistics alone, so it is deterministic, free of
    order and valid after a merge.

    Args:
        matrix: (d, d) float32, P = (covariance + d/N · diag(variances))⁻¹.
        unseen: E, the expected squared distance to its class's mean of a sample that the covariance has not seen: that
            of a training sample, tr(P · covariance), corrected by leave-one-out in the mean (Golub, Heath and Wahba,
            Technometrics 1979).
    """

    matrix: Matrix
    unseen: float


def shrink_and_invert(covariance: Matrix, variances: npt.NDArray[np.float64], samples: int, weight: int) -> Precision:
    """Covariance (d, d) float32, which is overwritten to spare memory, → Precision.

    Args:
        variances: (d,) the diagonal to shrink to.
        samples: N ≥ 1, how many samples the covariance comes from.
        weight: their weight.
    """
    dimension = len(variances)
    ridge = dimension / samples
    covariance[np.diag_indices(dimension)] += (ridge * variances).astype(np.float32)
    invert(covariance)
    fitted = dimension - ridge * float(np.diagonal(covariance).astype(np.float64) @ variances)
    share = min(max(fitted / weight, 1e-4), 1 - 1e-4)
    return Precision(covariance, weight * share / (1 - share))


def invert(matrix: Matrix) -> None:
    """Invert a symmetric positive definite matrix in place, by blocks: nearly all of it is matrix products.

    Four times faster than ``numpy.linalg.inv`` at d = 1280. Every level is made symmetric again: that keeps the
    relative error near 1e-6, where the antisymmetric part would otherwise grow to 5e-4.
    """
    size = len(matrix)
    if size <= _BASE:
        matrix[:] = _symmetric(np.linalg.inv(matrix))
        return
    half = size // 2
    first, side, last = matrix[:half, :half], matrix[:half, half:], matrix[half:, half:]
    invert(first)
    across = first @ side
    last -= _symmetric(side.T @ across)  # the Schur complement
    invert(last)
    corner = across @ last
    first += _symmetric(corner @ across.T)
    np.negative(corner, out=side)
    matrix[half:, :half] = side.T


def _symmetric(matrix: Matrix) -> Matrix:
    return (matrix + matrix.T) * np.float32(0.5)
