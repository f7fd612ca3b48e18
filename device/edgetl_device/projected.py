"""Second moments of each class along a projection: integers that add, subtract and merge without loss.

They tell how each class varies by itself, where the Gram matrix knows only how all vary together. Statistics of bundles
and exports that were made before there were any may be added: those samples are then not counted here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .codes import Codes
from .errors import InputError, MismatchError
from .projection import MAX_PROJECTION, Int64, Projection

MEMBERS = frozenset({"projection", "offset", "projected_counts", "projected_sums", "projected_products"})
_BLOCK_ROWS = 1 << 20  # of projections: products of so many are below 2⁴⁵, exact in float64


@dataclass(frozen=True, eq=False)
class ProjectedMoments:
    """Moments of C classes, in the order of the statistics' labels.

    Args:
        projection: of what.
        counts: (C,) int64, how many of each class's samples are in them; 0 where none.
        sums: (C, q) int64.
        products: (C, q (q + 1) / 2) int64, upper triangles row by row of the sums of outer products.
    """

    projection: Projection
    counts: Int64
    sums: Int64
    products: Int64

    def square(self, row: int) -> Int64:
        """(q, q) int64: the sum of the outer products of one class."""
        size = self.projection.size
        found = np.zeros((size, size), np.int64)
        found[_triangle(size)] = self.products[row]
        found.T[_triangle(size)] = self.products[row]
        return found

    def at(self, rows: npt.NDArray[Any]) -> ProjectedMoments:
        """Some of the classes."""
        return replace(self, counts=self.counts[rows], sums=self.sums[rows], products=self.products[rows])

    def gathered(self, places: npt.NDArray[np.intp], classes: int) -> ProjectedMoments:
        """Each class added to the one at its place, of so many."""
        found = no_moments(self.projection, classes)
        for total, values in zip(found.arrays, self.arrays, strict=True):
            np.add.at(total, places, values)
        return found

    @property
    def arrays(self) -> tuple[Int64, Int64, Int64]:
        """Counts, sums and products."""
        return self.counts, self.sums, self.products

    @property
    def squares(self) -> Int64:
        """(C, q) sums of squares: the diagonals of the products."""
        return self.products[:, _diagonal(self.projection.size)]

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What a file holds: :data:`MEMBERS`, in the smallest integers."""
        return {
            "projection": self.projection.weights,
            "offset": self.projection.offset,
            "projected_counts": self.counts,
            "projected_sums": _smallest(self.sums),
            "projected_products": _smallest(self.products),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]], counts: Int64, dimension: int) -> ProjectedMoments:
        """The inverse of :meth:`to_arrays`, of statistics with these counts; raises InputError on anything else."""
        weights = arrays["projection"]
        if weights.dtype != np.int8 or weights.ndim != 2 or weights.shape[1] != dimension:
            raise InputError(f"not statistics: expected int8 directions, got {weights.shape} {weights.dtype}")
        size, classes = len(weights), len(counts)
        try:
            projection = Projection(weights, _integers(arrays["offset"], (size,)))
        except InputError as error:
            raise InputError(f"not statistics: {error}") from None
        own = _integers(arrays["projected_counts"], (classes,))
        sums = _integers(arrays["projected_sums"], (classes, size))
        products = _integers(arrays["projected_products"], (classes, size * (size + 1) // 2))
        if (own < 0).any() or (own > counts).any():
            raise InputError("not statistics: more samples in projections than there are")
        found = cls(projection, own, sums, products)
        found._check()
        return found

    def _check(self) -> None:
        """Raise InputError unless samples with these counts and sums can have such products."""
        counts, squares = self.counts[:, None].astype(np.float64), self.squares.astype(np.float64)
        sound = bool((np.abs(self.sums) <= MAX_PROJECTION * self.counts[:, None]).all())
        sound = sound and bool(
            (squares >= self.sums.astype(np.float64) ** 2 / np.maximum(counts, 1) * (1 - 1e-9)).all()
        )
        sound = sound and bool((squares <= MAX_PROJECTION**2 * counts).all())
        one, other = _triangle(self.projection.size)
        for row, products in enumerate(self.products):
            roots = np.sqrt(np.maximum(squares[row], 0)) * (1 + 1e-12)  # of rounding
            sound = sound and not (np.abs(products.astype(np.float64)) > roots[one] * roots[other]).any()
        if not sound:
            raise InputError("not statistics: projections that no samples can have")


def no_moments(projection: Projection, classes: int) -> ProjectedMoments:
    """Of so many classes, all empty."""
    size = projection.size
    shapes = ((classes,), (classes, size), (classes, size * (size + 1) // 2))
    return ProjectedMoments(projection, *(np.zeros(shape, np.int64) for shape in shapes))


def moments_of(
    projection: Projection, codes: Codes, classes: Sequence[int] | npt.NDArray[np.intp], count: int
) -> ProjectedMoments:
    """Codes (n, d) uint8 and which of ``count`` classes each belongs to → ProjectedMoments, exact."""
    found = no_moments(projection, count)
    rows, triangle = np.asarray(classes, np.intp), _triangle(projection.size)
    for row in np.unique(rows):
        own = np.flatnonzero(rows == row)
        for start in range(0, len(own), _BLOCK_ROWS):
            values = projection(codes[own[start : start + _BLOCK_ROWS]])
            floats = values.astype(np.float64)
            found.counts[row] += len(values)
            found.sums[row] += values.sum(axis=0)
            found.products[row] += (floats.T @ floats).astype(np.int64)[triangle]
    return found


def combined(
    one: ProjectedMoments | None,
    other: ProjectedMoments | None,
    places: Sequence[npt.NDArray[np.intp]],
    classes: int,
    sign: int,
) -> ProjectedMoments | None:
    """Both added, or subtracted with sign −1, at these places among so many classes; None, as of old exports, is 0.

    Raises:
        MismatchError: other projections.
        InputError: what is subtracted was never added.
    """
    if one is None and other is None:
        return None
    if one is not None and other is not None and not one.projection.same_as(other.projection):
        raise MismatchError(
            "statistics along other projections cannot be combined: they come from bundles of different training "
            "photos; use one bundle on all devices"
        )
    projection = (one or other).projection  # type: ignore[union-attr]
    found = no_moments(projection, classes)
    for part, rows, factor in zip((one, other), places, (1, sign), strict=True):
        for total, values in zip(found.arrays, () if part is None else part.arrays, strict=part is not None):
            total[rows] += factor * values
    empty = found.counts == 0
    negative = (found.counts < 0).any() or (found.squares < 0).any()
    if negative or found.sums[empty].any() or found.products[empty].any():
        raise InputError("cannot subtract samples that were never added")
    return found


@cache
def _triangle(size: int) -> tuple[npt.NDArray[np.intp], ...]:
    """Where an upper triangle's entries are in the square, row by row."""
    return np.triu_indices(size)


def _diagonal(size: int) -> npt.NDArray[np.intp]:
    """Where the diagonal is in an upper triangle, row by row."""
    rows = np.arange(size)
    return rows * size - rows * (rows - 1) // 2


def _smallest(values: Int64) -> npt.NDArray[Any]:
    """The same integers in the smallest signed type that holds them."""
    most = int(np.abs(values).max(initial=0))
    return values.astype(next(kind for kind in (np.int16, np.int32, np.int64) if most <= np.iinfo(kind).max))


def _integers(array: npt.NDArray[Any], shape: tuple[int, ...]) -> Int64:
    if array.dtype.kind != "i" or array.shape != shape:
        raise InputError(f"not statistics: expected integers of shape {shape}, got {array.shape} {array.dtype}")
    return array.astype(np.int64)
