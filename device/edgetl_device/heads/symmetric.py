"""A symmetric matrix of which the upper half is kept, in strips: half the memory of all of it, and half the reading.

A strip holds some rows from the diagonal to the right, so it lies in one piece, whether in memory or in a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STRIP_ROWS = 320  # fewer keep less of the lower half and take more calls

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Symmetric:
    """A (d, d) float32 matrix.

    Args:
        strips: (r, d − s) float32 each, the rows s … s + r − 1 from column s on; r is :data:`STRIP_ROWS` but for the
            last.
    """

    strips: tuple[Matrix, ...]

    @classmethod
    def of(cls, matrix: Matrix) -> Symmetric:
        """A copy of the upper half of a (d, d) matrix."""
        return cls(tuple(matrix[rows, rows.start :].copy() for rows in row_strips(len(matrix))))

    def __len__(self) -> int:
        return self.strips[0].shape[1] if self.strips else 0

    def __rmatmul__(self, features: Matrix) -> Matrix:
        """(n, d) float32 @ matrix → (n, d) float32."""
        product = np.zeros(features.shape, np.float32)
        for rows, strip in self._placed():
            some = features[:, rows]
            product[:, rows.start :] += some @ strip
            product[:, rows] += features[:, rows.stop :] @ strip[:, len(strip) :].T
        return product

    def forms(self, features: Matrix) -> npt.NDArray[np.float64]:
        """(n, d) float32 → (n,) y · matrix · yᵀ of each row y."""
        forms = np.zeros(len(features))
        for rows, strip in self._placed():
            doubled = 2 * features[:, rows.start :]
            doubled[:, : len(strip)] = features[:, rows]
            forms += np.einsum("nd,nd->n", features[:, rows] @ strip, doubled, dtype=np.float64)
        return forms

    def diagonal(self) -> npt.NDArray[np.float64]:
        """(d,)."""
        parts = [np.diagonal(strip).astype(np.float64) for strip in self.strips]
        return np.concatenate([np.zeros(0), *parts])

    @property
    def matrix(self) -> Matrix:
        """(d, d), all of it."""
        whole = np.empty((len(self), len(self)), np.float32)
        for rows, strip in self._placed():
            whole[rows, rows.start :] = strip
            whole[rows.start :, rows] = strip.T
        return whole

    __array_ufunc__ = None  # so that NumPy leaves `features @ matrix` to us

    def _placed(self) -> Iterator[tuple[slice, Matrix]]:
        return zip(row_strips(len(self)), self.strips, strict=True)


def row_strips(size: int) -> list[slice]:
    """The rows of each strip of a (size, size) matrix."""
    return [slice(start, min(start + STRIP_ROWS, size)) for start in range(0, size, STRIP_ROWS)]
