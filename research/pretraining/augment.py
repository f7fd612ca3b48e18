"""Random views of training photos, as a few cheap ops inside the TensorFlow graph."""

from __future__ import annotations

import math

import tensorflow as tf

MIN_AREA = 0.5
MAX_LOG_ASPECT = math.log(4 / 3)
MAX_TURN = math.radians(10)
MAX_BRIGHTNESS = 0.3
MAX_CONTRAST = 0.4
MAX_SATURATION = 0.5
GREY_PROBABILITY = 0.05

LUMA = (0.299, 0.587, 0.114)


def to_input(images: tf.Tensor, size: int) -> tf.Tensor:
    """Whole photos, resized: (n, s, s, 3) uint8 -> (n, size, size, 3) float32 in [-1, 1]."""
    resized = tf.image.resize(images, (size, size), antialias=True)
    return resized / 127.5 - 1.0


def random_views(images: tf.Tensor, size: int, seed: tf.Tensor) -> tf.Tensor:
    """A random crop, turn, mirroring and change of colours of every photo.

    Crop as in Szegedy et al. 2014 (https://arxiv.org/abs/1409.4842), though of at least half of the area
    rather than 0.08: a network this small underfits stronger crops. Crop, turn and mirroring are one
    resampling.

    Args:
        images: (n, s, s, 3) uint8 RGB.
        size: pixels a side of the result.
        seed: (2,) int32; equal seeds give equal views.

    Returns:
        (n, size, size, 3) float32 in [-1, 1].
    """
    count, side = tf.shape(images)[0], images.shape[1]
    draws = tf.unstack(tf.random.stateless_uniform((10, count), seed, -1.0, 1.0))
    views = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=_crops(draws[:6], side, size),
        output_shape=(size, size),
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )
    return _recoloured(views / 127.5 - 1.0, draws[6:])


def _crops(draws: list[tf.Tensor], side: int, size: int) -> tf.Tensor:
    """Affine maps from pixels of the view to pixels of the photo, (n, 8) in the order TensorFlow wants."""
    area, aspect, across, down, turn, mirror = draws
    length = side * tf.sqrt(MIN_AREA + (1 - MIN_AREA) * (area + 1) / 2)
    stretch = tf.exp(aspect * MAX_LOG_ASPECT / 2)
    width, height = tf.minimum(length * stretch, side), tf.minimum(length / stretch, side)
    centre_x = side / 2 + across * (side - width) / 2
    centre_y = side / 2 + down * (side - height) / 2
    cos, sin = tf.cos(turn * MAX_TURN), tf.sin(turn * MAX_TURN)
    a, b = tf.sign(mirror) * width / size * cos, -height / size * sin
    c, d = tf.sign(mirror) * width / size * sin, height / size * cos
    # Pixel centres lie at 0, 1, 2, …: the middle of the view at (size - 1) / 2, of the photo at centre - 0.5.
    middle = (size - 1) / 2
    x = centre_x - 0.5 - (a + b) * middle
    y = centre_y - 0.5 - (c + d) * middle
    zero = tf.zeros_like(a)
    return tf.stack([a, b, x, c, d, y, zero, zero], axis=1)


def _recoloured(views: tf.Tensor, draws: list[tf.Tensor]) -> tf.Tensor:
    brightness, contrast, saturation, grey = (draw[:, None, None, None] for draw in draws)
    luma = tf.tensordot(views, tf.constant(LUMA), 1)[..., None]
    keep = tf.where(grey < 2 * GREY_PROBABILITY - 1, 0.0, 1.0 + saturation * MAX_SATURATION)
    views = luma + (views - luma) * keep
    mean = tf.reduce_mean(luma, axis=(1, 2), keepdims=True)
    views = mean + (views - mean) * (1.0 + contrast * MAX_CONTRAST) + brightness * MAX_BRIGHTNESS
    return tf.clip_by_value(views, -1.0, 1.0)
