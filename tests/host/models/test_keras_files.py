import importlib
import io
import json
import os
import shutil
import sys
import unicodedata
import zipfile
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from conftest import write_photos

from edgetl import tf
from edgetl.cli import program
from edgetl.data.datasets import find_photos
from edgetl.models import confined_graph
from edgetl.models.classifiers import Given, as_keras_numbers, keras_source
from edgetl.models.keras_files import name_outputs, open_classifier, parse_scale, read_labels
from edgetl.tflite.fused_proof import predict
from edgetl.tflite.model import read_model
from edgetl_device import console
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.cli import program as device_program
from edgetl_device.errors import InputError
from edgetl_device.photos import read_photo

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning:keras.*", "ignore::UserWarning:tf_keras.*"),
]
SIZE = (32, 32, 3)
PHOTO = np.random.default_rng(0).uniform(0, 255, (1, *SIZE)).astype(np.float32)


def backbone(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input(SIZE),
            layers.Conv2D(8, 3, strides=2, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, activation="relu"),
            layers.Conv2D(16, 1),
        ],
        name="base",
    )


def nested(keras):
    """A tutorial's transfer learning model: augmentation, scaling, a model inside the model."""
    layers = keras.layers
    entry = keras.Input(SIZE)
    x = layers.RandomFlip("horizontal")(entry)
    x = backbone(keras)(layers.Rescaling(1 / 127.5, -1.0)(x), training=False)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(entry, layers.Dense(3, activation="softmax")(x))


def functional(keras):
    """Scaling as plain arithmetic, and a single logit for two classes."""
    entry = keras.Input(SIZE)
    x = backbone(keras)(keras.applications.mobilenet_v2.preprocess_input(entry))
    return keras.Model(entry, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(x)))


def sequential(keras):
    """Scaled outside, a hidden Dense layer, softmax as a layer of its own."""
    layers = keras.layers
    parts = [layers.Conv2D(4, 3, strides=4, activation="relu"), layers.Flatten(), layers.Dense(12, activation="relu")]
    return keras.Sequential([layers.Input(SIZE), *parts, layers.Dense(3), layers.Softmax()])


@pytest.fixture(scope="module")
def keras2():
    keras = tf.keras()
    keras.utils.set_random_seed(1)
    return keras


@pytest.fixture(scope="module")
def keras3(keras2):
    keras = tf.keras3()
    keras.utils.set_random_seed(1)
    return keras


@pytest.fixture
def read_here(monkeypatch) -> None:
    """What reads a model with TensorFlow does so in this process, which has loaded it: a confined one takes seconds.

    Every kind of file is read in a confined process too: see the sequential models, and ``tests/hostile``.
    """

    def run(module, path, folder, limits, shown):
        reader, answers = importlib.import_module(module), []
        monkeypatch.setattr(reader, "answer", lambda work: answers.append(work()))
        monkeypatch.setattr(reader, "start", lambda *load: None)
        monkeypatch.setattr(sys, "argv", [module, str(path), str(folder)])
        try:
            reader.main()
        except InputError as error:
            raise InputError(f"{shown}: {error}") from None
        return answers[0]

    monkeypatch.setattr(confined_graph, "run_confined", run)


@pytest.mark.parametrize("version", ["keras2", "keras3"])
@pytest.mark.parametrize("suffix", ["keras", "h5", "saved"])
@pytest.mark.parametrize(
    ("make", "scale", "dimension"), [(nested, None, 16), (functional, None, 16), (sequential, (0.0, 1.0), 12)]
)
def test_a_classifier_is_split_into_backbone_and_head_without_changing_it(
    request, tmp_path, capfd, version, suffix, make, scale, dimension
) -> None:
    if (suffix == "saved" and make is nested) or (version, suffix, make) == ("keras3", "h5", functional):
        pytest.skip("Keras itself cannot: augmentation stays on in an export; operations are not kept in .h5")
    if make is not sequential:
        request.getfixturevalue("read_here")
    model = make(request.getfixturevalue(version))
    path = tmp_path / f"model.{suffix}"
    model.export(str(path)) if suffix == "saved" else model.save(path)
    found = open_classifier(path, scale)
    assert found.parts.weights.shape[0] == dimension and found.parts.scale == pytest.approx(
        scale or (-1.0, 1.0), abs=1e-6
    )
    low, high = found.parts.scale
    seen = PHOTO / 255 if scale else PHOTO
    scores = found.scores((PHOTO / 255 * (high - low) + low)[0].astype(np.float32))
    expected = np.asarray(model(seen, training=False))[0]
    if found.parts.activation == "softmax":
        scores = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    assert scores[-len(expected) :] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("make", [nested, functional, sequential])
def test_the_flat_twin_for_tfmot_gives_the_same_embeddings(read_here, keras2, tmp_path, make) -> None:
    make(keras2).save(tmp_path / "model.keras")
    found = open_classifier(tmp_path / "model.keras", (0.0, 1.0) if make is sequential else None)
    flat = found.keras()
    kinds = {type(layer).__name__ for layer in flat.layers}
    assert not kinds & {"Sequential", "Functional", "BatchNormalization", "Dropout", "RandomFlip", "Rescaling"}
    batch = np.random.default_rng(1).uniform(*found.parts.scale, (1, *SIZE)).astype(np.float32)
    assert np.asarray(flat(batch)) == pytest.approx(
        np.asarray(found.parts.backbone(tf.load().constant(batch))), abs=1e-4
    )


def test_scaling_by_channel_stays_inside(read_here, keras2, tmp_path) -> None:
    keras2.utils.set_random_seed(1)
    layers = keras2.layers
    norm = layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[2000.0, 3000.0, 4000.0])
    model = keras2.Sequential([layers.Input(SIZE), norm, layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])
    model.save(tmp_path / "m.keras")
    found = open_classifier(tmp_path / "m.keras")
    assert found.parts.scaled_inside and found.parts.scale == (0, 255)
    assert found.scores(PHOTO[0]) == pytest.approx(np.asarray(model(PHOTO))[0], rel=1e-4, abs=1e-5)
    with pytest.raises(InputError, match="scales each channel on its own; TFMOT rejects that"):
        found.keras()


def refused(keras, tmp_path, parts, match, shape=SIZE, scale=(0.0, 255.0)) -> None:
    path = tmp_path / "m.keras"
    keras.Sequential([keras.layers.Input(shape), *parts]).save(path)
    with pytest.raises(InputError, match=match):
        open_classifier(path, scale)


def test_what_is_no_image_classifier_is_refused_with_the_reason(read_here, keras2, tmp_path) -> None:
    layers = keras2.layers
    flat = layers.Flatten()
    refused(keras2, tmp_path, [layers.Dense(3)], r"not an image classifier: it takes \(None, 7\)", (7,))
    refused(
        keras2, tmp_path, [flat, layers.Dense(3)], r"it takes \(None, 32, 32, 4\), expected .* 1 channel", (32, 32, 4)
    )
    refused(keras2, tmp_path, [layers.Conv2D(4, 3)], "it ends in (BiasAdd|Conv2D), expected a last Dense layer")
    refused(keras2, tmp_path, [flat, layers.Dense(3, "relu")], "it ends in Relu, expected a last Dense layer")
    refused(keras2, tmp_path, [flat, layers.Dense(3, "sigmoid")], "several labels at once")
    refused(keras2, tmp_path, [flat, layers.Dense(1, "softmax")], "cannot tell anything apart")
    pooled = layers.GlobalAveragePooling2D()
    refused(keras2, tmp_path, [pooled, layers.Dense(3)], "takes images of any size", (None, None, 3))
    refused(keras2, tmp_path, [flat, layers.Dense(3)], "no scaling of pixels was found .* --scale MIN,MAX", scale=None)
    doubled = [layers.Rescaling(2.0, -1.0), flat, layers.Dense(3)]
    refused(keras2, tmp_path, doubled, "values up to 509, so it was trained on others", scale=None)


def test_several_inputs_are_refused(read_here, keras2, tmp_path) -> None:
    entries = [keras2.Input(SIZE), keras2.Input(SIZE)]
    x = keras2.layers.Flatten()(keras2.layers.Add()(entries))
    keras2.Model(entries, keras2.layers.Dense(2)(x)).save(tmp_path / "m.keras")
    with pytest.raises(InputError, match="several inputs or outputs"):
        open_classifier(tmp_path / "m.keras")


@pytest.mark.parametrize("version", ["keras2", "keras3"])
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_layers_of_your_own_are_named(request, tmp_path, version, suffix) -> None:
    keras = request.getfixturevalue(version)

    class Wavelet(keras.layers.Layer):
        def call(self, x):
            return x * 2

    layers = keras.layers
    path = tmp_path / f"m.{suffix}"
    keras.Sequential([layers.Input(SIZE), Wavelet(), layers.Flatten(), layers.Dense(2)]).save(path)
    with pytest.raises(InputError, match=r"a layer of your own, '(Custom>)?Wavelet'.*model\.export"):
        open_classifier(path, (0.0, 1.0))


@pytest.mark.parametrize("version", ["keras2", "keras3"])
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_code_inside_a_file_is_not_run(request, tmp_path, version, suffix) -> None:
    keras = request.getfixturevalue(version)
    layers = keras.layers
    path = tmp_path / f"m.{suffix}"
    keras.Sequential([layers.Input(SIZE), layers.Lambda(lambda x: x / 255), layers.Flatten(), layers.Dense(2)]).save(
        path
    )
    with pytest.raises(InputError, match="has a Lambda layer, which is Python code"):
        open_classifier(path, (0.0, 1.0))


def test_an_export_that_still_augments_is_refused(read_here, keras3, tmp_path) -> None:
    nested(keras3).export(str(tmp_path / "m"))
    with pytest.raises(InputError, match="draws random numbers at inference"):
        open_classifier(tmp_path / "m")


def test_keras_3_and_saved_models_say_why_tfmot_cannot_take_them(read_here, keras3, tmp_path) -> None:
    sequential(keras3).save(tmp_path / "m.keras")
    with pytest.raises(InputError, match=r"need a Keras 2 model .* was saved by Keras 3"):
        open_classifier(tmp_path / "m.keras", (0.0, 1.0)).keras()


def test_files_that_are_no_models_say_what_is_expected(keras2, tmp_path) -> None:
    (tmp_path / "m.keras").write_text("nothing")
    (tmp_path / "m.tflite").write_bytes(b"\0\0\0\0TFL3")
    (tmp_path / "text.tflite").write_text("nothing")
    (tmp_path / "cut.keras").write_bytes(b"PK\3\4" + bytes(99))
    (tmp_path / "empty").mkdir()
    sequential(keras2).save_weights(tmp_path / "w.h5")
    (tmp_path / "cut.h5").write_bytes((tmp_path / "w.h5").read_bytes()[:-99])
    with zipfile.ZipFile(tmp_path / "z.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.1"}))
    for name, match in [
        ("m.keras", "not a Keras model; expected a RUN"),
        ("m.tflite", "is a .tflite file, converted already: give the Keras model"),
        ("text.tflite", "is called .tflite, but is no such file, or a damaged one: copy it again"),
        ("cut.keras", r"its archive is damaged .*; copy it again"),
        ("cut.h5", r"or a damaged one .*; copy it again"),
        ("empty", r"neither run\.json nor saved_model\.pb"),
        ("w.h5", "holds weights only"),
        ("z.keras", r"lacks config\.json"),
        ("gone", "no such file or folder"),
    ]:
        with pytest.raises(InputError, match=match):
            open_classifier(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat\ndog\n\n", ("cat", "dog")),
        ("0 cat\n1 hot dog\n", ("cat", "hot dog")),
        ("1:dog\n0:cat\n", ("cat", "dog")),
        ("0  cat\n1: dog", ("cat", "dog")),
        ("3 doors\nfence\n", ("3 doors", "fence")),
    ],
)
def test_labels_are_read_one_a_line_or_numbered(tmp_path, text, expected) -> None:
    (tmp_path / "labels.txt").write_text(text)
    assert read_labels(tmp_path / "labels.txt") == expected


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("cat\ncat", "'cat' twice"),
        ("0 cat\n2 dog", "not 0 to 1"),
        ("0 cat\n1 unknown", r"labels\.txt line 2: .* is reserved for things"),
        ("cat\n\n" + "x" * 65, r"labels\.txt line 3: a label must have at most 64 characters"),
        (b"\xff\xfe\xff", "cannot read"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused(tmp_path, text, match) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(text) if isinstance(text, bytes) else path.write_text(text)
    with pytest.raises(InputError, match=match):
        read_labels(path)


def test_lines_that_no_photo_uses_need_not_be_labels(tmp_path) -> None:
    path = tmp_path / "imagenet.txt"
    long = f"great white shark, {'w' * 60}"
    lines = ["crane", long, "crane", "dog", *(f"breed {letter}" for letter in "abcdefghijklmnopq")]
    for text in ("\n".join(lines), "\n".join(f"{number}  {line}" for number, line in enumerate(lines))):
        path.write_text(text)
        assert read_labels(path, ("dog",)) == tuple(lines)
    with pytest.raises(InputError, match="'crane' twice"):
        read_labels(path, ("crane", "dog"))


def test_labels_that_are_not_those_of_the_photos_are_refused_before_the_model_is_loaded(tmp_path) -> None:
    (tmp_path / "m.keras").write_text("never looked at")
    photos = write_photos(tmp_path / "photos", ("ball", "box", "kite"), 2)
    for text, match in [
        ("ball\n", r"names\.txt holds 1 label, the photos have 3 folders"),
        ("ball\nbox\nplane\n", "a class 'kite' that the model does not know"),
        ("ball\nbox\nkite\nplane\nplane\n", "'plane' twice"),
    ]:
        (tmp_path / "names.txt").write_text(text)
        with pytest.raises(InputError, match=match):
            keras_source(Given(tmp_path / "m.keras", (photos,), tmp_path / "names.txt"))


def test_outputs_get_their_labels_or_a_reason(tmp_path) -> None:
    assert name_outputs(2, None, ("a", "b"), tmp_path) == ("a", "b")
    assert name_outputs(3, ("c", "b", "a"), ("a", "b"), tmp_path) == ("c", "b", "a")
    for labels, folders, match in [
        (None, ("a", "b", "c"), "tells 2 classes apart, the photos have 3 folders: .* --labels"),
        (("a", "b", "c"), ("a", "b"), "the labels file has 3"),
        (("a", "b"), ("a", "x"), "a class 'x' that the model does not know"),
    ]:
        with pytest.raises(InputError, match=match):
            name_outputs(2, labels, folders, tmp_path)


def test_without_labels_outputs_are_numbered_as_keras_sorts_the_names_of_folders(tmp_path) -> None:
    for form in ("NFC", "NFD"):
        root = tmp_path / form
        names = [unicodedata.normalize(form, name) for name in ("épine", "rose", "zinnia", "Ähre")]
        for number, name in enumerate(names):
            (root / name).mkdir(parents=True)
            cv2.imwrite(str(root / name / "1.png"), np.full((8, 8, 3), 60 * number, np.uint8))
        expected = tuple(unicodedata.normalize("NFC", name) for name in sorted(names))
        assert as_keras_numbers(find_photos(root)) == expected
    (tmp_path / "list.csv").write_text("path,label\nNFC/rose/1.png,b\nNFC/zinnia/1.png,a\n")
    assert as_keras_numbers(find_photos(tmp_path / "list.csv")) == ("a", "b")


@pytest.mark.parametrize("text", ["1", "a,b", "1,0", "0,nan", "0,1,2"])
def test_a_scale_that_is_none_is_refused(text) -> None:
    assert parse_scale("-1,1") == (-1, 1)
    with pytest.raises(InputError, match="--scale is what pixels 0 and 255 became"):
        parse_scale(text)


@pytest.fixture(scope="module")
def trained(keras3, tmp_path_factory):
    """A user's own Keras 3 file, trained on drawn photos, with outputs in an order of its own."""
    folder = tmp_path_factory.mktemp("own")
    photos = write_photos(folder / "photos", ("ball", "box", "kite"), 20, size=32)
    import cv2

    order = ("kite", "ball", "box")
    pictures = [
        (cv2.imread(str(p))[:, :, ::-1], n) for n, kind in enumerate(order) for p in sorted((photos / kind).iterdir())
    ]
    model = nested(keras3)
    model.compile(keras3.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    x, y = np.stack([picture for picture, _ in pictures]).astype(np.float32), np.array([n for _, n in pictures])
    model.fit(x, y, epochs=15, verbose=0)
    model.save(folder / "own.keras")
    (folder / "labels.txt").write_text("".join(f"{n} {kind}\n" for n, kind in enumerate(order)))
    return SimpleNamespace(folder=folder, photos=photos, model=folder / "own.keras", labels=folder / "labels.txt")


def run(capsys, *arguments: object, program=program, code: int = 0) -> str:
    told = console.run(program, "edgetl", [str(argument) for argument in arguments])
    out = capsys.readouterr()
    assert told == code, out.err
    return out.out if code == 0 else out.err


def assert_says_what_keras_says(file: bytes, trained, least: float) -> None:
    """The fused file with the user's own Dense layer, run by the TFLite runtime alone, against Keras itself."""
    keras = tf.keras3()
    model = keras.saving.load_model(trained.model)
    photos = [read_photo(path) for path in sorted(trained.photos.glob("*/*.png"))]
    expected = np.asarray(model(np.stack(photos).astype(np.float32), training=False)).argmax(axis=1)
    assert (predict(file, photos).argmax(axis=1) == expected).mean() >= least
    graph = read_model(file).subgraphs[0]
    names = {tensor.name: tensor for tensor in graph.tensors}
    kernel, bias = model.layers[-1].get_weights()
    for name, values in ((b"head/kept", kernel.T), (b"head/kept/bias", bias)):
        data = read_model(file).buffers[names[name].buffer].data
        assert np.asarray(data, np.uint8).tobytes() == np.ascontiguousarray(values).tobytes()
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        assert archive.read("labels.txt").decode().split() == ["kite", "ball", "box"]


@pytest.mark.parametrize("mode", ["int8", "int16x8", "float16", "dynamic", "none"])
def test_a_users_own_file_becomes_a_bundle_that_the_device_runs(request, trained, tmp_path, capsys, mode) -> None:
    if mode != "int8":
        request.getfixturevalue("read_here")
    bundle = tmp_path / "own.edgetl"
    told = run(
        capsys, "convert", trained.model, "--photos", trained.photos, "--labels", trained.labels,
        "-o", bundle, "--quantize", mode, "--max-drop", 0.2, "--keep-head", "--json",
    )  # fmt: skip
    result = json.loads(told)
    rounded = mode in ("int8", "dynamic")  # 60 photos; the network is so small that eight bits turn some ties
    assert_says_what_keras_says(open_bundle(bundle).members["model.tflite"], trained, 0.95 if rounded else 0.995)
    assert result["fused"]["own_head"]["agreement"] == result["fused"]["agreement"] >= 0.9
    assert result["quantization"] == mode and result["parity"]["float_accuracy"] > 0.9
    manifest = open_bundle(bundle).manifest
    assert manifest["labels"] == ["ball", "box", "kite"] and ("embedding_scale" in manifest) == (mode != "int8")
    home = ("--home", tmp_path / "home")
    run(capsys, *home, "install", bundle, program=device_program)
    found = run(capsys, *home, "classify", trained.photos / "ball" / "0001.png", "--json", program=device_program)
    assert json.loads(found)["predictions"][0]["label"] == "ball"
    photo = trained.photos / "kite" / "0003.png"
    assert "stored 1 sample" in run(capsys, *home, "learn", "kite", photo, program=device_program)


def test_bad_requests_are_one_line_and_leave_the_good_bundle(read_here, trained, tmp_path, capsys) -> None:
    bundle = tmp_path / "own.edgetl"
    bundle.write_bytes(b"good")
    common = ("convert", trained.model, "-o", bundle, "--force")
    for extra, match in [
        ((), "a model without photos"),
        (("--photos", tmp_path / "none"), "no such folder"),
        (("--photos", trained.photos, "--scale", "1"), "--scale is what pixels"),
        (("--photos", trained.photos, "--qat"), "need a Keras 2 model"),
        (("--photos", trained.photos, "--qat", "--quantize", "float16"), "--qat trains for integer arithmetic"),
        (("--photos", trained.photos, "--prune", "1"), "--prune is the share of weights to remove"),
        (("--photos", trained.photos, "--cluster", "1"), "--cluster is the number of values"),
        (("--photos", trained.photos, "--qat", "--cluster", "8"), "--qat and --cluster do not go together"),
        (("--photos", trained.photos, "--epochs", "3"), "--epochs is of fine-tuning"),
    ]:
        told = run(capsys, *common, *extra, code=2)
        assert match in told and "Traceback" not in told
    told = run(capsys, *common, "--photos", trained.photos, "--labels", trained.labels, "--max-drop", -1, code=1)
    assert (
        "more than --max-drop" in told
        and f"never seen into {trained.photos}/val" in told
        and bundle.read_bytes() == b"good"
    )


def test_a_damaged_photo_is_skipped_and_named(read_here, trained, tmp_path, capsys) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(trained.photos, photos)
    (photos / "ball" / "torn.png").write_bytes((photos / "ball" / "0001.png").read_bytes()[:99])
    arguments = ("convert", trained.model, "--photos", photos, "--labels", trained.labels, "-o", tmp_path / "b.edgetl")
    assert console.run(program, "edgetl", [str(a) for a in (*arguments, "--quantize", "none", "--max-drop", 0.2)]) == 0
    assert "skipped:" in (told := capsys.readouterr().err) and "torn.png" in told


def test_a_keras_2_file_is_compressed_and_its_layers_compared(keras2, trained, tmp_path, capsys) -> None:
    nested(keras2).save(tmp_path / "mine.h5")
    arguments = (
        "convert",
        tmp_path / "mine.h5",
        "--photos",
        trained.photos,
        "-o",
        tmp_path / "m.edgetl",
        "-v",
        "--json",
    )
    options = ("--prune", 0.5, "--cluster", 8, "--epochs", 7, "--max-drop", 1)
    assert console.run(program, "edgetl", [str(argument) for argument in (*arguments, *options)]) == 0
    out, err = capsys.readouterr()
    bought = json.loads(out)["compression"]
    assert (
        bought["sparsity"] > 0.45 and bought["distinct"] <= 8 and bought["zipped_bytes"] < bought["plain_zipped_bytes"]
    )
    assert open_bundle(tmp_path / "m.edgetl").manifest["compression"]["prune"] == 0.5
    assert "about" in err and "DEPTHWISE_CONV_2D" in err and "no layer falls below" in err


def test_labels_in_a_pipe_or_a_sparse_giant_are_refused_unread(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with (tmp_path / "giant.txt").open("wb") as stream:
        stream.truncate(40 << 30)
    for name, reason in (("pipe.txt", "is not a regular file"), ("giant.txt", "the limit is")):
        with pytest.raises(InputError, match=reason):
            read_labels(tmp_path / name)
