"""``convert --per-tensor``, whole."""

import json

import numpy as np
import pytest
from conftest import write_photos

from edgetl import tf
from edgetl.cli import program
from edgetl_device import console
from edgetl_device.bundle.bundle import open_bundle

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning:keras.*", "ignore::UserWarning:tf_keras.*"),
]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A classifier of random weights, whose depthwise channels differ a hundredfold, and photos."""
    folder = tmp_path_factory.mktemp("own")
    photos = write_photos(folder / "photos", ("ball", "box", "kite"), 12, size=32)
    keras = tf.keras()
    keras.utils.set_random_seed(1)
    layers = keras.layers
    entry = layers.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, strides=2, use_bias=False)(layers.Rescaling(1 / 127.5, -1.0)(entry))
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.ReLU(6.0)(layers.DepthwiseConv2D(3, name="uneven")(x))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(16, 1)(x))
    model = keras.Model(entry, layers.Dense(3, activation="softmax")(x))
    kernel, bias = model.get_layer("uneven").get_weights()
    model.get_layer("uneven").set_weights([kernel * np.geomspace(0.01, 1, 8)[:, None], bias])
    model.save(folder / "own.h5")
    return folder / "own.h5", photos


def converted(own, output, *options):
    model, photos = own
    arguments = ("convert", model, "--photos", photos, "-o", output, "--per-tensor", "--max-drop", 1, *options)
    return console.run(program, "edgetl", [str(argument) for argument in arguments])


def test_the_proof_says_how_many_kernels_were_equalized(own, tmp_path, capsys) -> None:
    assert converted(own, tmp_path / "b.edgetl", "--json") == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["one_scale"] == {"equalized": 3, "kernels": 3}
    assert (told["proof"]["per_channel"], told["proof"]["per_tensor"]) == (0, 3)
    assert "equalized 3 of 3 kernels on 30 photos" in err
    assert converted(own, tmp_path / "c.edgetl", "-v") == 0
    out, err = capsys.readouterr()
    assert "3 of 3 kernels, biases corrected" in " ".join(out.split())
    assert "no layer falls below" in err, "layers are compared with the equalized network"


def test_training_for_one_scale_starts_from_the_equalized_network(own, tmp_path, capsys) -> None:
    assert converted(own, tmp_path / "b.edgetl", "--qat", "--epochs", 20, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["one_scale"] == {"equalized": 3, "kernels": 3}
    assert told["compression"]["trained_kernels"] == 3 == told["proof"]["per_tensor"]
    assert open_bundle(tmp_path / "b.edgetl").manifest["compression"]["per_tensor"] is True


def test_what_cannot_be_taken_apart_is_quantized_as_it_is_and_that_is_said(own, tmp_path, capsys) -> None:
    keras = tf.keras()
    keras.models.load_model(own[0]).save(tmp_path / "folder", save_format="tf")
    assert converted((tmp_path / "folder", own[1]), tmp_path / "b.edgetl", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["one_scale"] is None
    assert "one scale a kernel without equalization, which may cost much accuracy: " in err
