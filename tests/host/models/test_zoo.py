"""Architectures of Keras' own zoo as people bring them, random weights with the batch statistics of their photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import write_photos

import edgetl
from edgetl import tf
from edgetl_device.photos import read_photo
from edgetl_device.preprocess import Preprocessing

KINDS = ("ball", "box", "kite")
SIZE = 64


def save_classifier(name: str, photos: np.ndarray, path: Path) -> None:
    """A classifier whose Dense layer is solved on its own features."""
    keras = tf.keras()
    keras.utils.set_random_seed(0)
    shape = (SIZE, SIZE, 3)
    backbone = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=shape, pooling="avg")
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    backbone(photos, training=True)
    features = np.asarray(backbone(photos))
    wanted = np.repeat(np.eye(len(KINDS)), len(photos) // len(KINDS), axis=0) * 20
    weights = np.linalg.lstsq(np.hstack([features, np.ones((len(features), 1))]), wanted, rcond=1e-3)[0]
    model = keras.Sequential([backbone, keras.layers.Dense(len(KINDS), "softmax")])
    model.layers[-1].set_weights([weights[:-1], weights[-1]])
    model.save(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV3Small", "MobileNetV3Large"])
def test_an_architecture_is_converted_to_int8_and_fused(tmp_path: Path, name: str) -> None:
    folder = write_photos(tmp_path / "photos", KINDS, 16, size=SIZE)
    files = sorted(folder.rglob("*.png"))
    photos = np.stack([Preprocessing(SIZE, SIZE)(read_photo(path)) for path in files]).astype(np.float32)
    save_classifier(name, photos, tmp_path / "model.keras")
    done = edgetl.convert(tmp_path / "model.keras", tmp_path / "zoo.edgetl", photos=folder, fused=True, max_drop=1)
    assert done.ops["float"] == 0 and done.fused is not None and done.fused.agreement >= 0.995
