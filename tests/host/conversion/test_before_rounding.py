"""What ``convert`` does before it rounds kernels, with ``--per-tensor`` and ``--keep-head``, whole."""

import json

import numpy as np
import pytest
from conftest import write_photos

from edgetl import tf
from edgetl.cli import program
from edgetl.cli.convert import kept_head_advice
from edgetl.conversion.before_rounding import prepared
from edgetl.models.sources import open_source
from edgetl.training.embeddings import to_float
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
    arguments = ("convert", model, "--photos", photos, "-o", output, "--max-drop", 1, *options)
    return console.run(program, "edgetl", [str(argument) for argument in arguments])


def test_what_is_rounded_computes_what_the_model_did(own) -> None:
    source = open_source(own[0], (own[1],))
    photos = source.training_photos(30)
    batch = to_float(photos, source.scale)
    exact = np.asarray(tf.inference(source.backbone)(tf.load().constant(batch)))
    ready = prepared(source, photos, per_tensor=True)
    assert np.abs(np.asarray(ready.model(batch)) - exact).max() < 1e-3 * np.abs(exact).max()
    assert 0 < np.abs(np.asarray(ready.corrected()(batch)) - exact).max() < 0.2 * np.abs(exact).max()


def test_the_proof_says_how_many_kernels_were_equalized(own, tmp_path, capsys) -> None:
    assert converted(own, tmp_path / "b.edgetl", "--per-tensor", "--json") == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["rounding"] == {"equalized": 3, "kernels": 3}
    assert (told["proof"]["per_channel"], told["proof"]["per_tensor"]) == (0, 3)
    assert "equalized 3 of 3 kernels on 30 photos" in err
    assert converted(own, tmp_path / "c.edgetl", "--per-tensor", "-v") == 0
    out, err = capsys.readouterr()
    assert "corrected for rounding biases; 3 of 3 kernels equalized" in " ".join(out.split())
    assert "no layer falls below" in err, "layers are compared with the equalized network"


def test_training_for_one_scale_starts_from_the_equalized_network(own, tmp_path, capsys) -> None:
    assert converted(own, tmp_path / "b.edgetl", "--per-tensor", "--qat", "--epochs", 20, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rounding"] == {"equalized": 3, "kernels": 3}
    assert told["compression"]["trained_kernels"] == 3 == told["proof"]["per_tensor"]
    assert open_bundle(tmp_path / "b.edgetl").manifest["compression"]["per_tensor"] is True


def test_what_cannot_be_taken_apart_is_quantized_as_it_is_and_that_is_said(own, tmp_path, capsys) -> None:
    keras = tf.keras()
    keras.models.load_model(own[0]).save(tmp_path / "folder", save_format="tf")
    assert converted((tmp_path / "folder", own[1]), tmp_path / "b.edgetl", "--per-tensor", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["rounding"] is None
    assert (
        "one scale a kernel without equalization, which may cost much accuracy: that needs a RUN or a Keras 2 model"
        in err
    )


def test_biases_are_corrected_for_a_head_that_is_kept(own, tmp_path, capsys) -> None:
    for options, expected in (("int8",), {"kernels": 3, "equalized": 0}), (("float16",), None):
        output = tmp_path / f"{options[0]}.edgetl"
        assert converted(own, output, "--keep-head", "--quantize", *options, "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert told["rounding"] == expected
    assert converted(own, tmp_path / "plain.edgetl", "--quantize", "int8", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rounding"] is None
    files = {name: open_bundle(tmp_path / f"{name}.edgetl").members["backbone.tflite"] for name in ("int8", "plain")}
    assert files["int8"] != files["plain"]


def test_where_a_kept_head_loses_many_labels_other_numbers_are_named() -> None:
    assert kept_head_advice("int8", 0.979) == (
        "8-bit numbers change that many labels: --quantize int16x8 changes fewer, but is slow; float16 hardly any"
    )
    assert kept_head_advice("int8", 0.98) is None and kept_head_advice("int16x8", 0.9) is None
