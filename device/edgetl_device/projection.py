"""A few fixed integer directions: along them, and only along them, each class keeps products of its own.

The workstation takes the directions along which the factory's samples vary most within their classes (see
``edgetl.conversion.directions``) and rounds them to int8; they travel in the bundle and never change. A projection is
``p = clip((W · code − offset) >> 8, −4095, 4095)``: integers, the same on every machine.

Widths: a row of W has at most 1,024 as its norm and a code at most 255 · √4096 as its own, so every partial sum of
W · code is within 16,711,680 < 2²⁴ (Cauchy and Schwarz), where float32 is exact in any order of additions. A product of
two projections is below 2²⁴, and the products of 10¹¹ samples below 2⁶¹: int64 holds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .codes import MAX_DIMENSION, Codes
from .errors import InputError

Int64 = npt.NDArray[np.int64]

MAX_DIRECTIONS = 128
MAX_NORM = 1024  # of a direction
MIN_NORM = 16  # the workstation's have 127 or more: one that is rounded from a unit vector holds a 127, or has 1,000
MAX_PROJECTION = 4095  # usual ones are within ± 2,000
SHIFT = 8
_MAX_OFFSET = 1 << 24
_LEAST_APART = 1e-4  # smallest eigenvalue of the Gram matrix of directions of norm 1; 1 where they are orthogonal
_BLOCK_ROWS = 1024  # projected at once, to spare memory


@dataclass(frozen=True, eq=False)
class Projection:
    """Codes (n, d) uint8 → projections (n, q) int64.

    Args:
        weights: (q, d) int8, W; 1 to 128 directions of norm 16 to 1,024, of which none nearly depends on the others.
        offset: (q,) int64, W · code of a usual sample, so that projections are small.

    Raises:
        InputError: too many directions, too large or too small ones, or some that depend on each other.
    """

    weights: npt.NDArray[np.int8]
    offset: Int64

    def __post_init__(self) -> None:
        weights, offset = self.weights, self.offset
        if weights.dtype != np.int8 or weights.ndim != 2 or offset.dtype != np.int64:
            raise InputError(f"expected (q, d) int8 directions, got {weights.shape} {weights.dtype}")
        if not (1 <= len(weights) <= MAX_DIRECTIONS and 1 <= weights.shape[1] <= MAX_DIMENSION):
            raise InputError(f"expected 1 to {MAX_DIRECTIONS} directions, got {weights.shape}")
        squares = np.einsum("qd,qd->q", weights, weights, dtype=np.int64)
        sizes = bool((squares >= MIN_NORM**2).all() and (squares <= MAX_NORM**2).all())
        small = bool(((offset <= _MAX_OFFSET) & (offset >= -_MAX_OFFSET)).all())  # |−2⁶³| is −2⁶³
        if offset.shape != (len(weights),) or not (sizes and small):
            raise InputError(f"expected directions of norm {MIN_NORM} to {MAX_NORM}, and an offset for each")
        units = weights / np.sqrt(squares)[:, None]
        if len(weights) > weights.shape[1] or float(np.linalg.eigvalsh(units @ units.T)[0]) < _LEAST_APART:
            raise InputError("expected directions that do not depend on each other")

    @property
    def size(self) -> int:
        """q, how many directions there are."""
        return len(self.weights)

    @cached_property
    def _columns(self) -> npt.NDArray[np.float32]:
        return np.ascontiguousarray(self.weights.T, np.float32)

    @cached_property
    def scaled(self) -> npt.NDArray[np.float64]:
        """(q, d) W / 2⁸: projections of differences of codes, without rounding."""
        return self.weights.astype(np.float64) / (1 << SHIFT)

    @cached_property
    def basis(self) -> npt.NDArray[np.float32]:
        """(d, q) orthonormal columns of the same span."""
        return np.linalg.qr(self.weights.T.astype(np.float64))[0].astype(np.float32)

    @cached_property
    def metric(self) -> npt.NDArray[np.float64]:
        """(q, q) (V Vᵀ)⁻¹ of the scaled directions V: what products of projections are by, to be those of codes."""
        return np.asarray(np.linalg.pinv(self.scaled @ self.scaled.T), np.float64)

    def __call__(self, codes: Codes) -> Int64:
        """(n, d) uint8 → (n, q) int64 within ± 4,095."""
        found = np.empty((len(codes), self.size), np.int64)
        for start in range(0, len(codes), _BLOCK_ROWS):
            block = codes[start : start + _BLOCK_ROWS].astype(np.float32) @ self._columns  # exact: see above
            found[start : start + _BLOCK_ROWS] = (block.astype(np.int64) - self.offset) >> SHIFT
        return np.clip(found, -MAX_PROJECTION, MAX_PROJECTION, out=found)

    def same_as(self, other: Projection) -> bool:
        """Whether both give the same projections of anything."""
        return self is other or (
            np.array_equal(self.weights, other.weights) and np.array_equal(self.offset, other.offset)
        )
