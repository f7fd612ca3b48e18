"""Exact sufficient statistics of samples: integers that add, subtract and merge without loss.

Counts, per-class sums and the Gram matrix of integer codes are integers. So learning a sample is an addition,
forgetting it is the same subtraction, and merging devices is one more addition, in any order and on any machine, byte
for byte. For a whole fleet this is one-round federated learning (AFL, https://arxiv.org/abs/2405.16240), here without
rounding. Along the directions of a projection, each class has products of its own (see :mod:`.projected`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Arrays, pack, text_array, text_values, unpack
from .codes import MAX_DIMENSION, Codes
from .errors import InputError, MismatchError
from .labels import MAX_LABELS
from .projected import MEMBERS as PROJECTED
from .projected import ProjectedMoments, combined, moments_of, no_moments
from .projection import Projection

Int64 = npt.NDArray[np.int64]

MAX_SAMPLES = 10**11  # whose products are below 2⁵³: exact in float64
MAX_RUNTIMES = 64

FEW_ROWS = 256  # of unshifted codes: 256 · 255² < 2²⁴
BLOCK_ROWS = 1024  # rows of codes shifted to −128 … 127: every partial sum stays within 2²⁴, where float32 is exact
_CENTRE = 128
_MEMBERS = frozenset({"backbone", "runtimes", "labels", "counts", "sums", "gram", "dimension"})


@dataclass(frozen=True, eq=False)
class Statistics:
    """Sufficient statistics of labelled codes.

    Args:
        backbone: digest of the backbone that made the codes; others are refused.
        runtimes: sorted names of the TFLite runtimes that ran it. Different runtimes differ in the last bits of an
            embedding; merging them is allowed, and :attr:`bit_exact` reports it.
        labels: (C,) sorted.
        counts: (C,) int64, samples a class, all positive.
        sums: (C, d) int64, sum of a class's codes.
        products: the Gram matrix, sum of the outer products of all codes with themselves: (d, d) integers, or the
            d (d + 1) / 2 of its upper triangle, row by row, as they are stored.
        projected: moments of each class along a projection; None where there is none, as in bundles of format 1.
    """

    backbone: str
    runtimes: tuple[str, ...]
    labels: tuple[str, ...]
    counts: Int64
    sums: Int64
    products: npt.NDArray[Any]
    projected: ProjectedMoments | None = None

    @property
    def dimension(self) -> int:
        """d, the length of an embedding."""
        return int(self.sums.shape[1])

    @cached_property
    def gram(self) -> npt.NDArray[np.signedinteger[Any]]:
        """(d, d) integers, int32 where that holds them; unfolded when first asked for: classifying may not need it."""
        if self.products.ndim == 2:
            return self.products
        return _square(self.products, self.dimension, self.samples)

    @property
    def samples(self) -> int:
        """How many samples were added, less those subtracted."""
        return int(self.counts.sum())

    @property
    def projection(self) -> Projection | None:
        """Along which each class has moments of its own."""
        return None if self.projected is None else self.projected.projection

    @property
    def bit_exact(self) -> bool:
        """Whether one runtime made all the codes."""
        return len(self.runtimes) <= 1

    def folded(self) -> Statistics:
        """The same, with the upper triangle alone: adding to others of the kind is half the work."""
        if self.products.ndim == 1:
            return self
        return replace(self, products=np.concatenate([row[start:] for start, row in enumerate(self.products)]))

    def __add__(self, other: Statistics) -> Statistics:
        return self._combine(other, 1)

    def __sub__(self, other: Statistics) -> Statistics:
        """Exact inverse of ``+``, but for :attr:`runtimes`: which of them is gone cannot be known.

        Raises:
            InputError: ``other`` was never added.
        """
        return self._combine(other, -1)

    def _combine(self, other: Statistics, sign: int) -> Statistics:
        if (self.backbone, self.dimension) != (other.backbone, other.dimension):
            raise MismatchError(
                f"statistics of backbone {self.backbone[:12]} ({self.dimension} features) and {other.backbone[:12]} "
                f"({other.dimension} features) cannot be combined; use one bundle on all devices"
            )
        labels = tuple(sorted({*self.labels, *other.labels}))
        counts = np.zeros(len(labels), np.int64)
        sums = np.zeros((len(labels), self.dimension), np.int64)
        row_of = {label: row for row, label in enumerate(labels)}
        places = [np.array([row_of[label] for label in part.labels], np.intp) for part in (self, other)]
        for part, factor, rows in zip((self, other), (1, sign), places, strict=True):
            counts[rows] += factor * part.counts
            sums[rows] += factor * part.sums
        kind = _gram_type(int(np.abs(counts).sum()) if sign > 0 else self.samples)
        folded = self.products.ndim == other.products.ndim == 1  # as files hold them: half the work
        pair = (self.products, other.products) if folded else (self.gram, other.gram)
        products = (np.add if sign > 0 else np.subtract)(*pair, dtype=kind)
        squares = products[_diagonal(self.dimension)] if folded else np.diagonal(products)
        if (counts < 0).any() or (sums < 0).any() or (squares < 0).any() or sums[counts == 0].any():
            raise InputError("cannot subtract samples that were never added")
        projected = combined(self.projected, other.projected, places, len(labels), sign)
        if projected is not None and (projected.counts > counts).any():
            raise InputError("cannot subtract samples that were never added")
        kept = counts > 0
        runtimes = tuple(sorted({*self.runtimes, *other.runtimes})) if sign > 0 else self.runtimes
        return replace(
            self,
            runtimes=runtimes if kept.any() else (),
            labels=tuple(label for label, keep in zip(labels, kept, strict=True) if keep),
            counts=counts[kept],
            sums=sums[kept],
            products=products.astype(_gram_type(int(counts.sum())), copy=False),
            projected=None if projected is None else projected.at(kept),
        )

    def to_bytes(self) -> bytes:
        """A compact, deterministic serialisation: the Gram's upper triangle in the smallest integers that hold it."""
        arrays: Arrays = {
            "backbone": text_array((self.backbone,)),
            "runtimes": text_array(self.runtimes),
            "labels": text_array(self.labels),
            "dimension": np.array(self.dimension, np.int64),
            "counts": self.counts,
            "sums": _smallest(self.sums),
            "gram": _smallest(self.folded().products),
        }
        return pack(arrays if self.projected is None else arrays | self.projected.to_arrays())

    @classmethod
    def from_bytes(cls, data: bytes) -> Statistics:
        """The inverse of :meth:`to_bytes`; raises InputError on anything that is not statistics."""
        arrays = unpack(data, most=len(_MEMBERS | PROJECTED))
        if set(arrays) not in (_MEMBERS, _MEMBERS | PROJECTED):
            raise InputError(f"expected the arrays {sorted(_MEMBERS)}, got {sorted(arrays)}")
        try:
            dimension = int(_integers(arrays["dimension"], ()).item())
            labels = text_values(arrays["labels"], MAX_LABELS)
            (backbone,) = text_values(arrays["backbone"], 1)
            runtimes = text_values(arrays["runtimes"], MAX_RUNTIMES)
        except (TypeError, ValueError) as error:
            raise InputError(f"not statistics: {error}") from None
        if not 0 <= dimension <= MAX_DIMENSION or list(labels) != sorted(set(labels)):
            raise InputError(f"not statistics: expected up to {MAX_DIMENSION} features and sorted labels")
        counts = _integers(arrays["counts"], (len(labels),))
        sums = _integers(arrays["sums"], (len(labels), dimension))
        upper = arrays["gram"]
        if upper.dtype.kind not in "iu" or upper.shape != (dimension * (dimension + 1) // 2,):
            raise InputError(
                f"not statistics: expected integers for {dimension} features, got {upper.shape} {upper.dtype}"
            )
        if (counts <= 0).any() or (counts > MAX_SAMPLES).any() or int(counts.sum()) > MAX_SAMPLES:
            raise InputError(f"not statistics: expected 1 to {MAX_SAMPLES} samples")
        most = int(counts.sum()) * 255**2
        if (sums < 0).any() or (sums > 255 * counts[:, None]).any() or not _within(upper, most):
            raise InputError("not statistics: sums that no samples can have")
        _check_products(counts, sums, upper)
        projected = None
        if "projection" in arrays:
            projected = ProjectedMoments.from_arrays(arrays, counts, dimension)
        return cls(backbone, runtimes, labels, counts, sums, upper, projected)


def no_statistics(backbone: str, dimension: int, projection: Projection | None = None) -> Statistics:
    """The neutral element of ``+``."""
    return Statistics(
        backbone,
        (),
        (),
        np.zeros(0, np.int64),
        np.zeros((0, dimension), np.int64),
        np.zeros((dimension, dimension), np.int32),
        None if projection is None else no_moments(projection, 0),
    )


def statistics_of(
    codes: Codes,
    labels: Sequence[str],
    backbone: str,
    runtime: str | Sequence[str],
    projection: Projection | None = None,
) -> Statistics:
    """Codes (n, d) uint8 and their n labels → Statistics; ``runtime`` is one name for all, or one for each.

    Args:
        projection: along which each class gets moments of its own; None for none.

    Raises:
        MismatchError: the shapes or types do not fit.
    """
    if codes.ndim != 2 or codes.dtype != np.uint8 or len(labels) != len(codes):
        raise MismatchError(
            f"expected (n, d) uint8 codes and n labels, got {codes.shape} {codes.dtype} and {len(labels)}"
        )
    if not len(codes):
        return no_statistics(backbone, codes.shape[1], projection)
    names, rows = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
    order = np.argsort(rows, kind="stable")
    starts = np.searchsorted(rows[order], np.arange(len(names)))
    return Statistics(
        backbone,
        (runtime,) if isinstance(runtime, str) else tuple(sorted(set(runtime))),
        tuple(str(name) for name in names),
        np.bincount(rows).astype(np.int64),
        np.add.reduceat(codes[order], starts, axis=0, dtype=np.int64),
        exact_gram(codes),
        None if projection is None else moments_of(projection, codes, rows, len(names)),
    )


def with_projection(
    statistics: Statistics, codes: Codes, labels: Sequence[str], projection: Projection | None
) -> Statistics:
    """Statistics of these very codes (n, d) and n labels, with moments of each class along a projection."""
    if projection is None:
        return statistics
    row_of = {label: row for row, label in enumerate(statistics.labels)}
    moments = moments_of(projection, codes, [row_of[label] for label in labels], len(row_of))
    return replace(statistics, projected=moments)


def with_labels(statistics: Statistics, names: Mapping[str, str]) -> Statistics:
    """The same samples under other labels; two that get one name become one class, exactly.

    Args:
        names: old label → new; labels that are not in it stay.
    """
    new = [names.get(label, label) for label in statistics.labels]
    labels = tuple(sorted(set(new)))
    row_of = {label: row for row, label in enumerate(labels)}
    places = np.array([row_of[label] for label in new], np.intp)
    counts = np.zeros(len(labels), np.int64)
    sums = np.zeros((len(labels), statistics.dimension), np.int64)
    np.add.at(counts, places, statistics.counts)
    np.add.at(sums, places, statistics.sums)
    moments = statistics.projected
    if moments is not None:
        moments = moments.gathered(places, len(labels))
    return replace(statistics, labels=labels, counts=counts, sums=sums, projected=moments)


def exact_gram(codes: Codes) -> npt.NDArray[np.signedinteger[Any]]:
    """(n, d) uint8 → (d, d) integers, Σ code · codeᵀ, exact.

    Plain float32 BLAS does the work: shifted codes are integers of magnitude ≤ 128 and a block has ≤ 1024 rows, so
    every partial sum is an integer ≤ 2²⁴ whatever the order of additions. Blocks are added in int64 and the shift is
    undone with Σ(x−c)(x−c)ᵀ = Σxxᵀ − c(s1ᵀ + 1sᵀ) + nc²11ᵀ. Up to 256 rows need no shift: 256 · 255² < 2²⁴.
    """
    if len(codes) == 1:  # the commonest way to learn
        row = codes[0].astype(np.int32)
        return np.asarray(np.multiply.outer(row, row))
    if len(codes) <= FEW_ROWS:
        few = codes.astype(np.float32)
        return (few.T @ few).astype(np.int32)
    dimension = codes.shape[1]
    gram = np.zeros((dimension, dimension), np.int64)
    for start in range(0, len(codes), BLOCK_ROWS):
        block = codes[start : start + BLOCK_ROWS].astype(np.float32) - np.float32(_CENTRE)
        gram += (block.T @ block).astype(np.int64)
    sums = codes.sum(axis=0, dtype=np.int64)
    gram += _CENTRE * (sums[:, None] + sums[None, :])
    gram -= len(codes) * _CENTRE * _CENTRE
    return gram.astype(_gram_type(len(codes)), copy=False)


def _gram_type(samples: int) -> type[np.int32 | np.int64]:
    """The smallest of two types that holds the Gram of so many samples, whatever their codes."""
    return np.int32 if samples * 255**2 < 2**31 else np.int64


def _square(upper: npt.NDArray[Any], dimension: int, samples: int) -> npt.NDArray[np.signedinteger[Any]]:
    """The upper triangle row by row → the symmetric (d, d) matrix, in half the memory where int32 holds it."""
    gram = np.empty((dimension, dimension), _gram_type(samples))
    start = 0
    for row in range(dimension):
        gram[row, row:] = gram[row:, row] = upper[start : start + dimension - row]
        start += dimension - row
    return gram


def _diagonal(dimension: int) -> npt.NDArray[np.intp]:
    """Where the diagonal is in an upper triangle, row by row: each row of it starts there."""
    rows = np.arange(dimension)
    return rows * dimension - rows * (rows - 1) // 2


def _check_products(counts: Int64, sums: Int64, upper: npt.NDArray[Any]) -> None:
    """Raise InputError unless codes with these counts and sums can have such products.

    What n integers of 0 … 255 that add up to s have as their sum of squares is least where they are as equal as can be,
    and largest where all but one are 0 or 255; both are exact in int64. No product of two features exceeds the root of
    the product of their squares (Cauchy and Schwarz).
    """
    dimension = sums.shape[1]
    starts = _diagonal(dimension)
    squares = upper[starts].astype(np.int64)
    mean, more = np.divmod(sums, counts[:, None])
    full, rest = np.divmod(sums, 255)
    least = (counts[:, None] * mean**2 + more * (2 * mean + 1)).sum(axis=0)
    most = (full * 255**2 + rest**2).sum(axis=0)
    sound = bool(((squares >= least) & (squares <= most)).all())
    roots = np.sqrt(squares.astype(np.float64)) * (1 + 1e-12)  # of rounding
    for row, start in enumerate(starts):
        products = upper[start : start + dimension - row]
        sound = sound and not (products > roots[row] * roots[row:]).any()
    if not sound:
        raise InputError("not statistics: products that no samples can have")


def _within(values: npt.NDArray[Any], most: int) -> bool:
    return not values.size or (int(values.min()) >= 0 and int(values.max()) <= most)


def _smallest(values: npt.NDArray[np.signedinteger[Any]]) -> npt.NDArray[Any]:
    """The same non-negative integers in the smallest unsigned type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _integers(array: npt.NDArray[Any], shape: tuple[int, ...]) -> Int64:
    """As int64, of which a copy may be eight times as large: only of the shape that is expected."""
    if array.dtype.kind not in "iu" or array.shape != shape:
        raise InputError(f"not statistics: expected integers of shape {shape}, got {array.shape} {array.dtype}")
    return array.astype(np.int64)
