"""A Keras model → the same function as one flat Keras 2 graph, ready for TFMOT and for training.

TFMOT rejects nested models (model-optimization#377) and layers that scale pixels. Here nested models are inlined,
layers that do nothing at inference are dropped, and batch normalisation is folded into the convolution before it, as
the converter would do it anyway: so what is pruned, clustered or quantized in training are the weights that are
deployed, and there are no batch statistics that a short fine-tuning could spoil. The result is checked.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError

from .. import tf
from .layer_copies import copied

_IDENTITY = (
    "Dropout",
    "SpatialDropout2D",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "ActivityRegularization",
)
_SCALING = ("Rescaling", "Normalization", "TFOpLambda", "SlicingOpLambda")
_FOLDABLE = ("Conv2D", "DepthwiseConv2D", "Dense")
_TOLERANCE = 1e-3  # of the largest output: folding reorders float32 arithmetic


@dataclass(frozen=True)
class Ref:
    """Stands for a tensor in the arguments of a step."""

    key: int


@dataclass(frozen=True, eq=False)
class Step:
    layer: Any
    args: Any
    kwargs: dict[str, Any]
    output: int
    weights: list[npt.NDArray[np.float32]] | None = None  # instead of the layer's own, after folding

    @property
    def kind(self) -> str:
        return type(self.layer).__name__

    @property
    def inputs(self) -> list[int]:
        flat = tf.load().nest.flatten((self.args, self.kwargs))
        return [item.key for item in flat if isinstance(item, Ref)]


def flat_backbone(model: Any) -> Any:
    """A Keras backbone → the same as a flat Functional model with batch normalisation folded.

    Raises:
        InputError: it holds something that cannot be flattened; the message names it.
    """
    steps, output = steps_of(model)
    return _checked(_build(_folded(steps, output), output, model.input_shape[1:]), model)


def flat_classifier_backbone(model: Any) -> Any:
    """A Keras classifier → what lies between its scaling of pixels and its last Dense layer, as :func:`flat_backbone`.

    Raises:
        InputError: as there; or it does not end in a Dense layer.
    """
    steps, start, output = _between_scaling_and_head(model)
    return _build(_folded(steps, output), output, model.input_shape[1:], start)


def trainable_classifier_backbone(model: Any, scale: tuple[float, float]) -> Any:
    """A classifier of either Keras → its backbone in Keras 2, with batch normalisation, from photos in [−1, 1].

    Args:
        scale: what pixels 0 and 255 are behind the scaling of the model; a frozen convolution of one pixel,
            ``scaling``, makes that of [−1, 1], where it is something else.

    Raises:
        InputError: it holds something that cannot be made anew; the message names it.
    """
    steps, start, output = _between_scaling_and_head(model)
    keras, nest, what = tf.keras(), tf.load().nest, "--backbone"
    entry = keras.Input(tuple(model.input_shape[1:]))
    low, high = scale
    scaling = keras.layers.Conv2D(3, 1, name="scaling", trainable=False)
    tensors: dict[int, Any] = {start: entry if scale == (-1.0, 1.0) else scaling(entry)}
    clones: dict[int, Any] = {}
    for number, step in enumerate(steps):
        if id(step.layer) not in clones:
            name = re.sub(r"[^A-Za-z0-9_.]", "_", step.layer.name)
            taken = {clone.name for clone in clones.values()} | {"scaling"}
            clones[id(step.layer)] = copied(keras, step.layer, f"{name}_{number}" if name in taken else name, what)
        args, kwargs = nest.map_structure(
            lambda value: tensors[value.key] if isinstance(value, Ref) else value, (step.args, step.kwargs)
        )
        try:
            tensors[step.output] = clones[id(step.layer)](*args, **kwargs)
        except KeyError:
            raise InputError(f"{what}: layer {step.layer.name} needs the pixels before they are scaled") from None
    made = keras.Model(entry, tensors[output])
    if tensors[start] is not entry:
        kernel = np.eye(3, dtype=np.float32).reshape(1, 1, 3, 3) * np.float32((high - low) / 2)
        scaling.set_weights([kernel, np.full(3, (high + low) / 2, np.float32)])
    for step in steps:
        clones[id(step.layer)].set_weights(step.layer.get_weights())
    return made


def _between_scaling_and_head(model: Any) -> tuple[list[Step], int, int]:
    """The steps between the scaling of pixels and the last Dense layer; the tensors that they start from and end in."""
    steps, output = steps_of(model)
    while steps and steps[-1].kind in ("Activation", "Softmax"):
        steps, output = steps[:-1], steps[-1].inputs[0]
    if not steps or steps[-1].kind != "Dense":
        raise InputError(f"the model ends in {steps[-1].kind if steps else 'nothing'}, not in a Dense layer")
    output = steps[-1].inputs[0]
    steps = steps[:-1]
    start = 0
    while steps and steps[0].kind in _SCALING:
        start, steps = steps[0].output, steps[1:]
    return steps, start, output


def steps_of(model: Any) -> tuple[list[Step], int]:
    """Inlined steps in execution order; key 0 is the input. Layers that do nothing at inference leave no step."""
    if type(model).__module__.startswith("keras."):
        return keras3_steps(model)
    if not getattr(model, "_is_graph_network", False):
        raise InputError(
            f"{model.name} is a subclassed or unbuilt Keras model, which TFMOT cannot read: "
            "make it with the functional API or Sequential, with an input shape"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise InputError(
            f"expected one input and one output, {model.name} has {len(model.inputs)}, {len(model.outputs)}"
        )
    steps: list[Step] = []
    counter = iter(range(1, 1 << 30))
    (output,) = _inline(model, [0], steps, counter)
    return steps, output


def _inline(model: Any, inputs: list[int], steps: list[Step], counter: Any) -> list[int]:
    nest = tf.load().nest
    keys = {id(tensor): key for tensor, key in zip(model.inputs, inputs, strict=True)}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            arguments = [keys[id(tensor)] for tensor in node.keras_inputs]
            layer, outputs = node.layer, nest.flatten(node.outputs)
            if hasattr(layer, "_nodes_by_depth"):
                results = _inline(layer, arguments, steps, counter)
            elif type(layer).__name__ in _IDENTITY or _augments(layer) or _is_linear(layer):
                results = arguments
            else:
                if len(outputs) != 1:
                    raise InputError(f"layer {layer.name} has {len(outputs)} outputs, which is not supported here")
                refs = {id(tensor): Ref(keys[id(tensor)]) for tensor in node.keras_inputs}
                args, kwargs = nest.map_structure(
                    lambda value, refs=refs: refs.get(id(value), value), (node.call_args, node.call_kwargs)
                )
                kwargs = {name: value for name, value in kwargs.items() if name not in ("training", "mask")}
                results = [next(counter)]
                steps.append(Step(layer, args, kwargs, results[0]))
            keys.update({id(tensor): key for tensor, key in zip(outputs, results, strict=True)})
    return [keys[id(tensor)] for tensor in model.outputs]


def keras3_steps(model: Any) -> tuple[list[Step], int]:
    """As :func:`steps_of`, of a model of Keras 3."""
    counter = iter(range(1, 1 << 30))
    steps: list[Step] = []
    graph = getattr(model, "_functional", model)
    if not hasattr(graph, "_nodes_by_depth") or len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise InputError(f"{model.name} is no Functional or Sequential model with one input and one output")
    (output,) = _inline3(graph, [0], steps, counter)
    return steps, output


def _inline3(graph: Any, inputs: list[int], steps: list[Step], counter: Any) -> list[int]:
    nest = tf.load().nest
    keys = {id(tensor): key for tensor, key in zip(graph.inputs, inputs, strict=True)}
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input:
                continue
            layer, outputs = node.operation, list(node.output_tensors)
            arguments = [keys[id(tensor)] for tensor in node.input_tensors]
            inner = getattr(layer, "_functional", layer)
            if hasattr(inner, "_nodes_by_depth"):
                results = _inline3(inner, arguments, steps, counter)
            elif type(layer).__name__ in _IDENTITY or _augments(layer) or _is_linear(layer):
                results = arguments
            else:
                if len(outputs) != 1:
                    raise InputError(f"layer {layer.name} has {len(outputs)} outputs, which is not supported here")
                refs = {id(tensor): Ref(keys[id(tensor)]) for tensor in node.input_tensors}
                args, kwargs = nest.map_structure(
                    lambda value, refs=refs: refs.get(id(value), value), (node.arguments.args, node.arguments.kwargs)
                )
                kwargs = {name: value for name, value in kwargs.items() if name not in ("training", "mask")}
                results = [next(counter)]
                steps.append(Step(layer, args, kwargs, results[0]))
            keys.update({id(tensor): key for tensor, key in zip(outputs, results, strict=True)})
    return [keys[id(tensor)] for tensor in graph.outputs]


def _augments(layer: Any) -> bool:
    return type(layer).__name__.startswith("Random")


def _is_linear(layer: Any) -> bool:
    return type(layer).__name__ == "Activation" and layer.activation.__name__ == "linear"


def _folded(steps: list[Step], output: int) -> list[Step]:
    """Batch normalisation folded into the layer before it, wherever nothing else uses that layer's output."""
    uses = Counter(key for step in steps for key in step.inputs) + Counter([output])
    shared = {id(step.layer) for step in steps if sum(other.layer is step.layer for other in steps) > 1}
    made = {step.output: step for step in steps}
    for step in steps:
        if step.kind != "BatchNormalization" or step.layer.axis not in ([3], [-1], [1], 3, -1):
            continue
        before = made.get(step.inputs[0])
        if before is None or before.kind not in _FOLDABLE or uses[step.inputs[0]] != 1 or id(before.layer) in shared:
            continue
        if before.layer.activation.__name__ != "linear" or id(step.layer) in shared:
            continue
        made[step.output] = replace(before, output=step.output, weights=_fold(before.layer, step.layer))
        del made[before.output]
    return sorted(made.values(), key=lambda step: step.output)


def _fold(layer: Any, norm: Any) -> list[npt.NDArray[np.float32]]:
    gamma = norm.gamma.numpy() if norm.scale else 1.0
    beta = norm.beta.numpy() if norm.center else 0.0
    factor = gamma / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    kernel, bias = layer.get_weights() if layer.use_bias else (layer.get_weights()[0], 0.0)
    by_channel = factor.reshape(-1, layer.depth_multiplier) if hasattr(layer, "depth_multiplier") else factor
    return [kernel * by_channel, (bias - norm.moving_mean.numpy()) * factor + beta]


def _build(steps: list[Step], output: int, shape: tuple[int, ...], start: int = 0) -> Any:
    keras, nest = tf.keras(), tf.load().nest
    entry = keras.Input(shape)
    tensors: dict[int, Any] = {start: entry}
    clones: dict[int, Any] = {}
    names: Counter[str] = Counter()
    loads: list[tuple[Any, list[npt.NDArray[np.float32]]]] = []
    for step in steps:
        if id(step.layer) not in clones:
            config = step.layer.get_config()
            names[config["name"]] += 1
            if names[config["name"]] > 1:
                config["name"] += f"_{names[config['name']]}"
            if step.weights is not None:
                config["use_bias"] = True
            clone = type(step.layer).from_config(config)
            clones[id(step.layer)] = clone
            loads.append((clone, step.layer.get_weights() if step.weights is None else step.weights))
        args, kwargs = nest.map_structure(
            lambda value: tensors[value.key] if isinstance(value, Ref) else value, (step.args, step.kwargs)
        )
        try:
            tensors[step.output] = clones[id(step.layer)](*args, **kwargs)
        except KeyError:
            raise InputError(f"layer {step.layer.name} needs the pixels before they are scaled") from None
    model = keras.Model(entry, tensors[output])
    for clone, weights in loads:
        clone.set_weights(weights)
    return model


def _checked(flat: Any, model: Any) -> Any:
    batch = np.random.default_rng(0).uniform(-1, 1, (2, *model.input_shape[1:])).astype(np.float32)
    one, other = (np.asarray(each(batch, training=False)) for each in (model, flat))
    if not np.abs(one - other).max() <= _TOLERANCE * max(np.abs(one).max(), 1e-6):
        raise InputError(f"{model.name} cannot be flattened for TFMOT: its flat twin gives other embeddings")
    return flat
