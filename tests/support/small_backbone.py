"""An architecture small enough to be fine-tuned in a second; importing this adds it to the catalogue as ``small``."""

from __future__ import annotations

from typing import Any

from edgetl import tf
from edgetl.backbones.backbone import BackboneSpec
from edgetl.backbones.catalogue import CATALOGUE, Architecture

SMALL = BackboneSpec("small", 1.0, 32, "none")


def _make(weights: str | None, alpha: float, shape: tuple[int, int, int], tensor: Any = None) -> Any:
    keras = tf.keras()
    layers = keras.layers
    inputs = layers.Input(shape)
    x = layers.Conv2D(8, 3, 2, "same", activation="relu", name="first")(inputs)
    x = layers.BatchNormalization(name="first_bn")(x)
    x = layers.Conv2D(12, 3, 2, "same", activation="relu", name="middle")(x)
    x = layers.Conv2D(24, 3, 2, "same", name="last")(x)
    x = layers.BatchNormalization(name="last_bn")(x)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.ReLU(6.0)(x)))


CATALOGUE["small"] = Architecture(_make, "middle", ())
