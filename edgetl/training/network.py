"""What fine-tuning trains: the unfrozen part of a backbone and a linear head on the device's own features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgetl_device import metrics
from edgetl_device.codes import LEVELS_PER_RMS
from edgetl_device.heads.predictive import Predictive

from .. import tf
from .float_head import fit_float_predictive, predict

_SOFT = 1e-3  # keeps the square root's slope finite where a feature is 0


class Batch(NamedTuple):
    """What one step of training sees.

    Args:
        inputs: (n, …) float32, for :meth:`Network.logits`.
        targets: (n, C) float32 class shares, smoothed.
        weights: (n,) float32, of the classes, mean about 1.
    """

    inputs: Any
    targets: Any
    weights: Any


@dataclass(eq=False)
class Network:
    """A part of a backbone under training, and its head.

    Args:
        body: Keras model, (n, …) → (n, d) pooled features.
        kernel, bias: (d, C) and (C,) float32 variables of the head.
        train_batch_norm: whether batch normalization uses and updates the statistics of the batch.
    """

    body: Any
    kernel: Any
    bias: Any
    train_batch_norm: bool = False

    @property
    def variables(self) -> list[Any]:
        """What training changes."""
        return [*self.body.trainable_variables, self.kernel, self.bias]

    def features(self, inputs: Any, training: bool = False) -> Any:
        """(n, …) float32 → (n, d) float32: pooled, square root, unit root mean square.

        The code transform of the device without its rounding, so what training improves is what the device's head
        sees.
        """
        tensorflow = tf.load()
        values = self.body(inputs, training=training and self.train_batch_norm)
        values = tensorflow.cast(values, tensorflow.float32)
        root = tensorflow.sign(values) * (tensorflow.sqrt(tensorflow.abs(values) + _SOFT) - _SOFT**0.5)
        square = tensorflow.reduce_mean(root**2, axis=1, keepdims=True)
        return root * tensorflow.math.rsqrt(square + 1e-9)

    def logits(self, inputs: Any, training: bool = False) -> Any:
        """(n, …) float32 → (n, C) float32."""
        return self.features(inputs, training) @ self.kernel + self.bias

    def loss(self, batch: Batch) -> Any:
        """Weighted cross-entropy of a batch, a scalar."""
        tensorflow = tf.load()
        entropy = tensorflow.nn.softmax_cross_entropy_with_logits(batch.targets, self.logits(batch.inputs, True))
        return tensorflow.reduce_mean(entropy * batch.weights)

    def state(self) -> list[npt.NDArray[np.float32]]:
        """Everything that training may have changed, to be given to :meth:`restore`."""
        return [*self.body.get_weights(), self.kernel.numpy(), self.bias.numpy()]

    def restore(self, state: list[npt.NDArray[np.float32]]) -> None:
        """The inverse of :meth:`state`."""
        *body, kernel, bias = state
        self.body.set_weights(body)
        self.kernel.assign(kernel)
        self.bias.assign(bias)


Step = Callable[[Network, Any, Batch], Any]
"""One step of training: (network, Keras optimizer, batch) → the loss, a scalar tensor. It runs inside a
``tf.function``; the learning rate is set outside. Give your own to :func:`edgetl.training.train.train`."""


def default_step(network: Network, optimizer: Any, batch: Batch) -> Any:
    """Descend the loss once."""
    with tf.load().GradientTape() as tape:
        loss = network.loss(batch)
    variables = network.variables
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    return loss


def build_network(
    body: Any,
    values: npt.NDArray[np.float32],
    labels: tuple[str, ...],
    fit: Sequence[int],
    tune: Sequence[int],
    train_batch_norm: bool = False,
) -> Network:
    """The first of two phases, solved instead of trained: the frozen features' linear head becomes the start.

    A random head would send large, useless gradients into the backbone (Kumar et al. 2022, "Fine-Tuning can Distort
    Pretrained Features", https://arxiv.org/abs/2202.10054); this one is the optimum under the device's own rule.

    Args:
        body: the part under training.
        values: (n, d) float32 features of the photos before training, labels: their n labels.
        fit: rows that the head is solved from.
        tune: rows that its temperature is set on, others than ``fit``; may be empty.
    """
    tensorflow = tf.load()
    head = fit_float_predictive(values, [labels[row] for row in fit], fit)
    bias = head.bias - head.centre @ head.weights.T
    if len(tune):
        temperature = _temperature(head, values, labels, tune)
    else:  # of its own photos a head is too sure: one of half of them is asked about the other half
        half = fit_float_predictive(values, [labels[row] for row in fit[::2]], fit[::2])
        temperature = _temperature(half, values, labels, [row for row in fit[1::2] if labels[row] in half.labels])
    kernel = head.weights.T * (LEVELS_PER_RMS / temperature)
    return Network(
        body,
        tensorflow.Variable(kernel, dtype=tensorflow.float32, name="head_kernel"),
        tensorflow.Variable(bias / temperature, dtype=tensorflow.float32, name="head_bias"),
        train_batch_norm,
    )


def _temperature(
    head: Predictive, values: npt.NDArray[np.float32], labels: tuple[str, ...], rows: Sequence[int]
) -> float:
    truth = np.searchsorted(head.labels, [labels[row] for row in rows])
    return metrics.fit_temperature(predict(head, values, rows)[1], truth) if len(rows) else 1.0


def unfreeze(model: Any, body: Any, train_batch_norm: bool) -> None:
    """Make trainable what belongs to ``body``, and nothing else of ``model``; batch normalization only if asked."""
    batch_norm = tf.keras().layers.BatchNormalization
    inside = {id(layer) for layer in body.layers}
    for layer in model.layers:
        layer.trainable = (
            id(layer) in inside and layer.name != "scaling" and (train_batch_norm or not isinstance(layer, batch_norm))
        )
