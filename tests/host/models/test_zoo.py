"""Architectures of Keras' own zoo as people bring them, random weights with the batch statistics of their photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import write_photos

import edgetl
from edgetl import tf
from edgetl.models.allowed_operations import PURE
from edgetl.models.frozen_graph import callable_of, freeze
from edgetl.models.keras_loading import load_keras
from edgetl_device.errors import InputError
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


def convnext(keras, module) -> object:
    """ConvNeXt's parts, few of them: layers of its own, grouped convolutions, GELU in its exact form."""
    name = {"name" if keras.__version__ >= "3" else "model_name": "tiny"}
    sizes = {"depths": [1, 0, 0, 0], "projection_dims": [8] * 4}
    model = module.ConvNeXt(**name, **sizes, weights=None, include_top=False, input_shape=(32, 32, 3), pooling="avg")
    return keras.Sequential([model, keras.layers.Dense(3, "softmax")])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:keras.*", "ignore::UserWarning:tf_keras.*")
def test_a_convnext_of_either_keras_is_read_and_holds_nothing_that_is_refused(tmp_path: Path) -> None:
    tf.keras(), tf.keras3()
    from keras.src.applications import convnext as of_keras3
    from tf_keras.src.applications import convnext as of_keras2

    photo = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    for keras, module in ((tf.keras(), of_keras2), (tf.keras3(), of_keras3)):
        model = convnext(keras, module)
        model.save(tmp_path / "model.keras")
        again = load_keras(tmp_path / "model.keras")
        np.testing.assert_allclose(again(photo), model(photo), atol=1e-5)
        definition = freeze(tf.inference(again), (32, 32, 3)).definition
        assert {node.op for node in definition.node} <= PURE and not definition.library.function
        assert sum(node.op == "Neg" for node in definition.node) == 1, "that of GELU, which TFLite knows whole"
    model.save(tmp_path / "model.h5")
    with pytest.raises(InputError, match=r"cannot be loaded by Keras .*: save it as \.keras"):  # nor by Keras 3 alone
        load_keras(tmp_path / "model.h5")


@pytest.mark.slow
def test_negation_becomes_a_product_which_tflite_has_in_integers() -> None:
    tensorflow = tf.load()
    frozen = freeze(lambda photo: tensorflow.reduce_mean(-photo, (1, 2)), (4, 4, 3))
    assert not any(node.op == "Neg" for node in frozen.definition.node)
    call = callable_of(frozen.definition, [frozen.entry], frozen.output)
    photo = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(call(tensorflow.constant(photo)), -photo.mean(axis=(1, 2)), rtol=1e-5)
