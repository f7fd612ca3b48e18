"""Backbone + the last layer that its classifier came with as one ``.tflite`` file.

The layer's weights stay the float32 numbers that they were: what follows the embedding is one matrix product, which
takes no time that shows beside the backbone's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .appender import Appender
from .classifier_file import embedding_of, finished
from .model import read_model

Floats = npt.NDArray[np.float32]


def keep_head(
    backbone: bytes, weights: Floats, bias: Floats, labels: tuple[str, ...], input_range: tuple[float, float], name: str
) -> bytes:
    """A backbone's ``.tflite`` file and a Dense layer with softmax → the file of a classifier, with its labels.

    Args:
        weights, bias: (d, C) and (C,) float32; scores are embedding · weights + bias.
        labels: C, in the order of the layer's outputs.
        input_range, name: as of :func:`~edgetl.tflite.classifier_file.finished`.

    Raises:
        InputError: not a backbone of d features.
    """
    appender = Appender(read_model(backbone))
    value, is_int8 = embedding_of(appender, len(weights))
    if is_int8:
        value = appender.operator("DEQUANTIZE", [value], (1, len(weights)), "DequantizeOptions", version=2)
    inputs = [value, appender.constant("head/kept", weights.T), appender.constant("head/kept/bias", bias)]
    scores = appender.operator("FULLY_CONNECTED", inputs, (1, len(labels)), "FullyConnectedOptions")
    return finished(appender, scores, labels, input_range, name)
