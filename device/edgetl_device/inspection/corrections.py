"""Photos that a person called bad → one more direction to score by, and only where that separates better.

A photo is described by how its maps look as a whole, each channel's mean and spread, and by how unusual its places are.
Ridge regression separates good from bad photos in it. Leaving one out has a closed form (Allen's PRESS statistic,
Technometrics 1974), so it is known at once whether the direction helps with photos that it has not seen; where it does
not, it is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Int8
from ..metrics import auroc

Float64 = npt.NDArray[np.float64]

ENOUGH_BAD = 3  # one bad photo alone made things worse
_RIDGE = 1.0
_BIAS = 3.0
_LOOK, _PLACES = 3.0, 0.3  # weights of the two descriptions, so that neither drowns the other
_SPREAD_FLOOR = 0.3  # of the mean spread: a channel that hardly varies among good photos says little


@dataclass(frozen=True, eq=False)
class Described:
    """Photos as the direction sees them.

    Args:
        look: (n, 2 · channels of all maps), mean and log spread of each channel.
        places: (n, k), how unusual the places are, in standard deviations.
    """

    look: Float64
    places: Float64


@dataclass(frozen=True, eq=False)
class Direction:
    """What bad photos have in common, against good ones.

    Args:
        centre, spread: of the look of good photos.
        weights: of look and places.
        bias: added to the sum.
        mean, deviation: of the scores of good photos that were left out.
    """

    centre: Float64
    spread: Float64
    weights: Float64
    bias: float
    mean: float
    deviation: float

    def scores(self, photos: Described) -> Float64:
        """(n,), in standard deviations above the average good photo."""
        raw = _features(photos, self.centre, self.spread) @ self.weights + self.bias
        return np.asarray((raw - self.mean) / self.deviation)


def describe(maps: Sequence[Int8], unusual: Sequence[npt.NDArray[np.float32]], answers: Sequence[Float64]) -> Described:
    """Photos' maps, each (n, h, w, c) int8, and how unusual their places are, each (n, P) → their description."""
    look, places = [], [np.asarray(answer)[:, None] for answer in answers]
    for each in maps:
        flat = each.reshape(len(each), -1, each.shape[3]).astype(np.float32)
        look += [flat.mean(axis=1), np.log1p(flat.std(axis=1))]
    for part in unusual:
        most = max(1, part.shape[1] // 20)
        top = np.partition(part, -most, axis=1)[:, -most:]
        places += [part.mean(axis=1, keepdims=True), top.mean(axis=1, keepdims=True)]
    return Described(
        np.concatenate(look, axis=1).astype(np.float64),
        np.clip(np.concatenate(places, axis=1), -4, 6).astype(np.float64),
    )


def learn_direction(
    good: Described, bad: Described, good_scores: Float64, bad_scores: Float64
) -> tuple[Direction, Float64, Float64] | None:
    """A direction and the scores of the photos it is made of, each left out; None where it does not help.

    Args:
        good: good photos, their places described without them.
        bad: bad ones.
        good_scores, bad_scores: what they score without a direction.
    """
    if len(bad.look) < ENOUGH_BAD:
        return None
    centre = good.look.mean(axis=0)
    spread = good.look.std(axis=0)
    spread = np.maximum(spread + _SPREAD_FLOOR * spread.mean(), 1e-6)
    rows = np.concatenate([_features(part, centre, spread) for part in (good, bad)])
    rows = np.concatenate([rows, np.full((len(rows), 1), _BIAS)], axis=1)
    wanted = np.repeat([-1.0, 1.0], [len(good.look), len(bad.look)])
    balance = np.repeat([0.5 / len(good.look), 0.5 / len(bad.look)], [len(good.look), len(bad.look)])
    inverse = np.linalg.inv(rows @ rows.T + np.diag(_RIDGE / (balance * len(rows))))
    dual = inverse @ wanted
    left_out = wanted - dual / np.diagonal(inverse)
    weights = rows.T @ dual
    of_good, of_bad = left_out[: len(good.look)], left_out[len(good.look) :]
    mean, deviation = float(of_good.mean()), max(float(of_good.std()), 1e-6)
    direction = Direction(centre, spread, weights[:-1], float(weights[-1] * _BIAS), mean, deviation)
    of_good, of_bad = (of_good - mean) / deviation, (of_bad - mean) / deviation
    if auroc(bad_scores + of_bad, good_scores + of_good) <= auroc(bad_scores, good_scores):
        return None
    return direction, of_good, of_bad


def _features(photos: Described, centre: Float64, spread: Float64) -> Float64:
    look = (photos.look - centre) / spread * (_LOOK / np.sqrt(photos.look.shape[1]))
    return np.concatenate([look, photos.places * _PLACES], axis=1)
