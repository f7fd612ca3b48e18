"""Kernels with one scale for all channels: the network computes the same, and rounding costs less."""

import numpy as np
import pytest

from edgetl import tf
from edgetl.conversion.bias_correction import corrected
from edgetl.conversion.compression import Compression, compress
from edgetl.conversion.converter import export, representative_photos
from edgetl.conversion.equalization import MOST, equalized
from edgetl.training.embeddings import to_float
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.preprocess import Preprocessing

pytestmark = pytest.mark.slow

SCALE = (-1.0, 1.0)


@pytest.fixture(scope="module")
def photos():
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (48, 8, 8, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)


def network(cap=6.0, spread=60.0, residual=True, size=1.0):
    """Two inverted residuals; channels between their last two layers differ ``spread`` fold, and what is made of them not."""
    keras = tf.keras()
    keras.utils.set_random_seed(3)
    layers = keras.layers
    entry = layers.Input((32, 32, 3))
    x = layers.ReLU(cap)(layers.Conv2D(16, 3, strides=2, padding="same", name="stem")(entry))
    for block in range(2):
        y = layers.ReLU(cap)(layers.Conv2D(32, 1, name=f"expand{block}")(x))
        y = layers.ReLU(cap)(layers.DepthwiseConv2D(3, padding="same", name=f"depthwise{block}")(y))
        y = layers.Conv2D(16, 1, name=f"project{block}")(y)
        x = layers.Add()([x, y]) if residual else y
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.Conv2D(40, 1, name="last")(x)))
    model = keras.Model(entry, x)
    generator = np.random.default_rng(1)
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([size * kernel, 0.1 * size * generator.normal(size=bias.shape)])
    for block in range(2):
        shares = generator.permutation(np.geomspace(1 / spread, 1, 32)).astype(np.float32)
        for name, factor in ((f"depthwise{block}", shares), (f"project{block}", 1 / shares)):
            kernel, bias = model.get_layer(name).get_weights()
            bias = bias * factor if "depthwise" in name else bias
            model.get_layer(name).set_weights([kernel * factor[:, None], bias])
    return model


def outputs(model, photos):
    return np.asarray(model(to_float(photos, SCALE), training=False))


def difference(exact, found):
    return float(np.square(found - exact).mean() / np.square(exact).mean())


def spreads(model):
    """Largest over smallest range of the channels that each depthwise kernel has."""
    kernels = [layer.get_weights()[0] for layer in model.layers if type(layer).__name__ == "DepthwiseConv2D"]
    ranges = [np.abs(kernel).max(axis=(0, 1, 3)) for kernel in kernels]
    return [float(each.max() / each.min()) for each in ranges]


def one_scale(model, photos):
    """What the int8 file with one scale a kernel computes."""
    made = export(model, representative_photos(photos, Preprocessing(32, 32)), SCALE, "int8-float-io", per_tensor=True)
    interpreter = TFLiteInterpreter(made.data)
    return np.stack([interpreter(photo) for photo in photos])


@pytest.mark.parametrize("residual", [True, False])
def test_equalized_it_computes_the_same_with_even_ranges(photos, residual) -> None:
    model = network(cap=None, residual=residual)
    found = equalized(model, to_float(photos, SCALE))
    exact = outputs(model, photos)
    assert np.abs(outputs(found.model, photos) - exact).max() < 1e-5 * np.abs(exact).max()
    assert found.kernels == 8
    assert all(after < 0.2 * before for before, after in zip(spreads(model), spreads(found.model), strict=True))


def test_a_channel_that_reaches_the_cap_is_clipped_where_it_was(photos) -> None:
    model = network(size=4.0)
    batch = to_float(photos, SCALE)
    inside = tf.keras().Model(model.input, [layer.output for layer in model.layers if type(layer).__name__ == "ReLU"])
    shares = [float((np.asarray(value) == 6).mean()) for value in inside(batch)[:5]]
    assert max(shares) > 0.1, "the cap has a part in this"
    found = equalized(model, batch)
    assert difference(outputs(model, photos), outputs(found.model, photos)) < 1e-5
    assert max(spreads(found.model)) < max(spreads(model))
    assert [layer.max_value for layer in found.model.layers if type(layer).__name__ == "ReLU"][:5] == [6.0] * 5


def test_no_scale_takes_a_bias_or_an_activation_beyond_the_range_of_its_tensor(photos) -> None:
    """A channel that is dead but for its bias would be scaled without end."""
    model = network(cap=None)
    layer = model.get_layer("expand0")
    kernel, bias = layer.get_weights()
    kernel[..., :4] *= 1e-9
    bias[:4] = (-0.5, -0.5, 0.0, 0.02)
    layer.set_weights([kernel, bias])
    found = equalized(model, to_float(photos, SCALE)).model
    for name in ("stem", "expand0", "depthwise0", "expand1"):
        before, after = (
            outputs(tf.keras().Model(each.input, each.get_layer(name).output), photos) for each in (model, found)
        )
        limit = max(before.max(), np.abs(model.get_layer(name).get_weights()[1]).max())
        assert max(after.max(), np.abs(found.get_layer(name).get_weights()[1]).max()) < 1.001 * limit
    assert np.abs(found.get_layer("expand0").get_weights()[0]).max() < MOST * np.abs(kernel).max()
    assert difference(outputs(model, photos), outputs(found, photos)) < 1e-9


def test_what_is_not_homogeneous_keeps_its_scale(photos) -> None:
    """Swish between two layers; and the embedding, whatever is scaled before it."""
    keras = tf.keras()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    entry = layers.Input((32, 32, 3))
    x = layers.Activation("swish")(layers.Conv2D(8, 3, name="first")(entry))
    x = layers.ReLU()(layers.Conv2D(8, 3, name="second")(x))
    x = layers.Dense(4, name="third")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(entry, x)
    kernel, bias = model.get_layer("second").get_weights()
    model.get_layer("second").set_weights([kernel * np.geomspace(0.01, 1, 8), bias])
    found = equalized(model, to_float(photos, SCALE))
    assert found.kernels == 2
    assert np.array_equal(found.model.get_layer("first").get_weights()[0], model.get_layer("first").get_weights()[0])
    assert not np.allclose(found.model.get_layer("second").get_weights()[0], model.get_layer("second").get_weights()[0])
    assert difference(outputs(model, photos), outputs(found.model, photos)) < 1e-9


def test_one_scale_a_kernel_costs_less_after_each_of_the_two(photos) -> None:
    model, batch = network(), to_float(photos, SCALE)
    even = equalized(model, batch).model
    best = corrected(even, batch, per_tensor=True)
    exact = outputs(model, photos)
    plain, equal, both = (difference(exact, one_scale(each, photos)) for each in (model, even, best.model))
    assert equal < 0.5 * plain and both < 0.9 * equal and best.biases == 8


def test_corrected_biases_take_off_what_rounding_adds_to_the_mean(photos) -> None:
    model, batch = network(), to_float(photos, SCALE)
    found = corrected(model, batch, per_tensor=True).model

    def mean(each):
        return outputs(each, photos).mean(axis=0)

    def rounded(each):
        twin = tf.keras().models.clone_model(each)
        twin.set_weights(each.get_weights())
        for layer in twin.layers:
            if layer.weights:
                kernel, bias = layer.get_weights()
                step = np.abs(kernel).max() / 127
                layer.set_weights([np.round(kernel / step) * step, bias])
        return twin

    exact = mean(model)
    before, after = (np.abs(mean(rounded(each)) - exact).max() for each in (model, found))
    assert after < 0.2 * before
    kernels = [[layer.get_weights()[0] for layer in each.layers if layer.weights] for each in (model, found)]
    assert all(np.array_equal(one, other) for one, other in zip(*kernels, strict=True))


def test_pruned_for_one_scale_keeps_its_zeros_and_corrects_its_biases(photos) -> None:
    model = network()
    one, other = (
        compress(model, photos, SCALE, Compression(prune=0.5, epochs=7, per_tensor=asked)) for asked in (True, False)
    )
    weights = [[layer.get_weights() for layer in each.layers if layer.weights] for each in (one, other)]
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(*weights, strict=True))
    assert not any(np.array_equal(a[1], b[1]) for a, b in zip(*weights, strict=True))


def test_biases_are_corrected_for_a_scale_for_each_channel_too(photos) -> None:
    """Which a head that is kept needs: of a network with weights of many sizes in each channel."""
    model = network()
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            generator = np.random.default_rng(2)
            layer.set_weights([kernel * generator.lognormal(sigma=1.5, size=kernel.shape), bias])
    exact = outputs(model, photos)
    representative = representative_photos(photos, Preprocessing(32, 32))

    def error(each):
        interpreter = TFLiteInterpreter(export(each, representative, SCALE, "int8-float-io").data)
        return difference(exact, np.stack([interpreter(photo) for photo in photos]))

    assert error(corrected(model, to_float(photos, SCALE)).model) < 0.8 * error(model)
