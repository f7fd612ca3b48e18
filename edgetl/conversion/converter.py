"""Keras, or any function of TensorFlow → TFLite, in every quantization mode, with proof of what came out.

The representative dataset should be balanced over the classes: calibrating on the first files of a walk sees one class
only, and clips all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError
from edgetl_device.preprocess import Preprocessing

from .. import tf
from ..training.embeddings import to_float
from .proof import MODES, Proof, prove


@dataclass(frozen=True, eq=False)
class Exported:
    """A ``.tflite`` file and the proof that it is what was asked for.

    Args:
        data: its bytes. Mode ``int8`` takes (1, h, w, 3) uint8 RGB; the others take the same pixel values, 0 … 255, as
            float32. The scaling to the model's own range is inside in every mode.
    """

    data: bytes
    proof: Proof


def export(
    model: Any,
    photos: npt.NDArray[np.uint8],
    scale: tuple[float, float],
    mode: str = "int8",
    verbose: bool = False,
    per_tensor: bool = False,
) -> Exported:
    """A Keras model, or a function (n, h, w, 3) float32 → (n, d) float32, as a ``.tflite`` file of batch 1.

    Args:
        model: a Keras 2 model, trained with quantization awareness or not; or any callable of a float32 batch.
        photos: (m, h, w, 3) uint8 RGB representative dataset, class-balanced; calibrates the integer modes, and gives
            the size of the input in all of them.
        scale: what the uint8 values 0 and 255 stand for at the model's input.
        mode: a key of :data:`~edgetl.conversion.proof.MODES`.
        per_tensor: whether kernels shall have one scale for all channels, for hardware that knows no other.

    Raises:
        InputError: TensorFlow cannot convert it.
        CheckFailedError: the result is not what was asked for.
    """
    data = _convert(model, photos, scale, mode, verbose, per_tensor)
    return Exported(data, prove(data, mode, per_tensor))


def to_int8(model: Any, photos: npt.NDArray[np.uint8], scale: tuple[float, float], verbose: bool = False) -> bytes:
    """The bytes of :func:`export` in mode ``int8``: uint8 pixels in, int8 embedding out."""
    return export(model, photos, scale, "int8", verbose).data


def representative_photos(photos: npt.NDArray[np.uint8], preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """The calibration photos and two more, all black and all white: so the input range is exactly the photos' range."""
    shape = (1, preprocessing.height, preprocessing.width, 3)
    return np.concatenate([photos, np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)])


def _convert(
    model: Any, photos: npt.NDArray[np.uint8], scale: tuple[float, float], mode: str, verbose: bool, per_tensor: bool
) -> bytes:
    tensorflow = tf.load(verbose)
    call, low, step = tf.inference(model), scale[0], (scale[1] - scale[0]) / 255
    # In mode int8 the input tensor's own scale and zero point turn pixels into the model's range at no cost; a float
    # input has none, so there the scaling is part of the graph.
    inside = mode != "int8" and (low, step) != (0.0, 1.0)
    converter = tf.lite_converter(lambda batch: call(batch * step + low if inside else batch), (1, *photos.shape[1:]))
    converter._experimental_disable_per_channel = per_tensor
    _configure(converter, mode, tensorflow, lambda: _representative(photos, (0.0, 255.0) if inside else scale))
    try:
        with tf.quiet():
            data: bytes = converter.convert()
    except Exception as error:  # ConverterError, ValueError, RuntimeError and others, by the part of it that fails
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"TensorFlow cannot convert this backbone to {mode}: {reason}") from None
    return data


def _configure(converter: Any, mode: str, tensorflow: Any, representative: Callable[[], Iterator[list[Any]]]) -> None:
    lite = tensorflow.lite
    # Per-channel fully connected layers are beyond tflite-runtime 2.14 and Edge TPUs.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if mode == "none":
        return
    converter.optimizations = [lite.Optimize.DEFAULT]
    if mode == "float16":
        converter.target_spec.supported_types = [tensorflow.float16]
    if not MODES[mode].integer:
        return
    converter.representative_dataset = representative
    int16x8 = lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter.target_spec.supported_ops = [int16x8 if mode == "int16x8" else lite.OpsSet.TFLITE_BUILTINS_INT8]
    types = {"UINT8": tensorflow.uint8, "INT8": tensorflow.int8, "FLOAT32": tensorflow.float32}
    converter.inference_input_type, converter.inference_output_type = (
        types[MODES[mode].input],
        types[MODES[mode].output],
    )


def _representative(photos: npt.NDArray[np.uint8], scale: tuple[float, float]) -> Iterator[list[Any]]:
    for photo in photos:
        yield [to_float(photo[None], scale)]
