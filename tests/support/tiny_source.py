"""A small float classifier with drawn photos, as conversion takes it: seconds instead of a minute."""

from __future__ import annotations

from pathlib import Path

from conftest import write_photos

from edgetl import tf
from edgetl.data.datasets import find_photos, split
from edgetl.models.float_model import FloatModel
from edgetl_device.errors import InputError
from edgetl_device.preprocess import Preprocessing

KINDS = ("ball", "box", "kite")


def tiny_source(folder: Path) -> FloatModel:
    """60 photos of three kinds, 18 held out; a random backbone of 64 features; a float pipeline that is always right."""
    keras = tf.keras()
    keras.utils.set_random_seed(0)
    backbone = keras.Sequential(
        [
            keras.layers.Input((32, 32, 3)),
            keras.layers.Conv2D(32, 5, strides=2, activation="relu6"),
            keras.layers.Conv2D(64, 3, strides=2, activation="relu6"),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    data = split(find_photos(write_photos(folder, KINDS, 20)), 0.3, 0)

    def no_keras() -> None:
        raise InputError("this backbone cannot be trained")

    return FloatModel(
        data,
        Preprocessing(32, 32),
        (-1.0, 1.0),
        backbone,
        no_keras,
        lambda rows: [data.labels[row] for row in rows],
        {"name": "tiny", "alpha": 1.0, "weights": "none"},
        {"strategy": "head", "photos": len(data)},
        0,
        "2026-01-01T00:00:00+00:00",
    )
