"""Make ``tiny_backbone.tflite``: a real int8 backbone (32 × 32 photos, 64 features) small enough to keep beside the tests.

``tiny_inspectable.tflite`` is the same with its two inner maps as further outputs.

Random weights of our own; run with ``python tests/support/make_tiny_backbone.py`` where TensorFlow is installed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgetl import tf
from edgetl.conversion.converter import representative_photos, to_int8
from edgetl.tflite.inner_maps import expose_inner_maps
from edgetl_device.preprocess import Preprocessing


def main() -> None:
    """Convert and write."""
    keras = tf.keras()
    keras.utils.set_random_seed(7)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Conv2D(24, 5, strides=2, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
        ]
    )
    generator = np.random.default_rng(0)
    flat = generator.integers(0, 256, (64, 1, 1, 3))
    photos = np.clip(flat + generator.normal(0, 40, (64, 32, 32, 3)), 0, 255).astype(np.uint8)
    data = to_int8(model, representative_photos(photos, Preprocessing(32, 32)), (-1.0, 1.0))
    Path(__file__).with_name("tiny_backbone.tflite").write_bytes(data)
    Path(__file__).with_name("tiny_inspectable.tflite").write_bytes(expose_inner_maps(data))


if __name__ == "__main__":
    main()
