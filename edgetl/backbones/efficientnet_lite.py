"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, and with ReLU6 for swish, so that it quantizes well.

Tan and Le 2019 (https://arxiv.org/abs/1905.11946) scale one network by width, depth and resolution; the Lite variants
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite) keep stem and head at their size.
"""

from __future__ import annotations

from math import ceil
from typing import Any

from .. import tf

SCALES = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
    "efficientnet_lite3": (1.2, 1.4),
    "efficientnet_lite4": (1.4, 1.8),
}
"""Name → width and depth multipliers."""

_STEM, _HEAD = 32, 1280
# Kernel, repeats, output channels, expansion, stride.
_STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)


def efficientnet_lite(name: str, shape: tuple[int, int, int]) -> Any:
    """A Keras model: (n, *shape) float32 in [−1, 1] → (n, 1280) float32; weights are random."""
    layers, initializers = tf.keras().layers, tf.keras().initializers
    width, depth = SCALES[name]

    def fan_out() -> Any:
        return initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")

    def normalised(x: Any, prefix: str, activate: bool = True) -> Any:
        x = layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{prefix}_bn")(x)
        return layers.ReLU(6.0, name=f"{prefix}_relu")(x) if activate else x

    def convolved(x: Any, filters: int, prefix: str, activate: bool = True, **options: Any) -> Any:
        options = {"kernel_size": 1, "padding": "same", "use_bias": False, "name": f"{prefix}_conv", **options}
        return normalised(layers.Conv2D(filters, kernel_initializer=fan_out(), **options)(x), prefix, activate)

    inputs = layers.Input(shape)
    x = convolved(inputs, _STEM, "stem", kernel_size=3, strides=2)
    for stage, (kernel, repeats, channels, expansion, stride) in enumerate(_STAGES):
        fixed = stage in (0, len(_STAGES) - 1)
        filters = _rounded(channels * width)
        for number in range(repeats if fixed else ceil(repeats * depth)):
            block, before = f"block{stage + 1}{chr(97 + number)}", x
            if expansion > 1:
                x = convolved(x, x.shape[-1] * expansion, f"{block}_expand")
            step = stride if number == 0 else 1
            depthwise = layers.DepthwiseConv2D(
                kernel,
                step,
                padding="same",
                use_bias=False,
                name=f"{block}_depthwise_conv",
                depthwise_initializer=fan_out(),
            )
            x = normalised(depthwise(x), f"{block}_depthwise")
            x = convolved(x, filters, f"{block}_project", activate=False)
            if number > 0:
                x = layers.Add(name=f"{block}_add")([before, x])
    x = convolved(x, _HEAD, "top")
    return tf.keras().Model(inputs, layers.GlobalAveragePooling2D(name="avg_pool")(x), name=name)


def _rounded(filters: float, divisor: int = 8) -> int:
    """To a multiple of ``divisor``, not more than 10 % below."""
    multiple = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return multiple + divisor if multiple < 0.9 * filters else multiple
