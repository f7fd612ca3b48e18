"""Bias correction: what rounding of a kernel adds to the mean of each output channel is taken off its bias.

Nagel et al., ICCV 2019, section 4.2 (https://arxiv.org/abs/1906.04721), with means from photos instead of batch
normalisation. Layer after layer, so that each sees what the corrected ones before it give.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import tf
from ..models.flattening import steps_of
from .equalization import AXES, call

LEVELS = 127  # of int8 kernels on either side of 0, as the converter rounds them

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Corrected:
    """A network with the same kernels and corrected biases.

    Args:
        biases: how many layers have one.
    """

    model: Any
    biases: int


def corrected(model: Any, batch: Floats, per_tensor: bool = False) -> Corrected:
    """A flat Keras 2 model whose kernels will be int8 → one with biases that make up for the rounding.

    Args:
        batch: (n, h, w, 3) float32, in the model's range: photos that the means are taken of.
        per_tensor: whether a kernel of a convolution will have one scale, instead of one for each channel.
    """
    keras, tensorflow = tf.keras(), tf.load()
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    steps, _ = steps_of(twin)
    uses, left = (Counter(keys) for keys in ([s.layer.name for s in steps], [k for s in steps for k in s.inputs]))
    exact: dict[int, Any] = {0: batch}
    rounded: dict[int, Any] = {0: batch}
    biases = 0
    for step in steps:
        layer = step.layer
        if step.kind in AXES:
            activation, layer.activation = layer.activation, keras.activations.linear
            kernel, *bias = layer.get_weights()
            one = call(step, layer, exact)
            layer.set_weights([_rounded(kernel, "Dense" if per_tensor else step.kind), *bias])
            other = call(step, layer, rounded)
            if bias and uses[layer.name] == 1:
                lost = tensorflow.reduce_mean(one - other, axis=list(range(len(one.shape) - 1)))
                other, bias, biases = other + lost, [bias[0] + lost.numpy()], biases + 1
            layer.set_weights([kernel, *bias])
            layer.activation = activation
            one, other = activation(one), activation(other)
        else:
            one, other = (call(step, layer, values) for values in (exact, rounded))
        exact[step.output], rounded[step.output] = one, other
        for key in step.inputs:
            left[key] -= 1
            if not left[key]:
                del exact[key], rounded[key]
    return Corrected(twin, biases)


def _rounded(kernel: Floats, kind: str) -> Floats:
    """As the converter rounds: fully connected layers have one scale in any case."""
    axes = {"Conv2D": (0, 1, 2), "DepthwiseConv2D": (0, 1)}.get(kind)
    scale = np.maximum(np.abs(kernel).max(axis=axes, keepdims=True), 1e-30) / LEVELS
    return np.asarray(np.round(kernel / scale) * scale, np.float32)
