"""Exact sufficient statistics of inner maps, place by place: integers that add, subtract and merge without loss.

They are to a map what :mod:`edgetl_device.statistics` is to an embedding. At each place of a grid the codes of many
photos have a sum and products, from which the Gaussian of that place is solved (PaDiM, Defard et al.,
https://arxiv.org/abs/2011.08785, keeps the same moments in floating point). Learning a photo is an addition and
forgetting it the same subtraction, in any order and on any machine, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Arrays, pack, text_array, text_values, unpack
from ..codes import Codes
from ..errors import InputError, MismatchError

Int64 = npt.NDArray[np.int64]

MAX_GRIDS = 8
MAX_SIDE = 64  # places
MAX_CHANNELS = 512
MAX_VALUES = 1 << 25  # products of all grids together: a quarter of a gigabyte where they need 8 bytes each
MAX_PHOTOS = 10**9
_FEW = 32  # photos at once, for memory; up to 256, as 256 · 255² < 2²⁴, float32 is exact
_NAMES = ("backbone", "view", "tensors", "shapes", "count")


@dataclass(frozen=True, eq=False)
class PlaceStatistics:
    """Sufficient statistics of the codes of photos at each place of one or more grids.

    Args:
        backbone: digest of the backbone that made the maps; others are refused.
        view: digest of the view that laid the photos before it; others are refused.
        tensors: name of each grid.
        shapes: (h, w, d) of each grid: places down and across, codes of a place.
        count: how many photos were added, less those subtracted.
        sums: of each grid (P, d) int64, sum of the codes at each of P = h · w places, row by row.
        products: of each grid (P, d (d + 1) / 2) integers, the upper triangle of the sum of the outer products.
    """

    backbone: str
    view: str
    tensors: tuple[str, ...]
    shapes: tuple[tuple[int, int, int], ...]
    count: int
    sums: tuple[Int64, ...]
    products: tuple[npt.NDArray[np.signedinteger[Any]], ...]

    @property
    def nbytes(self) -> int:
        """Memory that sums and products take, bytes."""
        return sum(array.nbytes for array in (*self.sums, *self.products))

    def gram(self, grid: int) -> npt.NDArray[np.signedinteger[Any]]:
        """(P, d, d) integers of one grid: at each place the sum of the outer products of all codes with themselves."""
        places, dimension = self.sums[grid].shape
        rows, columns = np.triu_indices(dimension)
        square = np.empty((places, dimension, dimension), self.products[grid].dtype)
        square[:, rows, columns] = square[:, columns, rows] = self.products[grid]
        return square

    def __add__(self, other: PlaceStatistics) -> PlaceStatistics:
        return self._combine(other, 1)

    def __sub__(self, other: PlaceStatistics) -> PlaceStatistics:
        """Exact inverse of ``+``.

        Raises:
            InputError: ``other`` was never added.
        """
        return self._combine(other, -1)

    def _combine(self, other: PlaceStatistics, sign: int) -> PlaceStatistics:
        if (self.backbone, self.tensors, self.shapes) != (other.backbone, other.tensors, other.shapes):
            raise MismatchError(
                f"place statistics of backbone {self.backbone[:12]} and {other.backbone[:12]} cannot be combined; "
                "use one bundle on all devices"
            )
        if self.view != other.view:
            raise MismatchError(
                "place statistics of two views cannot be combined: teach all devices with the same region and options"
            )
        count = self.count + sign * other.count
        kind = _type_for(max(self.count, count))
        change = np.add if sign > 0 else np.subtract
        sums = tuple(change(one, two) for one, two in zip(self.sums, other.sums, strict=True))
        pairs = zip(self.products, other.products, strict=True)
        products = tuple(change(one, two, dtype=kind) for one, two in pairs)
        if count < 0 or any((array < 0).any() or (not count and array.any()) for array in (*sums, *products)):
            raise InputError("cannot subtract photos that were never added")
        kind = _type_for(count)
        return replace(
            self, count=count, sums=sums, products=tuple(array.astype(kind, copy=False) for array in products)
        )

    def to_bytes(self) -> bytes:
        """A compact, deterministic serialisation: each array in the smallest integers that hold it."""
        arrays: Arrays = {
            "backbone": text_array((self.backbone,)),
            "view": text_array((self.view,)),
            "tensors": text_array(self.tensors),
            "shapes": np.array(self.shapes, np.int64).reshape(len(self.shapes), 3),
            "count": np.array(self.count, np.int64),
        }
        for number, (sums, products) in enumerate(zip(self.sums, self.products, strict=True)):
            arrays[f"sums{number}"] = _smallest(sums)
            arrays[f"products{number}"] = _smallest(products)
        return pack(arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> PlaceStatistics:
        """The inverse of :meth:`to_bytes`; raises InputError on anything that is not place statistics."""
        arrays = unpack(data, most=len(_NAMES) + 2 * MAX_GRIDS)
        if not set(_NAMES) <= set(arrays):
            raise InputError(f"not place statistics: expected the arrays {list(_NAMES)}, got {sorted(arrays)[:8]}")
        try:
            (backbone,) = text_values(arrays["backbone"], 1)
            (view,) = text_values(arrays["view"], 1)
            tensors = text_values(arrays["tensors"], MAX_GRIDS)
            shapes = _shapes(arrays["shapes"], len(tensors))
            count = int(_integers(arrays["count"], ()).item())
        except (TypeError, ValueError) as error:
            raise InputError(f"not place statistics: {error}") from None
        expected = {*_NAMES, *(f"{name}{number}" for number in range(len(shapes)) for name in ("sums", "products"))}
        if set(arrays) != expected or len(set(tensors)) != len(tensors) or not 0 <= count <= MAX_PHOTOS:
            raise InputError("not place statistics: expected one array of sums and one of products for each grid")
        sums, products = list[Int64](), list[npt.NDArray[Any]]()
        for number, (height, width, dimension) in enumerate(shapes):
            places = height * width
            sums.append(_integers(arrays[f"sums{number}"], (places, dimension)))
            upper = _integers(arrays[f"products{number}"], (places, dimension * (dimension + 1) // 2))
            _check_moments(count, sums[-1], upper, dimension)
            products.append(upper.astype(_type_for(count)))
        return cls(backbone, view, tensors, shapes, count, tuple(sums), tuple(products))


def no_place_statistics(
    backbone: str, view: str, tensors: Sequence[str], shapes: Sequence[tuple[int, int, int]]
) -> PlaceStatistics:
    """The neutral element of ``+``."""
    sums = tuple(np.zeros((h * w, d), np.int64) for h, w, d in shapes)
    products = tuple(np.zeros((h * w, d * (d + 1) // 2), np.int32) for h, w, d in shapes)
    return PlaceStatistics(backbone, view, tuple(tensors), tuple(shapes), 0, sums, products)


def place_statistics_of(grids: Sequence[Codes], backbone: str, view: str, tensors: Sequence[str]) -> PlaceStatistics:
    """Codes of the same n photos on each grid, (n, h, w, d) uint8 → PlaceStatistics.

    Raises:
        MismatchError: the arrays do not hold such codes.
    """
    if not grids or len(grids) != len(tensors) or {array.ndim for array in grids} != {4}:
        raise MismatchError("expected codes (n, h, w, d) of one grid or more, and a name for each")
    if {array.dtype for array in grids} != {np.dtype(np.uint8)} or len({len(array) for array in grids}) != 1:
        raise MismatchError("expected uint8 codes of the same number of photos on each grid")
    shapes = [(int(array.shape[1]), int(array.shape[2]), int(array.shape[3])) for array in grids]
    total = no_place_statistics(backbone, view, tensors, shapes)
    photos = len(grids[0])
    kind = _type_for(photos)
    sums, products = list[Int64](), list[npt.NDArray[np.signedinteger[Any]]]()
    for array, start in zip(grids, total.products, strict=True):
        places = array.reshape(photos, array.shape[1] * array.shape[2], array.shape[3])
        sums.append(places.sum(axis=0, dtype=np.int64))
        upper: npt.NDArray[np.signedinteger[Any]] = start
        for first in range(0, photos, _FEW):
            upper = np.add(upper, _products(places[first : first + _FEW]), dtype=kind)
        products.append(upper)
    return replace(total, count=photos, sums=tuple(sums), products=tuple(products))


def _products(places: Codes) -> npt.NDArray[np.int32]:
    """(n ≤ 256, P, d) uint8 → (P, d (d + 1) / 2) int32, exact: no partial sum exceeds 2²⁴."""
    rows, columns = np.triu_indices(places.shape[2])
    if len(places) == 1:  # the commonest way to learn
        one = places[0].astype(np.int32)
        return np.asarray(one[:, rows] * one[:, columns])
    values = places.transpose(1, 2, 0).astype(np.float32)
    return np.asarray(np.matmul(values, values.transpose(0, 2, 1))[:, rows, columns], np.int32)


def _type_for(photos: int) -> type[np.int32 | np.int64]:
    """The smaller of two types that holds the products of so many photos, whatever their codes."""
    return np.int32 if photos * 255**2 < 2**31 else np.int64


def _shapes(array: npt.NDArray[Any], grids: int) -> tuple[tuple[int, int, int], ...]:
    values = _integers(array, (grids, 3)).tolist()
    shapes = tuple((int(height), int(width), int(dimension)) for height, width, dimension in values)
    sound = all(0 < h <= MAX_SIDE and 0 < w <= MAX_SIDE and 0 < d <= MAX_CHANNELS for h, w, d in shapes)
    if not grids or not sound or sum(h * w * d * (d + 1) // 2 for h, w, d in shapes) > MAX_VALUES:
        raise InputError(
            f"not place statistics: expected 1 to {MAX_GRIDS} grids of up to {MAX_SIDE} x {MAX_SIDE} places and "
            f"{MAX_CHANNELS} codes"
        )
    return shapes


def _check_moments(count: int, sums: Int64, upper: Int64, dimension: int) -> None:
    """Raise InputError unless ``count`` codes of 0 … 255 can have such sums and products at each place.

    The bounds are those of :func:`edgetl_device.statistics.Statistics.from_bytes`: a sum of squares is least where all
    codes are as equal as can be and most where all but one are 0 or 255, and no product exceeds the root of the product
    of the two sums of squares (Cauchy and Schwarz).
    """
    sound = not (sums < 0).any() and not (sums > 255 * count).any() and not (upper < 0).any()
    rows, columns = np.triu_indices(dimension)
    squares = upper[:, rows == columns]
    mean, more = np.divmod(sums, max(count, 1))
    full, rest = np.divmod(sums, 255)
    least = count * mean**2 + more * (2 * mean + 1)
    sound = sound and bool(((squares >= least) & (squares <= full * 255**2 + rest**2)).all())
    if sound:
        roots = np.sqrt(squares.astype(np.float64)) * (1 + 1e-12)  # of rounding
        sound = not (upper > roots[:, rows] * roots[:, columns]).any()
    if not sound:
        raise InputError("not place statistics: sums and products that no photos can have")


def _smallest(values: npt.NDArray[np.signedinteger[Any]]) -> npt.NDArray[Any]:
    """The same non-negative integers in the smallest unsigned type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _integers(array: npt.NDArray[Any], shape: tuple[int, ...]) -> Int64:
    """As int64, of the shape that is expected and of no other."""
    if array.dtype.kind not in "iu" or array.shape != shape:
        raise InputError(f"not place statistics: expected integers {shape}, got {array.shape} {array.dtype}")
    values = array.astype(np.int64)
    if array.dtype.kind == "u" and (values < 0).any():
        raise InputError("not place statistics: integers that are too large")
    return values
