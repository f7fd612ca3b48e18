"""The network in training: backbone and classifier, one step, and the moving average that is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from research.pretraining.archive import Photos
from research.pretraining.augment import random_views, to_input
from research.pretraining.recipe import ALPHA, IMAGE_SIZE, Recipe

EVALUATION_BATCH = 100
FEATURE_SCALE = 0.1


def backbone(image_size: int | None = IMAGE_SIZE) -> tf_keras.Model:
    """MobileNetV2 (https://arxiv.org/abs/1801.04381), alpha 0.35, no top, random weights.

    Maps (n, size, size, 3) float32 in [-1, 1] to (n, size / 32, size / 32, 1280) in [0, 6]. None: any size.
    """
    return tf_keras.applications.MobileNetV2(
        alpha=ALPHA, include_top=False, weights=None, input_shape=(image_size, image_size, 3)
    )


class Network:
    """Variables of the run: weights, gradient momentum ("velocity"), and the average of weights over steps.

    `state()` and `restore()` give and take all of them as arrays; nothing else changes between steps.
    """

    def __init__(self, classes: int, recipe: Recipe) -> None:
        tf_keras.utils.set_random_seed(recipe.seed)
        self.recipe = recipe
        self.model, self._averaged = _classifier(classes), _classifier(classes)
        for layer in self.model.layers:
            if isinstance(layer, tf_keras.layers.BatchNormalization):
                layer.momentum = recipe.batch_norm_momentum
        self._averaged.set_weights(self.model.get_weights())
        self._trained = self.model.trainable_variables
        self._velocity = [tf.Variable(tf.zeros_like(weight), trainable=False) for weight in self._trained]
        self._steps: dict[int, tf.types.experimental.PolymorphicFunction] = {}
        self._predict = tf.function(lambda images: self._averaged(images, training=False), reduce_retracing=True)

    def step(
        self, images: np.ndarray, labels: np.ndarray, *, size: int, learning_rate: float, number: int
    ) -> tuple[float, float]:
        """One step on (n, s, s, 3) uint8 photos and (n,) int32 labels.

        Args:
            size: pixels a side of the views trained on.
            number: of the step in the run; decides the views and the weight of the average.

        Returns:
            Mean cross-entropy in nats, and the fraction of views classified correctly.
        """
        if size not in self._steps:
            self._steps[size] = tf.function(lambda *inputs: self._step(size, *inputs), reduce_retracing=True)
        recipe = self.recipe
        keep = min(recipe.average_decay, (1 + number) / (10 + number))
        seed = tf.constant([recipe.seed, number], tf.int32)
        loss, correct = self._steps[size](
            tf.constant(images), tf.constant(labels), seed, tf.constant(learning_rate), tf.constant(keep)
        )
        return float(loss), float(correct)

    def _step(
        self,
        size: int,
        images: tf.Tensor,
        labels: tf.Tensor,
        seed: tf.Tensor,
        rate: tf.Tensor,
        keep: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        towers = self.recipe.towers
        losses, corrects, gradients = [], [], []
        for tower, (part, truth) in enumerate(zip(tf.split(images, towers), tf.split(labels, towers), strict=True)):
            views = random_views(part, size, tf.stack([seed[0], seed[1] + (tower << 24)]))
            with tf.GradientTape() as tape:
                logits = self.model(views, training=True)
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(truth, logits))
            gradients.append(tape.gradient(loss, self._trained))
            losses.append(loss)
            corrects.append(tf.reduce_mean(tf.cast(tf.argmax(logits, 1, tf.int32) == truth, tf.float32)))
        self._update([tf.add_n(parts) / towers for parts in zip(*gradients, strict=True)], rate)
        for average, weight in zip(self._averaged.weights, self.model.weights, strict=True):
            average.assign(keep * average + (1.0 - keep) * weight)
        return tf.add_n(losses) / towers, tf.add_n(corrects) / towers

    def _update(self, gradients: list[tf.Tensor], rate: tf.Tensor) -> None:
        """One step of gradient descent with Nesterov momentum (Sutskever et al. 2013)."""
        momentum = self.recipe.momentum
        for weight, velocity, gradient in zip(self._trained, self._velocity, gradients, strict=True):
            if _decays(weight):
                gradient += self.recipe.weight_decay * weight
            moved = momentum * velocity - rate * gradient
            velocity.assign(moved)
            weight.assign_add(momentum * moved - rate * gradient)

    def accuracy(self, photos: Photos, size: int) -> float:
        """Top-1 accuracy of the averaged weights on whole photos resized to `size`."""
        correct = 0
        for start in range(0, len(photos), EVALUATION_BATCH):
            batch = slice(start, start + EVALUATION_BATCH)
            logits = self._predict(to_input(photos.images[batch], size))
            correct += int(np.sum(np.argmax(logits.numpy(), axis=1) == photos.labels[batch]))
        return correct / len(photos)

    def averaged_backbone(self) -> tf_keras.Model:
        """What is kept: a backbone for 96-pixel images with the averaged weights."""
        kept = backbone()
        kept.set_weights(self._averaged.get_weights()[: len(kept.weights)])
        return kept

    def state(self) -> dict[str, np.ndarray]:
        """Every variable, by a name that is unique and stable."""
        return {name: variable.numpy() for name, variable in self._variables().items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Sets every variable from what `state()` gave.

        Raises:
            KeyError, ValueError: a variable is missing or has another shape.
        """
        for name, variable in self._variables().items():
            variable.assign(state[name])

    def _variables(self) -> dict[str, tf.Variable]:
        groups = {
            "weight": self.model.weights,
            "average": self._averaged.weights,
            "velocity": self._velocity,
        }
        return {f"{group}-{i:03d}": v for group, variables in groups.items() for i, v in enumerate(variables)}


def save_weights(model: tf_keras.Model, path: Path) -> None:
    """Writes Keras' HDF5 weights, at once or not at all."""
    unfinished = path.with_name(f"unfinished-{path.name}")
    model.save_weights(unfinished, save_format="h5")
    unfinished.replace(path)


def _classifier(classes: int) -> tf_keras.Model:
    """Backbone, mean over positions, and a linear classifier of the standardised means.

    Means of a ReLU6 are all positive; batch norm removes what they have in common, and the classifier learns
    faster (Luo et al. 2019, https://arxiv.org/abs/1903.07071). There are 1,280 of them: times 0.1, or a step
    that suits the filters is too long for the classifier and the loss diverges.
    Residual branches start at zero, so that the network starts shallow (Goyal et al. 2017,
    https://arxiv.org/abs/1706.02677, section 5.1).
    """
    body = backbone(None)
    for layer in body.layers:
        if isinstance(layer, tf_keras.layers.Add):
            branch = layer.input[1].node.layer
            branch.gamma.assign(tf.zeros_like(branch.gamma))
    pooled = tf_keras.layers.GlobalAveragePooling2D()(body.output)
    standardised = tf_keras.layers.BatchNormalization(center=False, scale=False, name="standardised")(pooled)
    scaled = tf_keras.layers.Rescaling(FEATURE_SCALE)(standardised)
    return tf_keras.Model(body.input, tf_keras.layers.Dense(classes, name="classes")(scaled))


def _decays(weight: tf.Variable) -> bool:
    """Not biases and batch norm (no effect on the function), nor the nine values of a depthwise filter."""
    return len(weight.shape) > 1 and "depthwise" not in weight.name
