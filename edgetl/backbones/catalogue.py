"""The architectures: how each is built, what pixels it expects, and where its top begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import tf
from .efficientnet_lite import SCALES, efficientnet_lite
from .lite_weights import PACKAGES, load_imagenet

CAFFE_MEANS_BGR = (103.939, 116.779, 123.68)
"""What VGG16 and ResNet50 subtract (Simonyan and Zisserman 2014, https://arxiv.org/abs/1409.1556), levels of 255."""


Make = Callable[..., Any]


@dataclass(frozen=True)
class Architecture:
    """One row of the catalogue.

    Args:
        make: (weights, alpha, (h, w, 3), input tensor or None) → Keras model that ends in global average pooling;
            weights is ``imagenet`` or None.
        boundary: the layer whose output the top starts from, with strategy ``top``.
        alphas: width multipliers with published ImageNet weights; empty where there are none.
        any_alpha: whether other width multipliers can be built.
        default_size: side of the input that the published weights were trained at, pixels.
        smallest, multiple: what the side must be, pixels.
        caffe: whether it expects BGR minus a mean, instead of [−1, 1].
    """

    make: Make
    boundary: str
    alphas: tuple[float, ...] = (1.0,)
    any_alpha: bool = False
    default_size: int = 224
    smallest: int = 32
    multiple: int = 1
    caffe: bool = False


def _keras(name: str, **fixed: Any) -> Make:
    def make(weights: str | None, alpha: float, shape: tuple[int, int, int], tensor: Any = None) -> Any:
        options = {"include_top": False, "pooling": "avg", "weights": weights, "input_shape": shape, **fixed}
        if tensor is not None:
            options["input_tensor"] = tensor
        if name.startswith("MobileNet"):
            options["alpha"] = alpha
        return getattr(tf.keras().applications, name)(**options)

    return make


def _lite(name: str) -> Make:
    def make(weights: str | None, alpha: float, shape: tuple[int, int, int], tensor: Any = None) -> Any:
        model = efficientnet_lite(name, shape)
        if weights == "imagenet":
            load_imagenet(model, name)
        return model

    return make


_PLAIN = {"minimalistic": True, "include_preprocessing": False}  # no h-swish, no squeeze-and-excitation, no 5 × 5

CATALOGUE: dict[str, Architecture] = {
    "mobilenet_v2": Architecture(
        _keras("MobileNetV2"), "block_12_add", (0.35, 0.5, 0.75, 1.0, 1.3, 1.4), any_alpha=True, multiple=32
    ),
    "mobilenet_v3_small": Architecture(
        _keras("MobileNetV3Small", **_PLAIN), "expanded_conv_7/Add", any_alpha=True, multiple=32
    ),
    "mobilenet_v3_large": Architecture(
        _keras("MobileNetV3Large", **_PLAIN), "expanded_conv_11/Add", any_alpha=True, multiple=32
    ),
    **{
        name: Architecture(_lite(name), "block5c_add", (1.0,) if name in PACKAGES else (), multiple=32)
        for name in SCALES
    },
    "vgg16": Architecture(_keras("VGG16"), "block4_pool", caffe=True),
    "resnet50": Architecture(_keras("ResNet50"), "conv4_block6_out", caffe=True),
    "inception_v3": Architecture(_keras("InceptionV3"), "mixed7", default_size=299, smallest=75),
}
"""Name → architecture. MobileNetV3 is the minimalistic variant, which quantizes well and which the Edge TPU takes."""


def with_caffe_scaling(make: Callable[[Any], Any], body: Any) -> Any:
    """Put a frozen 1 × 1 convolution that turns RGB in [−1, 1] into BGR minus the means before a network.

    Inside the graph, so that whatever feeds the exported file gives it the same pixels as every other backbone; a
    convolution, because every quantizer takes one.

    Args:
        make: builds the same network, with random weights, on an input tensor.
        body: the network with its weights.
    """
    import numpy as np

    layers = tf.keras().layers
    inputs = layers.Input(body.input_shape[1:])
    scaling = layers.Conv2D(3, 1, name="scaling", trainable=False)
    model = make(scaling(inputs))
    kernel = 127.5 * np.eye(3, dtype=np.float32)[::-1].reshape(1, 1, 3, 3)
    model.set_weights([kernel, 127.5 - np.array(CAFFE_MEANS_BGR, np.float32), *body.get_weights()])
    return model
