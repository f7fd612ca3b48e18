"""An inner feature map of the backbone → the integers that inspection learns from.

Each channel loses the photo's own mean over all places, and what is left is brought to the same contrast in every
photo, so that what light and exposure do to the whole picture does not count as a defect. Every step gives the same
bytes on every architecture, and sums of codes and of their products add and subtract exactly.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import numpy.typing as npt

from ..codes import Codes, Int8
from ..errors import MismatchError

PER_PLACE_CHANNELS = 96  # maps of more channels share one covariance among their places: as good there, and far smaller
ORIGIN = 128  # the code of a channel that has the photo's own mean
CONTRAST = 20.0  # root mean square of codes about their origin: six times it is in range
_NO_CONTRAST = 1.0  # of the map's own steps, added to its root mean square: a blank picture's noise is not drawn out


def place_codes(maps: Int8) -> Codes:
    """(…, h, w, c) int8 → (…, h, w, c) uint8.

    With ``d = q − ⌊(2 Σ q + P) / 2P⌋``, the sum over the P = h · w places of the photo, and r the root mean square of d
    over all places and channels, ``code = clip(round(d · 20 / (r + 1)), −128, 127) + 128``.

    Raises:
        MismatchError: it is no feature map.
    """
    if maps.ndim < 3 or maps.dtype != np.int8 or 0 in maps.shape[-3:]:
        raise MismatchError(f"expected a feature map (height, width, channels) int8, got {maps.shape} {maps.dtype}")
    height, width, channels = maps.shape[-3:]
    photos = maps.reshape(-1, height * width, channels)
    codes: Codes = np.empty(photos.shape, np.uint8)
    for photo, own in zip(photos, codes, strict=True):  # one by one: what is between is eight times as large
        own[:] = _codes(photo)
    return codes.reshape(maps.shape)


def _codes(photo: Int8) -> npt.NDArray[np.float32]:
    """(P, c) of one photo. Sums of integers up to 2²⁴ in float32 and 2⁵³ in float64 are exact, and faster."""
    places = len(photo)
    away = photo.astype(np.float32)
    total = (np.ones(places, np.float32) @ away).astype(np.int64)
    away -= ((2 * total + places) // (2 * places)).astype(np.float32)
    wide = away.astype(np.float64).ravel()
    away *= gain_of(float(wide @ wide) / wide.size)
    np.rint(away, out=away).clip(-128, 127, out=away)
    away += ORIGIN
    return away


def gain_of(square: float) -> np.float32:
    """Mean square of a photo → what brings it to :data:`CONTRAST`.

    IEEE 754 rounds roots, quotients and products correctly, so every machine gives the same.
    """
    return np.float32(CONTRAST / (sqrt(square) + _NO_CONTRAST))


def shares_covariance(channels: int) -> bool:
    """Whether the places of a map with so many channels share one covariance."""
    return channels > PER_PLACE_CHANNELS
