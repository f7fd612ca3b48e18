"""Which directions each class gets moments of its own along: those along which the factory's samples vary most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgetl_device.heads.scatter import freedom, scatter
from edgetl_device.projection import MAX_NORM, SHIFT, Projection
from edgetl_device.statistics import Statistics, no_statistics

DIRECTIONS = 96  # q: better than 64 on tiles, cartoons and litter, no worse elsewhere; 128 are no better


def leading(within: npt.NDArray[np.floating], degrees: int) -> npt.NDArray[np.float64]:
    """Scatter within classes (d, d) and its degrees of freedom → (q, d) float64 leading eigenvectors.

    Of few samples or features there are fewer: no more than degrees of freedom, or half of the features; maybe none.
    """
    count = min(DIRECTIONS, degrees, len(within) // 2)
    if count < 1:
        return np.zeros((0, len(within)))
    values, vectors = np.linalg.eigh(within.astype(np.float64))
    order = np.argsort(-values)[:count]
    vectors = vectors[:, order[values[order] > 1e-6 * max(float(values.max()), 1.0)]].T
    if not len(vectors):
        return np.asarray(vectors)
    # A sign by rule: eigenvectors have none, and the same photos should give the same bundle.
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
    return np.asarray(vectors * np.sign(largest))


def leading_directions(statistics: Statistics) -> Projection | None:
    """The leading directions rounded to int8, around the mean of all samples; None where there are none."""
    if freedom(statistics) < 1:
        return None
    within = scatter(statistics, no_statistics(statistics.backbone, statistics.dimension))
    directions = leading(within, freedom(statistics))
    if not len(directions):
        return None
    largest = np.abs(directions).max(axis=1, keepdims=True)
    weights = np.round(directions * np.minimum(0.98 * MAX_NORM, 127 / largest)).astype(np.int8)
    mean = statistics.sums.sum(axis=0) / statistics.samples
    offset = np.floor(weights.astype(np.float64) @ mean) - (1 << SHIFT) // 2  # so that the shift rounds to the nearest
    return Projection(weights, offset.astype(np.int64))
