from __future__ import annotations

import numpy as np
import pytest

from edgetl import tf
from edgetl.backbones.backbone import BUILTIN, BackboneSpec, build, check, cut
from edgetl.backbones.catalogue import CAFFE_MEANS_BGR
from edgetl_device.errors import InputError

pytestmark = pytest.mark.slow

DIMENSIONS = {
    "mobilenet_v2": 1280,
    "mobilenet_v3_small": 576,
    "mobilenet_v3_large": 960,
    "efficientnet_lite0": 1280,
    "vgg16": 512,
    "resnet50": 2048,
    "inception_v3": 2048,
}
PARAMETERS = {"efficientnet_lite0": 3_413_024, "vgg16": 14_714_688 + 12, "resnet50": 23_587_712 + 12}


@pytest.fixture(scope="module", params=sorted(DIMENSIONS))
def built(request):
    """Each architecture, small and with random weights."""
    spec = BackboneSpec(request.param, 1.0, 96, "none")
    return spec, build(spec)


def test_every_backbone_ends_in_pooled_features(built) -> None:
    spec, model = built
    assert model.output_shape == (None, DIMENSIONS[spec.name])
    assert model.count_params() == PARAMETERS.get(spec.name, model.count_params())


# One of Keras and one of this project: what counts the names is the same for all.
@pytest.mark.parametrize("built", ["efficientnet_lite0", "mobilenet_v3_small"], indirect=True, scope="module")
def test_a_second_model_in_a_process_has_the_layer_names_of_the_first(built) -> None:
    spec, model = built
    assert [layer.name for layer in build(spec).layers] == [layer.name for layer in model.layers]


def test_every_backbone_is_cut_in_two_that_compute_what_it_computes(built) -> None:
    spec, model = built
    photos = np.random.default_rng(0).uniform(-1, 1, (2, 96, 96, 3)).astype(np.float32)
    lower, upper = cut(model, name=spec.name)
    np.testing.assert_allclose(upper(lower(photos)), model(photos), rtol=1e-4, atol=1e-5)
    assert 0 < upper.count_params() < model.count_params()
    assert len(upper.trainable_weights) >= 4


def test_a_larger_lite_network_can_be_built_and_cut() -> None:
    spec = BackboneSpec("efficientnet_lite2", 1.0, 32, "none")
    assert cut(build(spec), name=spec.name)[1].output_shape == (None, 1280)


def test_caffe_backbones_turn_pixels_into_bgr_minus_the_means() -> None:
    model = build(BackboneSpec("vgg16", 1.0, 32, "none"))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    scaled = tf.keras().Model(model.input, model.get_layer("scaling").output)(pixels / 127.5 - 1)
    np.testing.assert_allclose(scaled, pixels[..., ::-1] - np.array(CAFFE_MEANS_BGR, np.float32), atol=1e-3)
    assert not model.get_layer("scaling").trainable


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (BackboneSpec("efficientnet_lite4"), "Keras publishes no ImageNet weights of efficientnet_lite4"),
        (BackboneSpec("resnet50", 0.5), "resnet50 has one width"),
        (BackboneSpec("mobilenet_v3_small", 0.75), "no ImageNet weights for alpha 0.75: expected one of 1.0"),
        (BackboneSpec("inception_v3", 1.0, 64), "at least 75, got 64"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_reason(spec: BackboneSpec, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(spec)


def test_a_place_with_a_path_round_it_is_no_cut() -> None:
    model = build(BUILTIN)
    with pytest.raises(InputError, match=r"paths round it: try one of .*block_12_add"):
        cut(model, "block_12_expand")
    with pytest.raises(InputError, match="no such layer"):
        cut(model, "block_99")


@pytest.mark.parametrize(
    ("alpha", "file"),
    [
        (0.35, "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"),
        (1.0, "mobilenet_v2_1.0_224_no_top_dequantized.h5"),
    ],
)
def test_published_weights_load_and_tell_flowers_apart(shared, alpha: float, file: str) -> None:
    """The head on 20 photos of each of three flowers, 20 others held out: chance is 0.33, one standard error 0.05."""
    from edgetl.training.embeddings import embed_float
    from edgetl.training.float_head import fit_float_head, float_codes

    spec = BackboneSpec("mobilenet_v2", alpha, 128, str(shared / "weights" / file))
    kinds = ("daisy", "roses", "sunflowers")
    files = [sorted((shared / "data/flowers" / kind).iterdir())[n] for n in range(40) for kind in kinds]
    values = embed_float(build(spec), files, spec.preprocessing, spec.input_range).values
    head = fit_float_head(values[:60], kinds * 20)
    assert (head.scores(float_codes(values[60:])).argmax(axis=1) == np.tile(range(3), 20)).mean() > 0.75


def test_weights_of_another_architecture_are_refused(shared) -> None:
    weights = shared / "weights/mobilenet_v2_1.0_224_no_top_dequantized.h5"
    with pytest.raises(InputError, match="does not fit vgg16"):
        build(BackboneSpec("vgg16", 1.0, 64, str(weights)))


def test_random_efficientnet_lite_weights_keep_the_signal_alive() -> None:
    """Without batch statistics, glorot's scale would let it vanish over fifty layers."""
    model = build(BackboneSpec("efficientnet_lite0", 1.0, 32, "none"))
    values = model(np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)).numpy()
    assert values.max() > 0.1 and np.abs(values[0] - values[1]).mean() > 1e-3


def test_the_top_of_an_architecture_of_ones_own_has_something_to_train() -> None:
    """Four fifths of these layers end behind the last convolution, where batch statistics alone have weights."""
    keras = tf.keras()
    layers = keras.layers
    blocks = [layer for _ in range(2) for layer in (layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU())]
    model = keras.Sequential([layers.Input((16, 16, 3)), *blocks, layers.GlobalAveragePooling2D()])
    lower, upper = cut(keras.Model(model.input, model.output), name="own")
    assert [type(layer).__name__ for layer in upper.layers if layer.weights] == ["Conv2D", "BatchNormalization"]
    assert type(lower.layers[-1]).__name__ == "ReLU"
