"""Classifiers that are ``.tflite`` files already become bundles: their weights stay, their last layer goes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, draw, tiny_backbone, write_photos

import edgetl
from edgetl.cli import program
from edgetl.models.classifiers import Given, tflite_source
from edgetl.models.own_backbone import own_backbone
from edgetl.models.tflite_files import is_tflite, open_tflite
from edgetl.tflite import fused
from edgetl.tflite.appender import Appender
from edgetl.tflite.model import read_model, write_model
from edgetl.tflite.repoint import layout, repointed
from edgetl_device import console
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.errors import CheckFailedError, InputError
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.photos import read_photo

KINDS = ("ball", "box")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("given") / "photos", KINDS, 20, seed=2)


@pytest.fixture(scope="module")
def stranger() -> bytes:
    """A classifier as other tools write them: the tiny backbone, a Dense layer on it, softmax, a quantized output."""
    backbone = tiny_backbone()
    shown = [(label, draw(kind, number)) for label, kind in enumerate(KINDS) for number in range(40)]
    raw = np.stack([backbone.embed(photo) for _, photo in shown]).astype(np.float32)
    wanted = np.eye(2)[[label for label, _ in shown]] * 20 - 10
    features = np.hstack([(raw + 128) * backbone.interpreter.output.scale, np.ones((len(raw), 1))])
    weights = np.linalg.lstsq(features, wanted, rcond=1e-4)[0].T
    model = read_model(TINY.read_bytes())
    appender = Appender(model, "dense")
    (output,) = (int(index) for index in appender.graph.outputs)
    value = appender.operator("DEQUANTIZE", [output], (1, 64), "DequantizeOptions", version=2)
    kernel, bias = appender.constant("kernel", weights[:, :-1]), appender.constant("bias", weights[:, -1])
    value = appender.operator("FULLY_CONNECTED", [value, kernel, bias], (1, 2), "FullyConnectedOptions")
    value = appender.operator("SOFTMAX", [value], (1, 2), "SoftmaxOptions", beta=1.0)
    value = appender.operator("QUANTIZE", [value], (1, 2), "QuantizeOptions", output=("UINT8", 1 / 256, 0))
    appender.finish(value, "scores")
    return write_model(model)


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_DOT_", "."), data)
    return path


def test_the_backbone_of_a_classifier_gives_what_its_last_layer_took(stranger, photos) -> None:
    found = layout(stranger)
    assert (found.height, found.width, found.features, found.classes, found.is_own) == (32, 32, 64, 2, False)
    backbone = TFLiteInterpreter(repointed(stranger, found.embedding))
    tiny = tiny_backbone()
    for path in sorted(photos.rglob("*.png"))[:5]:
        photo = tiny.preprocessing(read_photo(path))
        real = (tiny.embed_photo(photo).astype(np.float32) + 128) * tiny.interpreter.output.scale
        np.testing.assert_allclose(backbone(photo), real, rtol=1e-6)
    assert len(repointed(stranger, found.embedding)) < len(stranger), "the last layer's weights are gone"


@pytest.mark.slow
def test_teachable_machine_s_zip_becomes_a_bundle_held_against_its_own_answers(stranger, photos, tmp_path) -> None:
    path = zipped(tmp_path / "converted_tflite.zip", model_DOT_tflite=stranger, labels_DOT_txt=b"0 ball\n1 box\n")
    assert is_tflite(path)
    done = edgetl.convert(path, tmp_path / "toys.edgetl", photos=photos, max_drop=0.3)
    assert done.parity.float_accuracy >= 0.9 and done.parity.samples == 8 and done.quantization == "none"
    evaluation = edgetl.evaluate(tmp_path / "toys.edgetl", write_photos(tmp_path / "new", KINDS, 15, seed=9))
    assert evaluation.labels == KINDS and evaluation.accuracy >= 0.9
    named = tmp_path / "names.txt"
    named.write_text("box\nball\n")
    with pytest.raises(CheckFailedError, match="in the order of the model's outputs"):
        edgetl.convert(path, tmp_path / "wrong.edgetl", photos=photos, labels=named, max_drop=0.3)
    assert not (tmp_path / "wrong.edgetl").exists()


def test_labels_that_go_unused_stop_neither_a_file_nor_a_zip(stranger, photos, tmp_path) -> None:
    long = f"{'great white shark, ' * 5}\nplane\n"
    model, named = tmp_path / "fish.tflite", tmp_path / "fish.txt"
    model.write_bytes(stranger)
    named.write_text(long)
    others = write_photos(tmp_path / "others", ("ball", "box", "kite"), 4)
    unknown = zipped(tmp_path / "fish.zip", model_DOT_tflite=stranger, labels_DOT_txt=long.encode())
    for given in (Given(model, (others,), named, resize="crop"), Given(unknown, (others,), resize="crop")):
        assert tflite_source(given).caution == ""  # a backbone and no more
    named.write_text(long.replace("plane", "box"))
    with pytest.raises(InputError, match="'ball' that the model does not know: leave out its photos, or correct the l"):
        tflite_source(Given(model, (photos,), named))  # some are known: a slip
    with pytest.raises(InputError, match="; without --labels the model serves as a backbone alone"):
        tflite_source(Given(model, (others,), named))
    with pytest.raises(InputError, match="tells 2 classes apart, the labels file has 1"):
        named.write_text("fish\n")
        tflite_source(Given(model, (others,), named))


@pytest.mark.slow
def test_photos_of_other_classes_make_it_a_backbone_and_no_more(stranger, tmp_path) -> None:
    model = tmp_path / "stranger.tflite"
    model.write_bytes(stranger)
    photos = write_photos(tmp_path / "photos", ("ball", "box", "kite"), 12)
    edgetl.convert(model, tmp_path / "three.edgetl", photos=photos, max_drop=0.3)
    new = write_photos(tmp_path / "new", ("ball", "box", "kite"), 10, seed=3)
    assert edgetl.evaluate(tmp_path / "three.edgetl", new).accuracy >= 0.8


@pytest.mark.slow
def test_a_file_that_edgetl_fused_gives_back_the_backbone_it_was_made_of(bundle_path, photos, tmp_path) -> None:
    bundle = open_bundle(bundle_path)
    head = BundleContent(bundle).head()
    data = fused.fuse(
        TINY.read_bytes(),
        fused.formula(head, bundle.codes),
        head.labels,
        bundle.codes,
        None,
        (0, 255),
        "x",
    )
    path = tmp_path / "model.tflite"
    path.write_bytes(data)
    model = open_tflite(path)
    assert model.labels == KINDS and model.classes == 2
    interpreter, tiny = TFLiteInterpreter(model.backbone), tiny_backbone()
    for photo in (tiny.preprocessing(draw("ball", 7)), tiny.preprocessing(draw("kite", 7))):
        assert interpreter(photo).tobytes() == tiny.embed_photo(photo).tobytes()
    done = edgetl.convert(path, tmp_path / "again.edgetl", photos=photos, max_drop=0.3)
    assert done.quantization == "int8" and done.ops["float"] == 0


def test_damage_is_told_in_plain_words_with_the_next_step(stranger, tmp_path) -> None:
    junk, cut = tmp_path / "junk.tflite", tmp_path / "cut.tflite"
    junk.write_text("no model at all")
    cut.write_bytes(stranger[: len(stranger) // 2])
    with pytest.raises(InputError, match=r"junk.tflite: not a .tflite file, or a damaged one; copy it again$"):
        open_tflite(junk)
    with pytest.raises(InputError, match=r"cut.tflite: a damaged .tflite file; copy it again$"):
        open_tflite(cut)
    for place in range(40, len(stranger), len(stranger) // 40):
        flipped = bytearray(stranger)
        flipped[place : place + 8] = bytes(255 - value for value in flipped[place : place + 8])
        try:
            layout(bytes(flipped))
        except InputError as error:
            assert "damaged" not in str(error) or str(error).endswith("; copy it again")


@pytest.mark.parametrize("name", ["classifier.tflite", "converted_tflite.zip"])
def test_training_on_a_tflite_file_is_refused_with_what_takes_it(stranger, tmp_path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(stranger)
    if name.endswith(".zip"):
        zipped(path, model_DOT_tflite=stranger)
    with pytest.raises(InputError, match=rf"cannot be trained any more: .* `edgetl convert \S*{name} --photos PHOTOS`"):
        own_backbone(path)


@pytest.mark.parametrize("name", ["classifier.tflite", "converted_tflite.zip"])
def test_a_sweep_of_a_tflite_file_is_refused(stranger, photos, tmp_path, capsys, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(stranger)
    if name.endswith(".zip"):
        zipped(path, model_DOT_tflite=stranger)
    assert console.run(program, "edgetl", ["sweep", str(path), "--photos", str(photos)]) == 2
    assert f"{name} is converted already" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_what_cannot_be_used_is_refused_in_one_line(stranger, photos, tmp_path) -> None:
    def refused(path: Path, match: str, **options: object) -> None:
        with pytest.raises(InputError, match=match):
            edgetl.convert(path, tmp_path / "no.edgetl", photos=photos, **options)  # type: ignore[arg-type]
        assert not (tmp_path / "no.edgetl").exists()

    model = tmp_path / "stranger.tflite"
    model.write_bytes(stranger)
    refused(model, "converted already: leave out --quantize", quantize="float16")
    refused(model, "converted already: leave out --quantize", prune=0.5)
    refused(model, "converted already: leave out --quantize, --per-tensor", per_tensor=True)
    refused(zipped(tmp_path / "two.zip", a_DOT_tflite=stranger, b_DOT_tflite=stranger), "holds 2 .tflite files")
    refused(zipped(tmp_path / "bad.zip", a_DOT_tflite=b"TFL3" * 9), "damaged .tflite file")
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(stranger[: len(stranger) // 2])
    refused(cut, "damaged .tflite file")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_inputs_of_floats_and_of_int8_are_fed_pixels(photos, tmp_path, kind: str) -> None:
    from edgetl import tf

    keras = tf.keras()
    keras.utils.set_random_seed(3)
    inputs = keras.Input((32, 32, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(16, 3, 2, activation="relu")(inputs))
    dense = keras.layers.Dense(2, "softmax")
    model = keras.Model(inputs, [features, dense(features)])
    shots = [tiny_backbone().preprocessing(read_photo(path)) for path in sorted(photos.rglob("*.png"))]
    scaled = np.stack(shots).astype(np.float32) / 127.5 - 1
    known = np.hstack([model(scaled)[0], np.ones((len(shots), 1))])
    solved = np.linalg.lstsq(known, np.repeat(np.eye(2), len(shots) // 2, axis=0) * 20, rcond=1e-4)[0]
    dense.set_weights([solved[:-1], solved[-1]])
    converter = tf.lite_converter(lambda batch: model(batch)[1], (1, 32, 32, 3))
    if kind == "int8":
        converter.optimizations = [tf.load().lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([row[None]] for row in scaled)
        converter.target_spec.supported_ops = [tf.load().lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.load().int8
    path = tmp_path / "m.tflite"
    path.write_bytes(converter.convert())
    if kind == "float32":
        with pytest.raises(InputError, match="give --scale MIN,MAX"):
            open_tflite(path)
        teachable = {"model_unquant_DOT_tflite": path.read_bytes(), "labels_DOT_txt": b"0 ball\n1 box\n"}
        downloaded = zipped(tmp_path / "converted_tflite.zip", **teachable)
        assert open_tflite(downloaded).backbone == open_tflite(path, (-1, 1)).backbone
        done = edgetl.convert(downloaded, tmp_path / "toys.edgetl", photos=photos, max_drop=0.3)
        assert done.parity.float_accuracy >= 0.9 and done.quantization == "none"
        assert open_bundle(tmp_path / "toys.edgetl").manifest["labels"] == list(KINDS)
    opened = open_tflite(path, (-1, 1))
    interpreter = TFLiteInterpreter(opened.backbone)
    values = np.stack([interpreter(photo) for photo in shots]).astype(np.float32)
    if kind == "int8":
        values = (values - interpreter.output.zero_point) * interpreter.output.scale
    expected = model(scaled)[0].numpy()
    np.testing.assert_allclose(values, expected, atol=1e-5 if kind == "float32" else 0.08 * expected.max())
    assert opened.classes == 2 and opened.labels is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["mobilenet_v1_0.25_128_quant", "tf2_mobilenet_v2_1.0_224_ptq", "mobilenet_v1_1.0_224_quant_embedding_extractor"],
)
def test_coral_s_models_serve_as_backbones(shared, tmp_path, name: str) -> None:
    photos = tmp_path / "photos"
    for kind in ("cardboard", "glass", "metal"):
        (photos / kind).mkdir(parents=True)
        for path in sorted((shared / "data" / "trashnet" / kind).iterdir())[:24]:
            (photos / kind / path.name).symlink_to(path)
    model = shared / "models" / "coral" / f"{name}.tflite"
    done = edgetl.convert(model, tmp_path / "litter.edgetl", photos=photos, max_drop=0.3)
    assert done.quantization == "int8" and done.parity.converted_accuracy >= 0.5 and done.parity.agreement >= 0.8


@pytest.mark.slow
def test_a_file_for_the_edge_tpu_is_refused(shared) -> None:
    with pytest.raises(InputError, match="give the file it was compiled from"):
        open_tflite(shared / "models" / "coral" / "mobilenet_v1_0.25_128_quant_edgetpu.tflite")
