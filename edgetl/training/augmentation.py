"""Random views of photos, as cheap operations inside the TensorFlow graph.

What is random is drawn outside, for each photo from its own key: a photo's view does not depend on the batch it is in,
so views can be cached by the photo's content, and the same seed gives the same training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import tf

MARGIN = 8 / 7  # photos are prepared this much larger than the view, so that a crop is not an enlargement
DRAWS = 16
_MIRROR = 5  # which of the draws mirrors
VERSION = 1  # part of the cache's key: another number wherever the views change

_SMALLEST_AREA = 0.5
_LOG_ASPECT = math.log(4 / 3)
_TURN = math.radians(10)
_BRIGHTNESS, _CONTRAST, _SATURATION = 0.2, 0.3, 0.4
_LUMA = (0.299, 0.587, 0.114)
_STRONG_TURN, _STRONG_SHEAR, _STRONG_AREA = math.radians(25), 0.25, 0.35


def wide_size(size: int) -> int:
    """Side of the photos that views of ``size`` pixels are cut from."""
    return round(size * MARGIN)


def draw(keys: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
    """n keys (a few non-negative integers each) → (n, 16) float32 in [−1, 1), what :func:`random_views` takes."""
    rows = [np.random.default_rng(key).uniform(-1, 1, DRAWS) for key in keys]
    return np.asarray(rows, np.float32).reshape(-1, DRAWS)


def mirrored(draws: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Draws (n, 16) → (n,): which of the views are mirror images."""
    return draws[:, _MIRROR] < 0


def unmirrored(draws: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The same draws, (n, 16), but that no view is a mirror image."""
    draws = draws.copy()
    draws[:, _MIRROR] = np.abs(draws[:, _MIRROR])
    return draws


def random_views(photos: Any, draws: Any, size: int, strong: bool = False) -> Any:
    """A random crop, turn, mirroring and change of colours of every photo.

    The crop is that of Szegedy et al. 2014 (https://arxiv.org/abs/1409.4842), of at least half of the area. ``strong``
    crops, turns and shears more and adds two random operations in the manner of RandAugment (Cubuk et al. 2019,
    https://arxiv.org/abs/1909.13719).

    Args:
        photos: (n, s, s, 3) uint8 RGB.
        draws: (n, 16) float32 of :func:`draw`.
        size: side of the views, pixels.

    Returns:
        (n, size, size, 3) float32 in [−1, 1].
    """
    tensorflow = tf.load()
    columns = tensorflow.unstack(draws, axis=1)
    views = tensorflow.raw_ops.ImageProjectiveTransformV3(
        images=tensorflow.cast(photos, tensorflow.float32),
        transforms=_geometry(
            columns[:7], tensorflow.cast(tensorflow.shape(photos)[1], tensorflow.float32), size, strong
        ),
        output_shape=(size, size),
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )
    views = _colours(views / 127.5 - 1.0, columns[7:10])
    if strong:
        for choice, strength in ((10, 11), (12, 13)):
            views = _one_of_many(views, columns[choice], columns[strength])
    return tensorflow.clip_by_value(views, -1.0, 1.0)


def whole(photos: Any) -> Any:
    """(n, s, s, 3) uint8 → float32 in [−1, 1], nothing random."""
    tensorflow = tf.load()
    return tensorflow.cast(photos, tensorflow.float32) / 127.5 - 1.0


def _geometry(draws: Sequence[Any], side: Any, size: int, strong: bool) -> Any:
    """Affine maps from pixels of the view to pixels of the photo, (n, 8) in the order TensorFlow wants."""
    tensorflow = tf.load()
    area, aspect, across, down, turn, mirror, slant = draws
    smallest, largest_turn = (_STRONG_AREA, _STRONG_TURN) if strong else (_SMALLEST_AREA, _TURN)
    length = side * tensorflow.sqrt(smallest + (1 - smallest) * (area + 1) / 2)
    stretch = tensorflow.exp(aspect * _LOG_ASPECT / 2)
    width, height = tensorflow.minimum(length * stretch, side), tensorflow.minimum(length / stretch, side)
    cos, sin = tensorflow.cos(turn * largest_turn), tensorflow.sin(turn * largest_turn)
    shear = slant * (_STRONG_SHEAR if strong else 0.0)
    flip = tensorflow.where(mirror < 0, -1.0, 1.0)
    a, b = flip * width / size * cos, height / size * (shear * cos - sin)
    c, d = flip * width / size * sin, height / size * (shear * sin + cos)
    # Pixel centres lie at 0, 1, 2, …: the middle of the view at (size − 1) / 2, of the photo at centre − 0.5.
    middle = (size - 1) / 2
    x = side / 2 + across * (side - width) / 2 - 0.5 - (a + b) * middle
    y = side / 2 + down * (side - height) / 2 - 0.5 - (c + d) * middle
    zero = tensorflow.zeros_like(a)
    return tensorflow.stack([a, b, x, c, d, y, zero, zero], axis=1)


def _colours(views: Any, draws: Sequence[Any]) -> Any:
    tensorflow = tf.load()
    brightness, contrast, saturation = (draw[:, None, None, None] for draw in draws)
    grey = _grey(views)
    views = grey + (views - grey) * (1.0 + saturation * _SATURATION)
    mean = tensorflow.reduce_mean(grey, axis=(1, 2), keepdims=True)
    return mean + (views - mean) * (1.0 + contrast * _CONTRAST) + brightness * _BRIGHTNESS


def _grey(views: Any) -> Any:
    tensorflow = tf.load()
    return tensorflow.tensordot(views, tensorflow.constant(_LUMA), 1)[..., None]


def _one_of_many(views: Any, choice: Any, strength: Any) -> Any:
    """One operation a photo, drawn by ``choice``; each is computed for all, which costs less than leaving the graph."""
    tensorflow = tf.load()
    by = tensorflow.abs(strength)[:, None, None, None]
    low = tensorflow.reduce_min(views, axis=(1, 2), keepdims=True)
    high = tensorflow.reduce_max(views, axis=(1, 2), keepdims=True)
    blurred = tensorflow.nn.avg_pool2d(views, 3, 1, "SAME")
    levels = tensorflow.round(2.0 ** (6.0 - 3.0 * by))
    made = (
        views,
        (views - low) / tensorflow.maximum(high - low, 0.05) * 2.0 - 1.0,  # autocontrast
        views + (views - blurred) * 2.0 * by,  # sharper
        views + (blurred - views) * by,  # softer
        tensorflow.round((views + 1.0) / 2.0 * levels) / levels * 2.0 - 1.0,  # posterize
        tensorflow.where(views > 1.0 - by, -views, views),  # solarize
        views + (_grey(views) - views) * by,  # less colour
        views * (1.0 - 0.6 * by),  # less contrast
    )
    drawn = tensorflow.cast(tensorflow.floor((choice + 1.0) / 2.0 * len(made)), tensorflow.int32)[:, None, None, None]
    for number, candidate in enumerate(made[1:], 1):
        views = tensorflow.where(drawn == number, candidate, views)
    return views
