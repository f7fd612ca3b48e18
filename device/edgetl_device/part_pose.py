"""The one part that stands out from its background: where it is, how large, and which way it lies.

The background is what most of the border shows. What differs from it is divided from it by Otsu's threshold ("A
threshold selection method from gray-level histograms", 1979), the largest blob is the part, and the axis along which
its pixels vary most is laid across. Its heavier end points to the left. What is cut out is as long as the part, and as
high, though half as high as long at least: a long part is drawn to up to twice its height, so that it fills more of the
photo. All of it is done in integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import cv2
import numpy as np
import numpy.typing as npt

from .errors import PhotoError
from .photos import Image
from .preprocess import halved

_SIDE = 320  # pixels: a part is looked for in a frame of at most this
_TURNS = 1024  # steps in half a turn: the axis is found to 0.2 degrees
_ONE = 1 << 14  # of sines
_CONTRAST = 12  # levels by which a part differs from its background at least
_SMALLEST = 400  # of a frame's pixels, one: anything smaller is dirt
_MARGIN = 10  # per cent more than the part
_SLENDER = 2  # times as long as broad is what is cut out at most: beyond it, a part would no longer look like one

_ANGLES = np.arange(_TURNS) * (np.pi / _TURNS)
_COSINES = np.rint(np.cos(_ANGLES) * _ONE).astype(np.int64)  # no value is near a half, so all machines agree
_SINES = np.rint(np.sin(_ANGLES) * _ONE).astype(np.int64)


@dataclass(frozen=True)
class Pose:
    """Where a part lies in a frame.

    Args:
        x, y: the middle of the rectangle around it, pixels.
        length, breadth: of that rectangle, pixels.
        cosine, sine: of the angle by which the rectangle is turned, in units of 1 / ``one``.
    """

    x: int
    y: int
    length: int
    breadth: int
    cosine: int
    sine: int
    one: int = _ONE


def pose_of(frame: Image) -> Pose:
    """(any, any, 3) uint8 → where the part is.

    Raises:
        PhotoError: nothing stands out from the background, or the largest thing that does is too small.
    """
    small, factor = frame, 1
    while max(small.shape[:2]) > _SIDE and min(small.shape[:2]) >= 2:
        small, factor = halved(small, 2, 2), 2 * factor
    difference = _from_background(small)
    level = otsu(np.bincount(difference.ravel(), minlength=256))
    mask = np.asarray(difference > level, np.uint8)
    inside, outside = difference[mask > 0], difference[mask == 0]
    if not inside.size or int(inside.mean(dtype=np.float64)) < _CONTRAST + int(outside.mean(dtype=np.float64)):
        raise PhotoError("no part stands out from the background")
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)), np.uint8)
    count, labels, numbers, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = numbers[1:, cv2.CC_STAT_AREA]
    if count < 2 or int(areas.max()) * _SMALLEST < mask.size:
        raise PhotoError(
            "no part stands out from the background: what does is smaller than a twentieth of the frame's side"
        )
    rows, columns = np.nonzero(labels == 1 + int(areas.argmax()))
    return _pose_of_pixels(columns.astype(np.int64), rows.astype(np.int64), factor)


def otsu(counts: npt.NDArray[np.int64]) -> int:
    """A histogram → the level that divides it with the largest variance between its two sides, exactly."""
    numbers, levels = [int(count) for count in counts], range(len(counts))
    total, weighted = sum(numbers), sum(number * level for number, level in zip(numbers, levels, strict=True))
    best, best_level, below, below_weighted = (-1, 1), 0, 0, 0
    for level in levels:
        below += numbers[level]
        below_weighted += numbers[level] * level
        above = total - below
        if not below or not above:
            continue
        # variance between the sides, but for a constant: (w₁ s₀ − w₀ s₁)² / (w₀ w₁), as a fraction
        distance = above * below_weighted - below * (weighted - below_weighted)
        fraction = distance * distance, below * above
        if fraction[0] * best[1] > best[0] * fraction[1]:
            best, best_level = fraction, level
    return best_level


def _from_background(frame: Image) -> npt.NDArray[np.uint8]:
    """How far each pixel is from the border's median, the largest of the three channels."""
    edge = max(1, frame.shape[0] // 32)
    sides = (frame[:edge], frame[-edge:], frame[:, :edge], frame[:, -edge:])
    border = np.concatenate([side.reshape(-1, 3) for side in sides])
    median = np.sort(border, axis=0)[len(border) // 2]
    background = np.empty_like(frame)
    background[:] = median
    blue, green, red = cv2.split(cv2.absdiff(frame, background))
    return np.asarray(cv2.max(cv2.max(blue, green), red), np.uint8)


def _pose_of_pixels(x: npt.NDArray[np.int64], y: npt.NDArray[np.int64], factor: int) -> Pose:
    """Pose of a part that consists of these pixels of a frame shrunk by ``factor``."""
    count, sum_x, sum_y = len(x), int(x.sum()), int(y.sum())
    # n times the second moments about the mean: below 2⁵³ for frames of this size
    xx = count * int((x * x).sum()) - sum_x * sum_x
    xy = count * int((x * y).sum()) - sum_x * sum_y
    yy = count * int((y * y).sum()) - sum_y * sum_y
    along = [
        int(c) * int(c) * xx + 2 * int(c) * int(s) * xy + int(s) * int(s) * yy
        for c, s in zip(_COSINES, _SINES, strict=True)
    ]
    turn = max(range(_TURNS), key=along.__getitem__)
    cosine, sine = int(_COSINES[turn]), int(_SINES[turn])
    u, v = x * cosine + y * sine, y * cosine - x * sine
    skew = u - int(u.sum()) // count >> 8  # so that its cube summed over the frame fits
    if int((skew**3).sum()) < 0:
        cosine, sine, u, v = -cosine, -sine, -u, -v
    low_u, high_u, low_v, high_v = int(u.min()), int(u.max()), int(v.min()), int(v.max())
    long, broad = high_u - low_u + _ONE, high_v - low_v + _ONE  # a pixel has a width
    middle_u, middle_v = low_u + high_u, low_v + high_v  # twice the middle
    unit = isqrt(cosine * cosine + sine * sine) or 1  # about `_ONE`
    middle_x = (middle_u * cosine - middle_v * sine) * factor // (2 * unit * unit) + factor // 2
    middle_y = (middle_u * sine + middle_v * cosine) * factor // (2 * unit * unit) + factor // 2
    length, breadth = (max(8, each * factor * (100 + _MARGIN) // (100 * unit)) for each in (long, broad))
    return Pose(middle_x, middle_y, length, max(breadth, length // _SLENDER), cosine, sine)
