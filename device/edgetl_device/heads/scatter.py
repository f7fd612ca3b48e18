"""How samples scatter within their classes: from exact statistics, and by how much a few more change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..codes import LEVELS_PER_RMS, Codes
from ..projected import ProjectedMoments
from ..statistics import Int64, Statistics
from .precision import Matrix, Vector

MAX_DEVICE_WEIGHT = 20
REST_SHARE = 3.0  # what the covariance is shrunk to, over the mean variance off the projection's directions …
FEW_SAMPLES = 0.25  # … and by how much of itself more for each feature that a degree of freedom stands for
LEAST_REST = 0.01  # of the mean variance
PRIOR_FREEDOM = 10  # degrees of freedom's worth of equal variances
VARIANCE_FLOOR = 0.1  # of the mean variance: constant features would otherwise get infinite weight
BLOCK_ROWS = 64  # worked on at once, to spare memory


def device_weight(factory: Int64, device: Int64) -> int:
    """Counts a class → how much a device sample weighs, 1 … 20.

    A device class weighs at most as much as a factory class, and a sample at most as many times as there are samples:
    one photo alone tells little of how the scene has changed, and must not outweigh a factory of few photos.
    """
    if not len(factory) or not len(device):
        return 1
    samples = int(device.sum())
    ratio = int(factory.sum()) * len(device) // (samples * len(factory))
    return max(min(ratio, samples, MAX_DEVICE_WEIGHT), 1)


def scatter(factory: Statistics, device: Statistics) -> Matrix:
    """(d, d) Σ (x − μ)(x − μ)ᵀ = Σ xxᵀ − Aᵀμ over both, in blocks of rows to spare memory; μ is rounded first."""
    parts = [part for part in (factory, device) if part.labels]
    sums = np.concatenate([part.sums for part in parts]).astype(np.float64)
    means = sums / np.concatenate([part.counts for part in parts])[:, None]
    within = np.empty(factory.gram.shape, np.float32)
    for start in range(0, len(within), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        block = -sums[:, rows].T @ means
        for part in parts:
            block += part.gram[rows]  # integers below 2⁵³: exact in float64
        within[rows] = block
    return within


def directions(device: Statistics, codes: Codes, labels: Sequence[str]) -> Matrix:
    """(k, d) float32 rows u: these samples more make the scatter within the device's classes grow by Σ u uᵀ.

    Scatter of a union = scatter of both parts + n m / (n + m) · δ δᵀ, δ the difference of their means.
    """
    names = np.asarray(labels, np.str_)
    rows = [np.zeros((0, codes.shape[1]))]
    for label in sorted(set(labels)):
        of_label = codes[names == label].astype(np.float64)
        mean = of_label.mean(axis=0)
        if len(of_label) > 1:
            rows.append(of_label - mean)
        if label in device.labels:
            row = device.labels.index(label)
            count = int(device.counts[row])
            shift = mean - device.sums[row] / count
            rows.append(np.sqrt(count * len(of_label) / (count + len(of_label))) * shift[None])
    return np.concatenate(rows).astype(np.float32)


def freedom(statistics: Statistics) -> int:
    """Samples beyond one a class: what a variance can be estimated from."""
    return statistics.samples - len(statistics.labels)


def variances(statistics: Statistics) -> Vector:
    """(d,) what the covariance is shrunk to; all equal where there is nothing to go by.

    With a projection it is isotropic, thrice the mean variance that is left off the projection's directions: the noise
    of probabilistic PCA (Tipping and Bishop 1999, https://doi.org/10.1111/1467-9868.00196), so that a set of photos
    that vary along few directions is shrunk less. Without one: each feature's own, drawn to their mean and floored.
    """
    degrees = freedom(statistics)
    if degrees > 0:
        between = (statistics.sums.astype(np.float64) ** 2 / statistics.counts[:, None]).sum(axis=0)
        within = np.maximum(np.diagonal(statistics.gram) - between, 0.0) / degrees
        mean = float(within.mean())
        if mean > 1e-9:
            rest = _rest(statistics.projected, float(within.sum()))
            if rest is not None:
                return np.full(
                    statistics.dimension, rest_share(statistics.dimension, degrees) * max(rest, LEAST_REST * mean)
                )
            drawn = (degrees * within + PRIOR_FREEDOM * mean) / (degrees + PRIOR_FREEDOM)
            return np.asarray(np.maximum(drawn, VARIANCE_FLOOR * mean))
    return np.full(statistics.dimension, float(LEVELS_PER_RMS) ** 2)


def rest_share(dimension: int, degrees: int) -> float:
    """Over the variance off the directions: more where a covariance of d features is known from few samples."""
    return REST_SHARE * (1.0 + FEW_SAMPLES * dimension / degrees)


def _rest(moments: ProjectedMoments | None, total: float) -> float | None:
    """The mean variance off the directions, of a total over all features; None where no moments tell."""
    if moments is None or moments.projection.size == moments.projection.weights.shape[1]:
        return None
    degrees = np.maximum(moments.counts - 1, 0)
    if not degrees.any():
        return None
    size, dimension = moments.projection.weights.shape
    along = float(np.trace(moments.projection.metric @ scatter_of_all(moments))) / float(degrees.sum())
    return float((total - along) / (dimension - size))


def scatter_along(moments: ProjectedMoments, row: int) -> Vector:
    """(q, q) scatter of one class along the projection, less its mean's; 0 where it has no samples."""
    sums = moments.sums[row].astype(np.float64)
    return np.asarray(moments.square(row) - np.outer(sums, sums) / max(int(moments.counts[row]), 1))


def scatter_of_all(moments: ProjectedMoments) -> Vector:
    """(q, q) the sum of :func:`scatter_along` over all classes, unfolded once instead of for each class."""
    together = replace(moments, products=moments.products.sum(axis=0, keepdims=True))
    means = moments.sums / np.sqrt(np.maximum(moments.counts, 1))[:, None]
    return np.asarray(together.square(0) - means.T @ means)


def aligned(statistics: Statistics, labels: tuple[str, ...]) -> tuple[Int64, Int64]:
    """Counts (C,) and sums (C, d) in the order of ``labels``, zero for classes that are not there.

    Classes that are not among the labels, as hidden ones, are left out.
    """
    there, rows = _common(statistics, labels)
    sums = np.zeros((len(labels), statistics.dimension), np.int64)
    sums[rows] = statistics.sums[there]
    return aligned_counts(statistics, labels), sums


def aligned_counts(statistics: Statistics, labels: tuple[str, ...]) -> Int64:
    """As :func:`aligned`, the counts alone."""
    there, rows = _common(statistics, labels)
    counts = np.zeros(len(labels), np.int64)
    counts[rows] = statistics.counts[there]
    return counts


def aligned_rows(statistics: Statistics, labels: tuple[str, ...]) -> dict[int, int]:
    """Rows of the statistics whose labels are asked for → where these are in ``labels``."""
    return dict(zip(*_common(statistics, labels), strict=True))


def _common(statistics: Statistics, labels: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Rows of the statistics whose labels are asked for, and where these are in ``labels``."""
    index = {label: row for row, label in enumerate(labels)}
    there = [row for row, label in enumerate(statistics.labels) if label in index]
    return there, [index[statistics.labels[row]] for row in there]


def label_rows(statistics: Statistics, labels: Sequence[str]) -> npt.NDArray[np.intp]:
    """Row of each label in the statistics."""
    index = {label: row for row, label in enumerate(statistics.labels)}
    return np.array([index[label] for label in labels], np.intp)


def row_products(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> Vector:
    """(n, d), (n, d) → (n,) inner products of their rows."""
    return np.asarray(np.einsum("nd,nd->n", one, other, dtype=np.float64))
