"""A network that computes as if in 8 bits while it is trained, with batch normalisation folded.

Every convolution and fully connected layer has a quantizer on its kernel, and every tensor that the converted file
holds has one: the output of a convolution only where no ReLU follows, as the converter fuses the two. TFMOT's own pass
over the layout is left out: made for batch normalisation between convolution and ReLU, it takes the quantizers off the
kernels of convolutions that a ReLU follows at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import CheckFailedError, InputError

from .. import tf

KERNELS = {"Conv2D": "kernel", "DepthwiseConv2D": "depthwise_kernel", "Dense": "kernel"}
"""Kind of layer → its weights that are quantized."""


def check_layers(model: Any) -> None:
    """Raise InputError for a layer that TFMOT does not take; before anything takes long."""
    registry = _registry().Default8BitQuantizeRegistry()
    for layer in model.layers:
        if type(layer).__name__ != "InputLayer" and not registry.supports(layer):
            raise InputError(f"--qat: TFMOT does not take layer {layer.name} ({type(layer).__name__}); leave --qat out")


def aware(model: Any, per_tensor: bool = False) -> Any:
    """A flat Keras model → one with the same weights that quantizes them, and its activations, as it goes.

    Args:
        per_tensor: whether kernels of convolutions have one scale for all channels.

    Raises:
        CheckFailedError: a kernel is left without a quantizer.
    """
    from tensorflow_model_optimization.python.core.quantization.keras import quantize_wrapper

    keras = tf.keras()
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    configs = {layer.name: _config(layer, per_tensor) for layer in twin.layers if type(layer).__name__ != "InputLayer"}
    student = keras.models.clone_model(
        twin, clone_function=lambda layer: quantize_wrapper.QuantizeWrapperV2(layer, configs[layer.name])
    )
    wanted = kernels(model)
    found = quantized_kernels(student)
    if found != wanted:
        raise CheckFailedError(f"--qat: {found} of {wanted} kernels are trained with quantization; leave --qat out")
    return student


def kernels(model: Any) -> int:
    """How many kernels of a network are to be quantized."""
    return sum(type(layer).__name__ in KERNELS for layer in model.layers)


def quantized_kernels(student: Any) -> int:
    """How many kernels of a network have a quantizer."""
    wrappers = [wrapper for wrapper in student.layers if hasattr(wrapper, "quantize_config")]
    return sum(any(v.name.split("/")[-1].startswith(_RANGES) for v in wrapper.weights) for wrapper in wrappers)


_RANGES = ("kernel_min", "depthwise_kernel_min")


def calibrate(student: Any, model: Any, batch: npt.NDArray[np.float32]) -> None:
    """Start the ranges of activations where they belong: TFMOT starts at ±6 and moves by 1/1000 a step."""
    keras = tf.keras()
    twin = keras.models.clone_model(model)  # a stripped model's layers stand in two graphs: their output is ambiguous
    twin.set_weights(model.get_weights())
    outputs = keras.Model(twin.input, {layer.name: layer.output for layer in twin.layers})(batch, training=False)
    for wrapper in student.layers:
        value = outputs.get(wrapper.layer.name) if hasattr(wrapper, "layer") else None
        if value is None:
            continue
        for variable in wrapper.weights:
            name = variable.name.split("/")[-1].split(":")[0]
            if name in ("output_min", "post_activation_min"):
                variable.assign(min(float(np.min(value)), 0.0))
            elif name in ("output_max", "post_activation_max"):
                variable.assign(max(float(np.max(value)), 1e-3))


def without_quantizers(student: Any, model: Any) -> Any:
    """The trained weights in a network like the one it was made of."""
    wrappers = {wrapper.layer.name: wrapper for wrapper in student.layers if hasattr(wrapper, "layer")}
    plain = tf.keras().models.clone_model(model)
    for layer in plain.layers:
        layer.set_weights([_value(wrappers[layer.name], weight) for weight in layer.weights])
    return plain


def _config(layer: Any, per_tensor: bool) -> Any:
    registry, kind = _registry(), type(layer).__name__
    if kind not in KERNELS:
        return registry.Default8BitQuantizeRegistry().get_quantize_config(layer)
    attributes = ([KERNELS[kind]], [] if _is_fused(layer) else ["activation"], False)
    if kind == "Dense" or per_tensor:
        return registry.Default8BitQuantizeConfig(*attributes)
    config = registry.Default8BitConvQuantizeConfig(*attributes)
    if kind == "DepthwiseConv2D":
        config.weight_quantizer = _transposed(registry.default_8bit_quantizers.Default8BitConvWeightsQuantizer)()
    return config


def _is_fused(layer: Any) -> bool:
    """Whether nothing but a ReLU takes a layer's output: the converted file never holds what is between them."""
    after = [node.outbound_layer for node in layer.outbound_nodes]
    return len(after) == 1 and _is_relu(after[0]) and layer.activation.__name__ == "linear"


def _is_relu(layer: Any) -> bool:
    if type(layer).__name__ == "Activation":
        return layer.activation.__name__ in ("relu", "relu6")
    return type(layer).__name__ == "ReLU"


def _value(wrapper: Any, weight: Any) -> npt.NDArray[np.float32]:
    """The trained value of a layer's weight: TFMOT keeps the variable in its wrapper."""
    wanted = weight.name.split("/")[-1]
    (variable,) = [variable for variable in wrapper.weights if variable.name.split("/")[-1] == wanted]
    return np.asarray(variable)


def _registry() -> Any:
    tf.keras()
    with tf.quiet():
        from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
            default_8bit_quantize_registry,
        )
    return default_8bit_quantize_registry


def _transposed(quantizer: Any) -> Any:
    tensorflow = tf.load()

    class Transposed(quantizer):  # type: ignore[misc]
        """Quantizes a depthwise kernel (h, w, c, m) along the last axis but one."""

        def build(self, tensor_shape: Any, name: str, layer: Any) -> Any:
            return super().build([*tensor_shape[:2], tensor_shape[3], tensor_shape[2]], name, layer)

        def __call__(self, inputs: Any, training: Any, weights: Any, **options: Any) -> Any:
            swapped = tensorflow.transpose(inputs, (0, 1, 3, 2))
            return tensorflow.transpose(super().__call__(swapped, training, weights, **options), (0, 1, 3, 2))

    return Transposed
