"""A float Keras backbone as a ``.tflite`` file in memory: LiteRT embeds in a third of TensorFlow's CPU time."""

from __future__ import annotations

from typing import Any

from edgetl_device.errors import InputError
from edgetl_device.preprocess import Preprocessing

from .. import tf


def float_file(model: Any, preprocessing: Preprocessing, scale: tuple[float, float]) -> bytes:
    """(1, h, w, 3) float32 pixel values 0 … 255 in, (1, d) float32 out.

    Args:
        model: (n, h, w, 3) float32 → (n, d) float32, a Keras model or a function.
        scale: what the pixel values 0 and 255 stand for at its input.

    Raises:
        InputError: TensorFlow cannot convert it.
    """
    call, low, step = tf.inference(model), scale[0], (scale[1] - scale[0]) / 255
    shape = (1, preprocessing.height, preprocessing.width, 3)
    converter = tf.lite_converter(lambda photos: call(photos * step + low), shape)
    try:
        with tf.quiet():
            data: bytes = converter.convert()
    except Exception as error:  # ConverterError, ValueError, RuntimeError and others, by the part of it that fails
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"TensorFlow cannot convert this backbone: {reason}") from None
    return data
