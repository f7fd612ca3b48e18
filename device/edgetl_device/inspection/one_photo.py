"""How unusual is one photo, at a camera's rate: what :mod:`.place_gaussians` says, in as few passes as can be.

All maps lie one behind the other, so that most steps are done once for all of them. Codes are made by subtraction that
saturates, as :func:`.place_codes.place_codes` makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..codes import Int8
from .place_codes import ORIGIN
from .place_gaussians import Float32, PlaceGaussians, Rows
from .unusual import Scale, steady


@dataclass(frozen=True, eq=False)
class _Map:
    """Where a map lies among all, and its covariances.

    Args:
        places: (P,) in the order of neighbourhoods, and (P,) where in that order each place is.
        ones: (P,) float32.
        values, channels, rows: its share of all values, of all channels, and of all places.
        whitening: of the Gaussians.
    """

    places: Rows
    back: Rows
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
        mean, factor: of all places, float32: the scale of their map.
    """

    maps: tuple[_Map, ...]
    offset: Float32
    count: Float32
    mean: Float32
    factor: Float32

    def unusual(self, maps: Sequence[Int8]) -> list[Float32]:
        """Maps of one photo, each (h, w, c) int8 → how unusual their places are, each (1, P) float32."""
        deviations = self._deviations(maps)
        distances: Float32 = np.empty(len(self.mean), np.float32)
        for each in self.maps:
            blocks, channels = each.whitening.shape[:2]
            white = np.matmul(deviations[each.values].reshape(blocks, -1, channels), each.whitening)
            flat = white.reshape(-1, channels)
            np.einsum("pc,pc->p", flat, flat).take(each.back, out=distances[each.rows], mode="clip")
        values = steady(distances)
        values -= self.mean
        values *= self.factor
        return [values[None, each.rows] for each in self.maps]

    def _deviations(self, maps: Sequence[Int8]) -> Float32:
        """Codes less their means, one map behind the other. Sums of int8 are exact in float32, of up to 2¹⁷ places."""
        steps = list(zip(self.maps, maps, strict=True))
        values = np.concatenate([m.reshape(-1, m.shape[2]).take(each.places, axis=0).ravel() for each, m in steps])
        exact = values.astype(np.float32)
        own: npt.NDArray[np.int8] = np.empty(len(values), np.int8)
        total: Float32 = np.empty(len(self.count), np.float32)
        for each in self.maps:
            np.matmul(each.ones, exact[each.values].reshape(len(each.ones), -1), out=total[each.channels])
        total /= self.count
        total += np.float32(0.5)
        means = np.floor(total, out=total).astype(np.int8)
        for each in self.maps:
            own[each.values].reshape(len(each.ones), -1)[:] = means[each.channels]
        np.copyto(exact, cv2.subtract(values, own).reshape(-1))  # saturates, as the codes do
        exact -= self.offset
        return exact


def for_one_photo(gaussians: Sequence[PlaceGaussians], scales: Sequence[Scale]) -> OnePhoto:
    """The Gaussians of all maps and their scales, laid out for one photo."""
    places, channels = [len(each.mean) for each in gaussians], [each.mean.shape[1] for each in gaussians]
    values, spans, rows = (_shares(sizes) for sizes in ([each.mean.size for each in gaussians], channels, places))
    maps = [
        _Map(one.places, np.argsort(one.places), np.ones(len(one.places), np.float32), value, span, row, one.whitening)
        for one, value, span, row in zip(gaussians, values, spans, rows, strict=True)
    ]
    return OnePhoto(
        tuple(maps),
        np.concatenate([each.mean.ravel() for each in gaussians]) - np.float32(ORIGIN),
        np.repeat(np.array(places, np.float32), channels),
        np.repeat(np.array([scale.mean for scale in scales], np.float32), places),
        np.repeat(np.array([1 / scale.deviation for scale in scales], np.float32), places),
    )


def _shares(sizes: Sequence[int]) -> list[slice]:
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
