"""How unusual is one photo, at a camera's rate: what :mod:`.place_gaussians` says, in as few passes as can be.

All maps lie one behind the other, so that most steps are done once for all of them. Codes are the same as
:func:`.place_codes.place_codes` makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..codes import Int8
from .place_codes import ORIGIN, gain_of
from .place_gaussians import Float32, PlaceGaussians, Rows
from .unusual import Grids, Scale, places_below, steady, weights_of


@dataclass(frozen=True, eq=False)
class _Map:
    """Where a map lies among all, and its covariances.

    Args:
        places: (P,) in the order of neighbourhoods.
        ones: (P,) float32.
        values, channels, rows: its share of all values, of all channels, and of all places.
        whitening: of the Gaussians.
    """

    places: Rows
    ones: Float32
    values: slice
    channels: slice
    rows: slice
    whitening: Float32


@dataclass(frozen=True, eq=False)
class OnePhoto:
    """What is asked of one photo's places. Made by :func:`for_one_photo`.

    Args:
        maps: finest first.
        offset: of all values, float32: means less the code of no deviation, in the order of neighbourhoods.
        count: of all channels, float32: places of their map.
        back: of all places, where in the order of neighbourhoods each is.
        mean, factor: of all places, float32, in that order: the scale of their map.
        below: (maps, P) which places, of all, lie at each place of the finest map.
        weights: (maps,) float32 of what is said of a place.
    """

    maps: tuple[_Map, ...]
    offset: Float32
    count: Float32
    back: Rows
    mean: Float32
    factor: Float32
    below: Rows
    weights: Float32

    def unusual(self, maps: Sequence[Int8]) -> tuple[list[Float32], Float32]:
        """Maps of one photo, each (h, w, c) int8 → how unusual their places are, each (1, P), and all fused."""
        deviations = self._deviations(maps)
        distances: Float32 = np.empty(len(self.mean), np.float32)
        for each in self.maps:
            blocks, channels = each.whitening.shape[:2]
            white = np.matmul(deviations[each.values].reshape(blocks, -1, channels), each.whitening)
            flat = white.reshape(-1, channels)
            np.einsum("pc,pc->p", flat, flat, out=distances[each.rows])
        values = steady(distances)
        values -= self.mean
        values *= self.factor
        values = values.take(self.back)
        return [values[None, each.rows] for each in self.maps], (self.weights @ values.take(self.below))[None]

    def _deviations(self, maps: Sequence[Int8]) -> Float32:
        """Codes less their means, one map behind the other. Sums of int8 are exact in float32, of up to 2¹⁷ places."""
        values: Int8 = np.empty(len(self.offset), np.int8)
        for each, m in zip(self.maps, maps, strict=True):
            own = values[each.values].reshape(len(each.places), -1)
            m.reshape(own.shape).take(each.places, axis=0, out=own, mode="clip")
        exact = values.astype(np.float32)
        total: Float32 = np.empty(len(self.count), np.float32)
        for each in self.maps:
            np.matmul(each.ones, exact[each.values].reshape(len(each.ones), -1), out=total[each.channels])
        total /= self.count
        total += np.float32(0.5)
        np.floor(total, out=total)
        for each in self.maps:
            part = exact[each.values].reshape(len(each.ones), -1)
            part -= total[each.channels]
            part *= gain_of(cv2.norm(part, cv2.NORM_L2SQR) / part.size)  # squares of integers, summed in float64
        np.rint(exact, out=exact).clip(-128, 127, out=exact)
        exact -= self.offset
        return exact


def for_one_photo(gaussians: Sequence[PlaceGaussians], scales: Sequence[Scale], grids: Grids) -> OnePhoto:
    """The Gaussians of all maps and their scales, laid out for one photo."""
    places, channels = [len(each.mean) for each in gaussians], [each.mean.shape[1] for each in gaussians]
    sizes = [each.mean.size for each in gaussians]
    values, spans, rows = (_shares(each) for each in (sizes, channels, places))
    maps = [
        _Map(one.places, np.ones(len(one.places), np.float32), value, span, row, one.whitening)
        for one, value, span, row in zip(gaussians, values, spans, rows, strict=True)
    ]
    firsts = [row.start for row in rows]
    return OnePhoto(
        tuple(maps),
        np.concatenate([each.mean.ravel() for each in gaussians]) - np.float32(ORIGIN),
        np.repeat(np.array(places, np.float32), channels),
        np.concatenate([first + np.argsort(one.places) for first, one in zip(firsts, gaussians, strict=True)]),
        np.repeat(np.array([scale.mean for scale in scales], np.float32), places),
        np.repeat(np.array([1 / scale.deviation for scale in scales], np.float32), places),
        np.stack([first + places_below(grids[0], grid) for first, grid in zip(firsts, grids, strict=True)]),
        weights_of(len(grids)),
    )


def _shares(sizes: Sequence[int]) -> list[slice]:
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
