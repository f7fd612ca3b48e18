"""Classifiers as people make them: scaled behind other layers, in grey, of mixed precision, with heads of other kinds."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import write_photos

from edgetl import tf
from edgetl.cli import program
from edgetl.models.keras_files import open_classifier, read_labels
from edgetl.models.sources import open_source
from edgetl.training.embeddings import to_float
from edgetl_device import console
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.errors import InputError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning:keras.*", "ignore::UserWarning:tf_keras.*"),
]
SIZE = (32, 32, 3)
PIXELS = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)


@pytest.fixture(scope="module", params=["keras2", "keras3"])
def keras(request):
    tf.keras()
    module = tf.keras() if request.param == "keras2" else tf.keras3()
    module.utils.set_random_seed(1)
    return module


@pytest.fixture(scope="module")
def keras3():
    tf.keras()
    return tf.keras3()


def classifier(keras, prepare, size=SIZE, head=None):
    layers = keras.layers
    entry = keras.Input(size)
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(prepare(entry))
    head = head or (lambda x: layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    return keras.Model(entry, head(x))


def saved(model, folder: Path, name: str = "m.keras") -> Path:
    model.save(folder / name)
    return folder / name


def assert_same(model, path: Path, photo=PIXELS, scale=None, grey=None, tolerance=1e-5) -> None:
    """The parts give what Keras gives for the same pixels."""
    parts = open_classifier(path, scale)
    scores = parts.scores(to_float(photo[None], parts.parts.scale)[0])
    fed = photo if grey is None else grey
    low, high = scale or (0.0, 255.0)
    expected = np.asarray(model((fed / 255 * (high - low) + low)[None].astype(np.float32), training=False)).reshape(-1)
    powers = np.exp(scores - scores.max())
    assert powers / powers.sum() == pytest.approx(expected, abs=tolerance)


def reversed_channels(x):
    return x[..., ::-1]


PREPARATIONS = {
    "like ResNet50": lambda keras: keras.applications.resnet50.preprocess_input,
    "like DenseNet": lambda keras: keras.applications.densenet.preprocess_input,
    "BGR": lambda keras: lambda x: reversed_channels(x) / 127.5 - 1,
    "behind Resizing": lambda keras: lambda x: keras.layers.Rescaling(1 / 127.5, -1)(keras.layers.Resizing(24, 24)(x)),
    "behind CenterCrop": lambda keras: lambda x: keras.layers.Rescaling(1 / 255)(keras.layers.CenterCrop(24, 24)(x)),
    "behind ZeroPadding2D": lambda keras: lambda x: keras.layers.Rescaling(1 / 255)(keras.layers.ZeroPadding2D(2)(x)),
    "before ZeroPadding2D": lambda keras: lambda x: keras.layers.ZeroPadding2D(2)(keras.layers.Rescaling(1 / 255)(x)),
    "in two steps": lambda keras: lambda x: keras.layers.Rescaling(2.0, -1)(keras.layers.Rescaling(1 / 255)(x)),
}


@pytest.mark.parametrize("name", PREPARATIONS)
def test_scaling_is_found_behind_what_only_moves_pixels(keras, tmp_path, name) -> None:
    if keras is tf.keras() and name == "behind CenterCrop":
        pytest.skip("Keras 2 writes CenterCrop as control flow, which is not followed: --scale is asked for")
    model = classifier(keras, PREPARATIONS[name](keras))
    legacy = keras is tf.keras() and name in ("like ResNet50", "BGR")  # Keras 2 writes "..." into .h5 only
    path = saved(model, tmp_path, "m.h5" if legacy else "m.keras")
    assert_same(model, path)
    low, high = open_classifier(path).parts.scale
    assert (low, high) in ((0, 255), (0, 1), (-1, 1)) or (low, high) == pytest.approx((-1, 1)) or high == 1


def adapted(keras, divisor: float):
    layer = keras.layers.Normalization()
    photos = np.random.default_rng(1).normal(110, 50, (40, *SIZE)).clip(0, 255) / divisor
    layer.adapt(photos.astype(np.float32))
    return layer


def test_an_adapted_normalization_is_understood_as_a_whole(keras, tmp_path) -> None:
    model = classifier(keras, adapted(keras, 1.0))
    path = saved(model, tmp_path)
    assert_same(model, path)
    assert open_classifier(path).parts.scaled_inside


def test_a_normalization_adapted_to_scaled_photos_is_not_fed_with_pixels(keras, tmp_path) -> None:
    model = classifier(keras, adapted(keras, 255.0))
    path = saved(model, tmp_path)
    with pytest.raises(InputError, match=r"values up to \d{3,4}, so it was trained on others.*--scale"):
        open_classifier(path)
    assert_same(model, path, scale=(0.0, 1.0))


def test_batch_normalization_of_pixels_says_what_pixels_were(keras, tmp_path) -> None:
    layer = keras.layers.BatchNormalization()
    model = classifier(keras, layer)
    ones = np.ones(3, np.float32)
    layer.set_weights([ones, 0 * ones, 110 * ones, 2500 * ones])
    assert_same(model, saved(model, tmp_path))
    layer.set_weights([ones, 0 * ones, 0.4 * ones, 0.04 * ones])
    with pytest.raises(InputError, match=r"values up to 12\d\d"):
        open_classifier(saved(model, tmp_path))


def test_what_is_no_scaling_is_asked_for_with_the_right_examples(keras, tmp_path) -> None:
    path = saved(classifier(keras, keras.layers.Resizing(24, 24)), tmp_path)
    with pytest.raises(InputError, match=r"no scaling of pixels was found .* 0,255 for pixels as they are"):
        open_classifier(path)


@pytest.mark.parametrize("whole", [True, False])
def test_mixed_precision_is_loaded_in_float32(keras, tmp_path, whole) -> None:
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        kind = None if whole else "float32"
        layers = keras.layers
        model = classifier(
            keras, layers.Rescaling(1 / 127.5, -1),
            head=lambda x: layers.Dense(3, activation="softmax", dtype=kind)(layers.GlobalAveragePooling2D()(x)),
        )  # fmt: skip
    finally:
        keras.mixed_precision.set_global_policy("float32")
    path = saved(model, tmp_path)
    assert_same(model, path, tolerance=2e-3)
    assert open_classifier(path).parts.scale == pytest.approx((-1, 1))


def test_an_export_in_16_bits_says_what_to_convert_instead(keras3, tmp_path) -> None:
    keras3.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = classifier(keras3, keras3.layers.Rescaling(1 / 255))
    finally:
        keras3.mixed_precision.set_global_policy("float32")
    model.export(str(tmp_path / "m"))
    with pytest.raises(InputError, match=r"16-bit floats.*convert the \.keras file"):
        open_classifier(tmp_path / "m")


def fully_convolutional(keras):
    """As SqueezeNet ends: a convolution gives each place a score a class, and the mean of those is the answer."""
    layers = keras.layers

    def head(x):
        return layers.Softmax()(layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1)(x)))

    return head


def like_mobilenet_v1(keras):
    layers = keras.layers

    def head(x):
        x = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
        return layers.Softmax()(layers.Reshape((3,))(layers.Conv2D(3, 1)(x)))

    return head


@pytest.mark.parametrize("head", [fully_convolutional, like_mobilenet_v1])
def test_a_head_that_is_a_convolution_is_split_too(keras, tmp_path, head) -> None:
    model = classifier(keras, keras.layers.Rescaling(1 / 255), head=head(keras))
    path = saved(model, tmp_path)
    assert_same(model, path)
    assert open_classifier(path).parts.weights.shape == (8, 3)


def test_maps_of_classes_and_rectified_scores_are_refused_by_name(keras, tmp_path) -> None:
    layers = keras.layers

    def rectified(x):
        return layers.Softmax()(layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, activation="relu")(x)))

    for head, match in [
        (lambda x: layers.Conv2D(3, 1)(x), "classes for each of 225 places"),
        (rectified, "it ends in Relu, expected a last Dense layer"),
    ]:
        path = saved(classifier(keras, layers.Rescaling(1 / 255), head=head), tmp_path)
        with pytest.raises(InputError, match=match):
            open_classifier(path)


def test_a_recurrent_layer_is_refused_in_one_line(keras, tmp_path) -> None:
    layers = keras.layers

    def by_rows(x):
        return layers.Dense(3, activation="softmax")(layers.LSTM(4)(layers.Reshape((15, 120))(x)))

    path = saved(classifier(keras, layers.Rescaling(1 / 255), head=by_rows), tmp_path)
    with pytest.raises(InputError, match="it has a recurrent layer"):
        open_classifier(path)


def test_a_head_too_wide_is_refused_at_once_with_the_way_out(keras, tmp_path) -> None:
    layers = keras.layers

    def flattened(x):
        return layers.Dense(3, activation="softmax")(layers.Flatten()(layers.Conv2D(64, 1)(x)))

    path = saved(classifier(keras, layers.Rescaling(1 / 255), head=flattened), tmp_path)
    with pytest.raises(
        InputError, match=r"14,400 features, because it flattens a map of 15x15.*GlobalAveragePooling2D"
    ):
        open_classifier(path)


@pytest.mark.parametrize("scaling", ["inside", "outside"])
def test_a_grey_classifier_gets_photos_in_grey(keras, tmp_path, scaling) -> None:
    prepare = keras.layers.Rescaling(1 / 255) if scaling == "inside" else (lambda x: x)
    model = classifier(keras, prepare, (32, 32, 1))
    path = saved(model, tmp_path)
    grey = cv2.cvtColor(PIXELS, cv2.COLOR_RGB2GRAY)[:, :, None]  # rounded to whole levels, ours is not
    assert_same(model, path, scale=None if scaling == "inside" else (0.0, 1.0), grey=grey, tolerance=2e-3)


def run(capsys, *arguments: object, code: int = 0) -> str:
    assert console.run(program, "edgetl", [str(argument) for argument in arguments]) == code
    out = capsys.readouterr()
    return out.out + out.err


def test_a_grey_classifier_that_is_not_square_becomes_a_bundle(keras3, tmp_path, capsys) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box", "kite"), 12, size=48)
    keras3.utils.set_random_seed(0)
    model = classifier(keras3, keras3.layers.Rescaling(1 / 255), (24, 40, 1))
    path = saved(model, tmp_path)
    arguments = ("convert", path, "--photos", photos, "-o", tmp_path / "m.edgetl", "--max-drop", 1, "--resize", "crop")
    told = run(capsys, *arguments, "--keep-head")
    assert "model.tflite, with the model's own head, says the same" in told and "with that head the model is" in told
    assert max(len(line) for line in told.splitlines() if str(tmp_path) not in line) <= 80
    manifest = open_bundle(tmp_path / "m.edgetl").manifest
    assert manifest["preprocessing"]["height"] == 24 and manifest["preprocessing"]["width"] == 40


def sided(folder: Path, seed: int) -> Path:
    """Wide photos whose thing is at the left or the right edge, where a centre crop does not see it."""
    generator = np.random.default_rng(seed)
    for kind, colour in (("blue", (230, 40, 40)), ("green", (40, 230, 40)), ("red", (40, 40, 230))):
        (folder / kind).mkdir(parents=True)
        for number in range(20):
            photo = generator.normal(120, 5, (60, 180, 3)).clip(0, 255).astype(np.uint8)
            left = int(generator.choice([0, 130]))
            photo[5:55, left : left + 50] = colour
            cv2.imwrite(str(folder / kind / f"{number}.png"), photo)
    return folder


@pytest.fixture(scope="module")
def stretched(keras3, tmp_path_factory):
    """A classifier trained as Keras resizes by itself, and such photos."""
    folder = tmp_path_factory.mktemp("stretched")
    photos = sided(folder / "photos", 0)
    keras3.utils.set_random_seed(0)
    model = classifier(keras3, keras3.layers.Rescaling(1 / 255))
    files = sorted(photos.glob("*/*.png"))
    x = np.stack([cv2.resize(cv2.imread(str(file))[:, :, ::-1], SIZE[:2]) for file in files]).astype(np.float32)
    y = np.array([("blue", "green", "red").index(file.parent.name) for file in files])
    model.compile(keras3.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert model.fit(x, y, epochs=30, verbose=0).history["accuracy"][-1] > 0.9
    return saved(model, folder), photos


def test_how_photos_were_resized_is_found_by_the_labels_they_get(stretched) -> None:
    path, photos = stretched
    assert open_source(path, (photos,)).preprocessing.resize == "stretch"
    assert open_source(path, (photos,), resize="crop").preprocessing.resize == "crop"
    assert open_source(path, (photos,), resize="letterbox").preprocessing.resize == "letterbox"


def test_the_bundle_resizes_as_the_training_did(stretched, tmp_path, capsys) -> None:
    path, photos = stretched
    out = run(capsys, "convert", path, "--photos", photos, "-o", tmp_path / "m.edgetl", "--max-drop", 0.1, "--json")
    assert "photos are stretched, not cropped: that way the model gets" in out
    assert '"float_accuracy": 1.0' in out or '"float_accuracy": 0.9' in out
    assert open_bundle(tmp_path / "m.edgetl").manifest["preprocessing"]["resize"] == "stretch"
    out = run(capsys, "evaluate", tmp_path / "m.edgetl", sided(tmp_path / "new", 5), "--json")
    assert '"accuracy": 1.0' in out or '"accuracy": 0.9' in out


def test_photos_of_the_models_own_shape_are_not_asked_about(stretched, tmp_path, capsys) -> None:
    path, _ = stretched
    photos = write_photos(tmp_path / "square", ("ball", "box", "kite"), 6, size=48)
    (tmp_path / "labels.txt").write_text("ball\nbox\nkite\n")
    assert open_source(path, (photos,), tmp_path / "labels.txt").preprocessing.resize == "crop"
    assert "not cropped" not in capsys.readouterr().err


def test_a_way_to_resize_that_is_none_is_refused(stretched) -> None:
    path, photos = stretched
    with pytest.raises(InputError, match="--resize must be one of crop, stretch, letterbox"):
        open_source(path, (photos,), resize="squeeze")


def test_models_prepared_by_tfmot_say_which_to_convert(tmp_path) -> None:
    keras = tf.keras()
    import tensorflow_model_optimization as tfmot

    layers = keras.layers
    model = keras.Sequential(
        [layers.Input(SIZE), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    )
    quantized = tfmot.quantization.keras.quantize_model(model)
    quantized.save(tmp_path / "q.h5")
    with pytest.raises(InputError, match=r"'Quantize\w+' of TFMOT.*convert the float model .*--qat"):
        open_classifier(tmp_path / "q.h5", (0.0, 1.0))
    quantized.export(str(tmp_path / "q"))
    with pytest.raises(InputError, match=r"holds its quantizers: convert the float model .*--qat"):
        open_classifier(tmp_path / "q", (0.0, 1.0))
    pruned = tfmot.sparsity.keras.prune_low_magnitude(model)
    pruned.save(tmp_path / "p.h5")
    with pytest.raises(InputError, match=r"PruneLowMagnitude.*strip_pruning"):
        open_classifier(tmp_path / "p.h5", (0.0, 1.0))


def test_what_was_trained_by_whom_is_all_that_a_file_may_differ_in(keras3, tmp_path) -> None:
    """The clean copy that Keras is given holds the same weights, and no optimizer."""
    model = classifier(keras3, keras3.layers.Rescaling(1 / 255))
    model.compile("adam", "mse")
    path = saved(model, tmp_path)
    with zipfile.ZipFile(path) as archive:
        assert b"Adam" in archive.read("config.json")
    assert_same(model, path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 euro\n2 euro\n", ("1 euro", "2 euro")),
        ("10 cent\n20 cent\n50 cent\n", ("10 cent", "20 cent", "50 cent")),
        ("0 degrees\n1 degrees\n", ("0 degrees", "1 degrees")),
        ("0 cars\n1 truck\n", ("cars", "truck")),
        ("0: 1 person\n1: 2 people\n", ("1 person", "2 people")),
    ],
)
def test_numbers_that_belong_to_labels_stay(tmp_path, text, expected) -> None:
    (tmp_path / "labels.txt").write_text(text)
    assert read_labels(tmp_path / "labels.txt") == expected
