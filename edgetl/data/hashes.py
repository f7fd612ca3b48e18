"""Difference hashes, by which near-copies of a picture are found."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

BYTES = 16
_PARTS = 9
_EXACT = 1 << 24  # whole numbers up to here are exact in float32

Hashes = npt.NDArray[np.uint8]


def difference_hash(photo: npt.NDArray[np.uint8]) -> Hashes:
    """(h, w, 3) uint8 → (16,) uint8: for 8 × 8 places, whether it gets brighter to the right, and downwards.

    Krawetz 2013 (http://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html), in both directions.
    The 9 × 9 means are whole numbers, computed from whole numbers, so the same bits come out on every machine.
    """
    return np.asarray(hashes_of([grey_of(photo)])[0], np.uint8)


def grey_of(photo: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(h, w, 3) uint8 RGB → (h, w) uint8, all that a hash takes of it."""
    return np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), np.uint8)


def hashes_of(greys: Sequence[npt.NDArray[np.uint8]]) -> Hashes:
    """n photos (h, w) uint8 → (n, 16) uint8, as :func:`difference_hash`, in a third of the time for many."""
    height, width = greys[0].shape
    kind = np.float32 if 255 * height * width < _EXACT else np.float64
    sums = _shares(height, kind) @ np.stack(greys).astype(kind) @ _shares(width, kind).T
    means = (sums.astype(np.float64) + height * width / 2) // (height * width)  # noise makes nothing brighter
    brighter = np.empty((len(greys), 2, _PARTS - 1, _PARTS - 1), np.bool_)
    np.greater(means[:, :-1, 1:], means[:, :-1, :-1], out=brighter[:, 0])
    np.greater(means[:, 1:, :-1], means[:, :-1, :-1], out=brighter[:, 1])
    hashes: Hashes = np.packbits(brighter.reshape(len(greys), -1), axis=1)
    return hashes


@lru_cache(64)
def _shares(size: int, kind: type[np.floating]) -> npt.NDArray[Any]:
    """(9, size): how many ninths of each pixel lie in each ninth of a side, whole numbers."""
    starts = np.arange(_PARTS)[:, None] * size
    pixels = np.arange(size)[None] * _PARTS
    overlap = np.minimum(starts + size, pixels + _PARTS) - np.maximum(starts, pixels)
    shares: npt.NDArray[Any] = np.maximum(overlap, 0).astype(kind)
    return shares
