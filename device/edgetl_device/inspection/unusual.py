"""How unusual are a photo's places, and what do they say of the photo? In units of good photos that were left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .place_gaussians import Float32

TOP_PLACES = 0.01  # share of the finest map's places that a local defect is judged by
ELSEWHERE = 0.5  # share of what all places are on average that is taken off: what is odd everywhere is no local defect
WHOLE_HANDICAP = 0.5  # standard deviations by which a part as a whole must be more unusual than a place to count alike
_FINEST = 2  # maps that the finest counts as: places of the others are many of its own, and odd ones drown the rest
_LEAST = 0.05  # deviation of cube roots: photos that are all the same have none
Grids = tuple[tuple[int, int], ...]
Measured = TypeVar("Measured", float, Float32)
Asked = TypeVar("Asked", float, npt.NDArray[np.float64])


@dataclass(frozen=True)
class Scale:
    """Location and spread of something among good photos that were left out."""

    mean: float
    deviation: float

    def __call__(self, values: Measured) -> Measured:
        """In standard deviations above the mean."""
        return (values - self.mean) * (1 / self.deviation)


def scale_of(values: npt.NDArray[Any]) -> Scale:
    """The scale on which these values have mean 0 and deviation 1."""
    return Scale(float(values.mean(dtype=np.float64)), max(float(values.std(ddof=1, dtype=np.float64)), _LEAST))


def steady(distances: Float32) -> Float32:
    """Squared Mahalanobis distances → their cube roots, which are close to Gaussian (Wilson and Hilferty, 1931)."""
    return np.power(distances, np.float32(1 / 3))  # of none below 0; three times as fast as the cube root


def fused(unusual: Sequence[Float32], grids: Grids) -> Float32:
    """(n, P) of each map, finest first → (n, P of the finest), the weighted mean of all maps at each place."""
    weights = weights_of(len(unusual))
    total: Float32 = unusual[0] * weights[0]
    for each, grid, weight in zip(unusual[1:], grids[1:], weights[1:], strict=True):
        total += (each * weight).take(places_below(grids[0], grid), axis=1)
    return total


def weights_of(maps: int) -> Float32:
    """(maps,) float32 of sum 1, finest first."""
    weights: Float32 = np.full(maps, 1 / (maps - 1 + _FINEST), np.float32)
    weights[0] *= _FINEST
    return weights


@lru_cache(maxsize=32)
def places_below(fine: tuple[int, int], coarse: tuple[int, int]) -> npt.NDArray[np.intp]:
    """For each place of a grid, row by row, the place of a coarser one that it lies in."""
    down = np.arange(fine[0]) * coarse[0] // fine[0]
    across = np.arange(fine[1]) * coarse[1] // fine[1]
    return np.asarray((down[:, None] * coarse[1] + across).ravel(), np.intp)


def top(places: Float32) -> Float32:
    """(n, P) → (n,), the mean of the most unusual places."""
    count = max(1, int(places.shape[1] * TOP_PLACES))
    return np.asarray(np.partition(places, -count, axis=1)[:, -count:].sum(axis=1) * np.float32(1 / count), np.float32)


def local(places: Float32) -> Float32:
    """(n, P) → (n,), how far the most unusual places stand out from all."""
    return np.asarray(top(places) - places.sum(axis=1) * np.float32(ELSEWHERE / places.shape[1]), np.float32)


def whole(unusual: Sequence[Float32]) -> Float32:
    """(n,), the mean of the coarsest map's places."""
    return np.asarray(unusual[-1].sum(axis=1) * np.float32(1 / unusual[-1].shape[1]), np.float32)


def either(place: Asked, part: Asked) -> Asked:
    """How unusual places are, and the part as a whole → one score: the larger, and more where both are.

    The logarithm of the sum of both exponentials: close to the larger where they differ much.
    """
    return np.logaddexp(place, part - WHOLE_HANDICAP)  # type: ignore[no-any-return]
