from types import SimpleNamespace

import numpy as np
import pytest

from edgetl import tf
from edgetl.conversion import compression
from edgetl.conversion.compression import Compression, bought, check, compress
from edgetl.conversion.converter import export, representative_photos
from edgetl.conversion.layer_errors import LayerError, measure, sqnr_db, verdict
from edgetl.conversion.proof import prove
from edgetl.conversion.quantization_aware import aware, calibrate, quantized_kernels
from edgetl.models.flattening import flat_backbone
from edgetl.training.embeddings import to_float
from edgetl_device.errors import CheckFailedError, InputError
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.preprocess import Preprocessing

pytestmark = pytest.mark.slow

SCALE = (-1.0, 1.0)


@pytest.fixture(scope="module")
def mobile():
    """A small inverted-residual backbone, nested in a model, with batch statistics that matter; and photos."""
    keras = tf.keras()
    keras.utils.set_random_seed(3)
    layers = keras.layers

    def normal(x):
        return layers.BatchNormalization()(x)

    entry = layers.Input((32, 32, 3))
    x = layers.ReLU(6.0)(normal(layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(entry)))
    y = layers.ReLU(6.0)(normal(layers.Conv2D(32, 1, use_bias=False)(x)))
    y = layers.ReLU(6.0)(normal(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y)))
    x = layers.Add()([x, normal(layers.Conv2D(16, 1, use_bias=False)(y))])
    x = layers.Activation("relu")(layers.Conv2D(40, 1)(x))
    inner = keras.Model(entry, layers.GlobalAveragePooling2D()(x))
    generator = np.random.default_rng(0)
    for layer in inner.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([generator.uniform(0.5, 2, weight.shape) for weight in layer.get_weights()])
    outer = layers.Input((32, 32, 3))
    model = keras.Model(outer, inner(layers.Dropout(0.1)(outer), training=False))
    photos = generator.integers(0, 256, (48, 8, 8, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
    return model, photos


def kernels(model):
    return [layer.kernel.numpy() for layer in model.layers if type(layer).__name__ == "Conv2D"]


def depthwise(model):
    (found,) = [layer for layer in model.layers if type(layer).__name__ == "DepthwiseConv2D"]
    return found.get_weights()[0]


def relative_error(model, twin, photos) -> float:
    exact, found = (np.asarray(each(to_float(photos, SCALE), training=False)) for each in (model, twin))
    return float(np.square(found - exact).mean() / np.square(exact).mean())


def test_flattening_folds_batch_normalisation_and_keeps_the_function(mobile) -> None:
    model, photos = mobile
    flat = flat_backbone(model)
    assert relative_error(model, flat, photos) < 1e-10
    kinds = [type(layer).__name__ for layer in flat.layers]
    assert "BatchNormalization" not in kinds and "Functional" not in kinds and kinds.count("Conv2D") == 4


def test_a_subclassed_model_is_refused_with_the_reason() -> None:
    class Own(tf.keras().Model):
        def call(self, x):
            return x

    with pytest.raises(InputError, match="subclassed or unbuilt Keras model, which TFMOT cannot read"):
        flat_backbone(Own())


def test_pruning_zeroes_every_kernel_but_the_depthwise_ones_and_survives_conversion(mobile, caplog) -> None:
    model, photos = mobile
    asked = Compression(prune=0.6, epochs=7)
    caplog.set_level("INFO")
    pruned = compress(model, photos, SCALE, asked)
    assert all(abs((kernel == 0).mean() - 0.6) < 0.02 for kernel in kernels(pruned))
    assert (depthwise(pruned) != 0).all()
    representative = representative_photos(photos, Preprocessing(32, 32))
    data, plain = (export(each, representative, SCALE).data for each in (pruned, model))
    found = bought(data, plain, asked, pruned)
    assert found.sparsity > 0.59 and found.zipped_bytes < 0.95 * found.plain_zipped_bytes
    with pytest.raises(CheckFailedError, match=r"the file holds 0\.\d+ zeros, --prune asked for 0\.6"):
        bought(plain, plain, asked, pruned)
    assert "prune: fine-tuning on 48 photos, 21 steps of 16" in caplog.text


def test_fine_tuning_brings_the_embeddings_back(mobile) -> None:
    model, photos = mobile
    asked = Compression(prune=0.5, epochs=8)
    crude = flat_backbone(model)
    for layer in crude.layers:
        if type(layer).__name__ == "Conv2D":
            kernel, *rest = layer.get_weights()
            layer.set_weights([np.where(np.abs(kernel) < np.quantile(np.abs(kernel), 0.5), 0, kernel), *rest])
    tuned = compress(model, photos, SCALE, asked)
    assert relative_error(model, tuned, photos) < 0.7 * relative_error(model, crude, photos)


def test_clustering_keeps_the_zeros_of_pruning_and_the_same_seed_gives_the_same_weights(mobile) -> None:
    model, photos = mobile
    asked = Compression(prune=0.5, cluster=8, epochs=7)
    one, other = (compress(model, photos, SCALE, asked, seed=5) for _ in range(2))
    assert all(len(np.unique(kernel)) <= 8 and (kernel == 0).mean() > 0.48 for kernel in kernels(one))
    assert all((a == b).all() for a, b in zip(one.get_weights(), other.get_weights(), strict=True))
    data = export(one, representative_photos(photos, Preprocessing(32, 32)), SCALE).data
    assert bought(data, data, asked, one).distinct <= 8
    with pytest.raises(CheckFailedError, match=r"a channel in the file holds \d values, --cluster asked for 3"):
        bought(data, data, Compression(cluster=3), one)


def test_quantization_aware_training_keeps_zeros_and_gives_a_proven_int8_file(mobile) -> None:
    model, photos = mobile
    asked = Compression(prune=0.5, qat=True, epochs=7)
    trained = compress(model, photos, SCALE, asked)
    assert all((kernel == 0).mean() > 0.48 for kernel in kernels(trained))
    exported = export(trained, representative_photos(photos, Preprocessing(32, 32)), SCALE)
    proof, data = exported.proof, exported.data
    assert (proof.float_ops, proof.per_channel, proof.per_tensor) == (0, 5, 0)
    found = bought(data, data, asked, trained)
    assert found.trained_kernels == found.integer_kernels == 5
    one_less = SimpleNamespace(layers=[layer for layer in trained.layers if type(layer).__name__ != "DepthwiseConv2D"])
    with pytest.raises(CheckFailedError, match="holds 5 kernels of integers, --qat trained 4 of them"):
        bought(data, data, asked, one_less)


def test_every_kernel_has_a_quantizer_while_it_is_trained(mobile) -> None:
    """Also where batch normalisation is folded, so that a ReLU follows a convolution at once."""
    flat = flat_backbone(mobile[0])
    whole = flat_backbone(tf.keras().applications.MobileNetV2((32, 32, 3), 0.35, include_top=False, weights=None))
    for model, kernels in ((flat, 5), (whole, 52)):
        for per_tensor in (False, True):
            student = aware(model, per_tensor)
            assert quantized_kernels(student) == kernels
            ranges = [v for w in student.layers for v in w.weights if v.name.endswith("kernel_max:0")]
            assert all((v.shape.rank == 0) == per_tensor for v in ranges) and len(ranges) == kernels


@pytest.fixture(scope="module")
def uneven(mobile):
    """The same with a depthwise kernel whose channels differ sixtyfold: one scale for all of them costs much."""
    flat = flat_backbone(mobile[0])
    (layer,) = [layer for layer in flat.layers if type(layer).__name__ == "DepthwiseConv2D"]
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * np.geomspace(0.05, 3, kernel.shape[2])[:, None], bias])
    return flat


def one_scale(model, photos):
    """What the file with one scale a kernel computes, and the proof of it."""
    made = export(model, representative_photos(photos, Preprocessing(32, 32)), SCALE, "int8-float-io", per_tensor=True)
    interpreter = TFLiteInterpreter(made.data)
    return np.stack([interpreter(photo) for photo in photos]), made.proof


def test_in_training_it_computes_what_the_file_will(mobile, uneven) -> None:
    photos = mobile[1]
    student = aware(uneven, per_tensor=True)
    calibrate(student, uneven, to_float(photos, SCALE))
    student(to_float(photos, SCALE), training=True)  # takes the ranges of the kernels
    found, _ = one_scale(uneven, photos)
    exact, foreseen = (np.asarray(each(to_float(photos, SCALE), training=False)) for each in (uneven, student))
    assert np.square(foreseen - found).mean() < 0.5 * np.square(exact - found).mean()


def test_one_scale_for_all_channels_is_proven_and_training_makes_up_for_it(mobile, uneven) -> None:
    photos = mobile[1]
    exact = np.asarray(uneven(to_float(photos, SCALE), training=False))
    trained = compress(uneven, photos, SCALE, Compression(qat=True, per_tensor=True, epochs=60))
    (before, proof), (after, _) = one_scale(uneven, photos), one_scale(trained, photos)
    assert (proof.per_channel, proof.per_tensor) == (0, 5)
    assert np.square(after - exact).mean() < 0.8 * np.square(before - exact).mean()
    representative = representative_photos(photos, Preprocessing(32, 32))
    with pytest.raises(CheckFailedError, match="have one scale for all channels"):
        prove(export(uneven, representative, SCALE, per_tensor=True).data, "int8")
    with pytest.raises(CheckFailedError, match="have a scale for each channel"):
        prove(export(uneven, representative, SCALE).data, "int8", per_tensor=True)


def test_too_few_steps_are_refused_before_anything_is_trained(mobile) -> None:
    with pytest.raises(InputError, match=r"--epochs 1 of 48 photos is 3 steps of prune, too few .* give 7 or more"):
        compress(*mobile, SCALE, Compression(prune=0.5, epochs=1))


def test_what_tfmot_does_not_take_is_named() -> None:
    keras = tf.keras()

    class Twice(keras.layers.Layer):
        def call(self, x):
            return x * 2

    layers = keras.layers
    model = keras.Sequential([layers.Input((8, 8, 3)), layers.Conv2D(4, 3), Twice(), layers.Flatten()])
    with pytest.raises(InputError, match=r"--qat: TFMOT does not take layer twice \(Twice\)"):
        compress(model, np.zeros((4, 8, 8, 3), np.uint8), SCALE, Compression(qat=True))


@pytest.mark.parametrize(
    ("asked", "mode", "match"),
    [
        (Compression(prune=0.0), "int8", "above 0 and at most 0.95"),
        (Compression(prune=0.99), "int8", "above 0 and at most 0.95"),
        (Compression(cluster=300), "int8", "2 to 256"),
        (Compression(prune=0.5, cluster=2), "int8", "at least 3 values"),
        (Compression(qat=True), "dynamic", "computes in float"),
        (Compression(per_tensor=True), "float16", "computes in float"),
        (Compression(qat=True, cluster=8), "int8", "do not go together"),
        (Compression(epochs=2), "int8", "needs --qat, --prune or --cluster"),
    ],
)
def test_combinations_that_do_not_work_say_why(asked, mode, match) -> None:
    with pytest.raises(InputError, match=match):
        check(asked, mode)


def test_stages_run_in_one_order() -> None:
    assert Compression(qat=True, prune=0.5).stages == ("prune", "qat")
    assert Compression(cluster=4, prune=0.5).stages == ("prune", "cluster")
    assert not Compression() and compression.STEPS.keys() == {"prune", "cluster", "qat"}


def test_the_layer_report_finds_the_layer_that_was_spoilt(mobile) -> None:
    model, photos = mobile
    flat = flat_backbone(model)
    representative = representative_photos(photos, Preprocessing(32, 32))
    good = measure(export(flat, representative, SCALE).data, flat, photos[:4], SCALE)
    assert len(good) >= 7 and min(error.sqnr_db for error in good) > 15 and "no layer falls below" in verdict(good)
    spoilt = tf.keras().models.clone_model(flat)
    spoilt.set_weights(flat.get_weights())
    (layer,) = [layer for layer in spoilt.layers if type(layer).__name__ == "DepthwiseConv2D"]
    layer.set_weights([-3 * weight for weight in layer.get_weights()])
    bad = measure(export(spoilt, representative, SCALE).data, flat, photos[:4], SCALE)
    assert "starts to differ at DEPTHWISE_CONV_2D" in verdict(bad)


def test_the_error_of_a_layer_is_its_signal_to_noise_ratio() -> None:
    signal = np.random.default_rng(0).normal(size=(50, 200)).astype(np.float32)
    noise = np.random.default_rng(1).normal(size=(50, 200)).astype(np.float32)
    assert sqnr_db(signal, signal + 0.1 * noise) == pytest.approx(20, abs=0.2)
    assert sqnr_db(signal, signal) == float("inf")
    assert "none could be compared" in verdict(())
    assert "starts to differ at ADD #3 (4.0 dB)" in verdict(
        [LayerError(2, "MUL", "a", 30.0), LayerError(3, "ADD", "b", 4.0)]
    )
