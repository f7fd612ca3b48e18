import numpy as np
import pytest

from edgetl import tf
from edgetl.backbones.backbone import BUILTIN, build
from edgetl.conversion.converter import representative_photos, to_int8
from edgetl.training.embeddings import to_float
from edgetl.training.train import fit_float_head, float_codes
from edgetl_device.codes import CodeTransform
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.preprocess import Preprocessing


@pytest.fixture(scope="module")
def small():
    """A Keras backbone of ours and photos for it."""
    keras = tf.keras()
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((32, 32, 3)),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu6"),
            keras.layers.Conv2D(24, 3, strides=2, activation="relu6"),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    photos = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    return model, photos


@pytest.mark.slow
def test_int8_embeddings_follow_the_float_ones(small) -> None:
    model, photos = small
    data = to_int8(model, representative_photos(photos, Preprocessing(32, 32)), (-1.0, 1.0))
    interpreter = TFLiteInterpreter(data)
    raw = np.stack([interpreter(photo) for photo in photos]).astype(np.float32)
    values = (raw - interpreter.output.zero_point) * interpreter.output.scale
    exact = model.predict(to_float(photos, (-1.0, 1.0)), verbose=0)
    assert np.abs(values - exact).max() < 0.05 * exact.max()


@pytest.mark.slow
def test_the_input_tensor_itself_scales_pixels_to_the_backbones_range(small) -> None:
    model, photos = small
    interpreter = TFLiteInterpreter(to_int8(model, representative_photos(photos, Preprocessing(32, 32)), (-1.0, 1.0)))
    low, high = ((value - interpreter.input.zero_point) * interpreter.input.scale for value in (0, 255))
    assert low == pytest.approx(-1, abs=0.01) and high == pytest.approx(1, abs=0.01)


def test_float_codes_are_the_device_codes_without_rounding() -> None:
    raw = np.random.default_rng(0).integers(-128, 128, (20, 300)).astype(np.int8)
    codes = CodeTransform(-128, 300)(raw).astype(np.float32)
    exact = float_codes(raw.astype(np.float32) + 128)
    assert np.abs(codes - np.clip(exact, 0, 255)).max() < 0.75


def test_the_float_head_agrees_with_scikit_learn_on_separated_classes() -> None:
    discriminant = pytest.importorskip("sklearn.discriminant_analysis")
    generator = np.random.default_rng(0)
    rows = generator.integers(0, 4, 400)
    values = generator.gamma(2.0, 1.0, (4, 50))[rows] + generator.gamma(2.0, 0.5, (400, 50))
    ours = fit_float_head(values[:300].astype(np.float32), tuple(f"c{r}" for r in rows[:300]))
    features = float_codes(values.astype(np.float32))
    oracle = discriminant.LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(features[:300], rows[:300])
    found = ours.scores(features[300:]).argmax(1)
    assert (found == oracle.predict(features[300:])).mean() > 0.95


@pytest.mark.slow
def test_every_backbone_has_the_size_its_specification_says() -> None:
    model = build(BUILTIN)
    assert model.input_shape == (None, 96, 96, 3) and model.output_shape == (None, 1280)
