"""A classifier of one's own that is fine-tuned: both Kerases, every scaling, and files and RUNs that mean harm."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("edgetl")

from conftest import write_photos

from edgetl import tf
from edgetl.api import convert, train
from edgetl.backbones.backbone import build
from edgetl.models.own_backbone import own_backbone
from edgetl.training.runs import open_run
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.errors import InputError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning:keras.*", "ignore::UserWarning:tf_keras.*"),
]
SIDE = 32


def classifier(keras, prepare):
    """With a nested part, a shortcut, batch statistics of its own, and dropout."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    stem = keras.Sequential(
        [layers.Input((SIDE, SIDE, 3)), layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False),
         layers.BatchNormalization(), layers.ReLU(6.0)], name="stem",
    )  # fmt: skip
    entry = keras.Input((SIDE, SIDE, 3))
    x = stem(prepare(entry))
    x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)])
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(layers.Conv2D(16, 1, activation="relu")(x)))
    model = keras.Model(entry, layers.Dense(3, activation="softmax")(x))
    photos = np.random.default_rng(0).uniform(0, 255, (16, SIDE, SIDE, 3)).astype(np.float32)
    for _ in range(3):
        model(photos, training=True)  # moves the batch statistics away from 0 and 1
    return model


@pytest.fixture(scope="module", params=["keras2", "keras3"])
def own(request, tmp_path_factory):
    tf.keras()
    keras = tf.keras() if request.param == "keras2" else tf.keras3()
    model = classifier(keras, keras.layers.Rescaling(1 / 255))
    path = tmp_path_factory.mktemp("own") / "mine.keras"
    model.save(path)
    return path, keras.Model(model.input, model.layers[-1].input)


def test_the_backbone_gives_what_the_classifier_gave_its_last_layer(own) -> None:
    path, features = own
    spec = own_backbone(path)
    pixels = np.random.default_rng(1).integers(0, 256, (4, SIDE, SIDE, 3)).astype(np.float32)
    given = np.asarray(build(spec)(pixels / 127.5 - 1, training=False))
    assert given == pytest.approx(np.asarray(features(pixels, training=False)), abs=1e-4)
    assert (spec.image_size, spec.weights, spec.name) == (SIDE, "mine.keras", "own")


def test_it_is_fine_tuned_kept_in_the_run_and_converted(own, tmp_path) -> None:
    path, features = own
    strategy = "full" if type(features).__module__.startswith("keras.") else "top"
    photos = write_photos(tmp_path / "photos", ("ball", "box", "kite"), 12, size=SIDE)
    run = train(photos, tmp_path / "run", backbone=str(path), strategy=strategy, epochs=4, learning_rate=0.005,
                augment=False, batch_size=8)  # fmt: skip
    reread = open_run(tmp_path / "run")
    assert reread.spec == run.spec and not reread.spec.initial
    before, after = build(own_backbone(path)).get_weights(), reread.model().get_weights()
    changed = [not np.array_equal(one, other) for one, other in zip(before, after, strict=True)]
    assert any(changed) and not all(changed) and not changed[0]  # the scaling stays; batch statistics are frozen
    done = convert(tmp_path / "run", tmp_path / "mine.edgetl", max_drop=1)
    assert done.ops["float"] == 0
    assert open_bundle(tmp_path / "mine.edgetl").manifest["backbone"] == {
        "name": "own", "alpha": 1.0, "image_size": SIDE, "weights": "mine.keras",
    }  # fmt: skip


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    """A RUN of an own architecture, its head alone trained."""
    folder = tmp_path_factory.mktemp("run")
    keras = tf.keras()
    classifier(keras, lambda x: x).save(folder / "mine.h5")
    photos = write_photos(folder / "photos", ("ball", "box", "kite"), 6, size=SIDE)
    train(photos, folder / "run", backbone=str(folder / "mine.h5"), scale=(-1.0, 1.0))
    return folder / "run"


def altered(folder: Path, tmp_path: Path, change) -> Path:
    """A copy of a RUN whose architecture somebody changed."""
    shutil.copytree(folder, tmp_path / "altered")
    path = tmp_path / "altered" / "run.json"
    value = json.loads(path.read_text())
    configuration = json.loads(value["backbone"]["configuration"])
    change(configuration["config"]["layers"])
    value["backbone"]["configuration"] = json.dumps(configuration)
    path.write_text(json.dumps(value))
    return tmp_path / "altered"


def test_a_run_whose_architecture_runs_code_is_refused_unbuilt(run_folder, tmp_path) -> None:
    def harm(layers: list[dict]) -> None:
        layers[1]["class_name"] = "Lambda"

    with pytest.raises(InputError, match="Lambda"):
        open_run(altered(run_folder, tmp_path, harm))


def test_a_run_whose_architecture_wants_more_than_its_weights_is_refused(run_folder, tmp_path) -> None:
    def harm(layers: list[dict]) -> None:
        wide = next(layer for layer in layers if layer["class_name"] == "Conv2D")
        wide["config"]["filters"] = 1 << 19

    folder = altered(run_folder, tmp_path, harm)
    with pytest.raises(InputError, match="its layers need more weights than the"):
        open_run(folder).model()


def test_a_file_with_code_never_gets_as_far_as_training(tmp_path) -> None:
    keras = tf.keras3()
    entry = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Lambda(lambda x: x / 255)(entry))
    keras.Model(entry, keras.layers.Dense(3, activation="softmax")(x)).save(tmp_path / "bad.keras")
    with pytest.raises(InputError, match="Lambda"):
        train(tmp_path, tmp_path / "run", backbone=str(tmp_path / "bad.keras"))


def test_options_that_do_not_go_together_are_said_at_once(tmp_path) -> None:
    for extra, match in [
        ({"backbone": str(tmp_path / "m.keras"), "alpha": 0.35}, "--alpha is of edgetl's own architectures"),
        ({"scale": (0.0, 1.0)}, "--scale is of a --backbone FILE of your own"),
        ({"backbone": str(tmp_path / "m.keras")}, "no such file"),
        ({"backbone": str(tmp_path)}, r"is a folder: only a \.keras or \.h5 file holds layers that can be trained"),
    ]:
        with pytest.raises(InputError, match=match):
            train(tmp_path, tmp_path / "run", **extra)
