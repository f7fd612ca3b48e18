"""An inner feature map of the backbone → the integers that inspection learns from.

Each channel loses the photo's own mean over all places, so that what light and exposure do to the whole picture does
not count as a defect. The mean is rounded in integer arithmetic: the same bytes on every architecture, and sums of
codes and of their products add and subtract exactly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..codes import Codes, Int8
from ..errors import MismatchError

PER_PLACE_CHANNELS = 96  # maps of more channels share one covariance among their places: as good there, and far smaller
ORIGIN = 128  # the code of a channel that has the photo's own mean


def place_codes(maps: Int8) -> Codes:
    """(…, h, w, c) int8 → (…, h, w, c) uint8.

    ``code = clip(q − ⌊(2 Σ q + P) / 2P⌋ + 128, 0, 255)``, the sum over the P = h · w places of the photo.

    Raises:
        MismatchError: it is no feature map.
    """
    if maps.ndim < 3 or maps.dtype != np.int8 or 0 in maps.shape[-3:]:
        raise MismatchError(f"expected a feature map (height, width, channels) int8, got {maps.shape} {maps.dtype}")
    height, width, channels = maps.shape[-3:]
    places = height * width
    flat = maps.reshape(*maps.shape[:-3], places, channels)
    total = flat.sum(axis=-2, keepdims=True, dtype=np.int32)
    shift = ORIGIN - (2 * total + places) // (2 * places)
    codes: npt.NDArray[np.int16] = np.add(flat, shift, dtype=np.int16, casting="unsafe")
    return np.clip(codes, 0, 255, out=codes).astype(np.uint8).reshape(maps.shape)


def shares_covariance(channels: int) -> bool:
    """Whether the places of a map with so many channels share one covariance."""
    return channels > PER_PLACE_CHANNELS
