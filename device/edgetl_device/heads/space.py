"""Where distances are taken that tell strangers: codes as the factory's precision sees them, along a few directions.

Of the squared length yᵀ P y only the part along the statistics' projection is exact, the directions that samples vary
along most; all others count alike (probabilistic PCA: Tipping and Bishop 1999, https://doi.org/10.1111/1467-9868.00196).
That is a twentieth of a product with P, and finds strangers as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..codes import Codes
from ..projection import Projection
from .precision import Matrix, Precision, Vector
from .scatter import row_products

_BLOCK_ROWS = 256  # worked on at once, to spare memory


@dataclass(frozen=True, eq=False)
class Whitened:
    """n codes, y = code − centre.

    Args:
        offsets: (n, d) float32 y.
        lengths: (n,) yᵀ P y.
        along: (n, q) float32 y along :attr:`Space.basis`; q = 0 where there is none.
    """

    offsets: Matrix
    lengths: Vector
    along: Matrix


@dataclass(frozen=True, eq=False)
class Space:
    """A centre and a precision.

    The precision is the factory's, for one that had seen the device's samples would find them nearer than others.

    Args:
        centre: (d,) float32, the mean of the known classes.
        precision: P, within classes; None: the identity.
        projection: directions along which lengths are exact; None: along all.
    """

    centre: Matrix
    precision: Precision | None = None
    projection: Projection | None = None

    def __call__(self, codes: Codes) -> Whitened:
        """(n, d) → what distances are made of."""
        offsets = np.asarray(codes - self.centre, np.float32)
        along = offsets @ self.basis
        lengths = np.empty(len(offsets))
        for start in range(0, len(offsets), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            lengths[rows] = self._lengths(offsets[rows], along[rows])
        return Whitened(offsets, np.maximum(lengths, 1e-9), along)

    @property
    def basis(self) -> Matrix:
        """(d, q) float32 orthonormal directions along which lengths are exact; q = 0 where they are along all."""
        return np.zeros((len(self.centre), 0), np.float32) if self._few is None else self._few[0]

    def whiten(self, offsets: Matrix) -> Matrix:
        """(n, d) float32 offsets → offsets · P, exactly."""
        return offsets if self.precision is None else offsets @ self.precision

    def whiten_roughly(self, offsets: Matrix) -> Matrix:
        """(n, d) float32 offsets → offsets · P, as lengths see it."""
        if self._few is None:
            return self.whiten(offsets)
        basis, inner, rest = self._few
        return np.asarray(((offsets @ basis) @ inner) @ basis.T + np.float32(rest) * offsets)

    def _lengths(self, offsets: Matrix, along: Matrix) -> Vector:
        if self._few is None:
            return row_products(self.whiten(offsets), offsets)
        _, inner, rest = self._few
        return row_products(along @ inner, along) + rest * row_products(offsets, offsets)

    @cached_property
    def _few(self) -> tuple[Matrix, Matrix, float] | None:
        """Orthonormal directions (d, q), P along them (q, q) less what it is on the mean across, and that mean."""
        if self.precision is None or self.projection is None or self.projection.size >= len(self.centre):
            return None
        basis = self.projection.basis
        inner = basis.T.astype(np.float64) @ self.whiten(np.ascontiguousarray(basis.T)).T
        size, dimension = len(inner), len(self.centre)
        total = self.precision.samples * float(self.precision.diagonal.sum())
        rest = (total - float(np.trace(inner))) / (dimension - size)
        return basis, (inner - rest * np.eye(size)).astype(np.float32), rest
