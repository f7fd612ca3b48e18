"""Batch normalization's statistics, estimated anew where training changed what they are of.

Training leaves a running mean of them, which at the usual momentum lags hundreds of steps behind the weights. What is
scored and kept has the statistics of its own weights instead (Wu and Johnson 2021, "Rethinking 'Batch' in BatchNorm",
section 3, https://arxiv.org/abs/2105.07576).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import tf


class BatchNormStatistics:
    """The trainable batch normalizations of a Keras model.

    Args:
        body: the model, (n, …) float32 → anything.
    """

    def __init__(self, body: Any) -> None:
        norm = tf.keras().layers.BatchNormalization
        self._layers = [layer for layer in body.layers if isinstance(layer, norm) and layer.trainable]
        self._once = tf.load().function(lambda inputs: body(inputs, training=True), reduce_retracing=True)

    def estimate(self, batches: Iterable[Any]) -> None:
        """Give each the mean and variance of its inputs over some batches of equal size, at least one."""
        means, variances = [], []
        momenta = [layer.momentum for layer in self._layers]
        try:
            for layer in self._layers:
                layer.momentum = 0.0  # so that it holds those of the last batch; looked at when the function is traced
            for inputs in batches:
                self._once(inputs)
                means.append([layer.moving_mean.numpy() for layer in self._layers])
                variances.append([layer.moving_variance.numpy() for layer in self._layers])
        finally:
            for layer, momentum in zip(self._layers, momenta, strict=True):
                layer.momentum = momentum
        for number, layer in enumerate(self._layers):
            mean, within = np.stack([row[number] for row in means]), np.stack([row[number] for row in variances])
            layer.moving_mean.assign(mean.mean(axis=0))
            layer.moving_variance.assign(within.mean(axis=0) + mean.var(axis=0))
