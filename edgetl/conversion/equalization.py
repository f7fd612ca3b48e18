"""Cross-layer equalization: the channels of a network are scaled so that one scale fits a whole kernel.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.1
(https://arxiv.org/abs/1906.04721). A channel between two layers may be divided by any s > 0 if the layer that reads it
multiplies it by s: ReLU(x / s) = ReLU(x) / s. So s is chosen such that the kernels that write and that read the channel
use the same share of their ranges.

Three things differ from the paper. Channels that additions join are scaled together, so the residual stream takes part.
ReLU6 stays: without its cap, as there, embeddings differ from the float model's by more than rounding makes them. So a
channel that reaches the cap keeps its scale, and the others are scaled only as far as they stay below. And no scale
takes an activation or a bias beyond the range that its tensor has already, so no bias has to be absorbed after.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import tf
from ..models.flattening import Ref, Step, steps_of

AXES = {"Conv2D": (2, 3), "DepthwiseConv2D": (2, 2), "Dense": (0, 1)}
"""Kind of layer → axes of its kernel: the channels that it reads, and those that it writes."""

ROUNDS = 40  # after which scales no longer change by a hundredth
CLIPPED = 1e-3  # a channel of which more values are above the cap keeps its scale
_CHUNK = 32  # photos in memory at once
MOST = 1e3  # what a channel is scaled by, at most; a dead one says nothing
_POOLING = (
    "ZeroPadding2D", "MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D",
)  # fmt: skip

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Equalized:
    """A network whose channels were scaled.

    Args:
        model: computes what it did, but for values of at most :data:`CLIPPED` of a channel.
        kernels: how many kernels were scaled along one of their axes or both.
    """

    model: Any
    kernels: int


@dataclass(eq=False)
class _Group:
    """Channels that are scaled together, and the layers that write and read them."""

    writers: list[Any] = field(default_factory=list)
    readers: list[Any] = field(default_factory=list)
    lowest: Any = 1 / MOST  # scales that are allowed, (c,) once they are known
    highest: Any = MOST


def equalized(model: Any, batch: Floats) -> Equalized:
    """A flat Keras 2 model → one that computes the same with kernels of even ranges.

    Args:
        batch: (n, h, w, 3) float32, in the model's range: photos that show how far activations go.
    """
    steps, output = steps_of(model)
    groups = _groups(steps, output)
    layers = {step.layer.name: step.layer for step in steps if step.kind in AXES}
    weights = {name: layer.get_weights() for name, layer in layers.items()}
    _bound(groups, steps, batch, weights)
    distinct = {id(group): group for group in groups.values()}.values()
    found = [group for group in distinct if group.writers and group.readers]
    totals = [np.ones_like(group.lowest) for group in found]
    for _ in range(ROUNDS):
        for group, total in zip(found, totals, strict=True):
            wanted = total * _step(group, weights)
            factor = np.clip(wanted, group.lowest, group.highest) / total
            total *= factor
            _scale(group, factor, weights)
    twin = tf.keras().models.clone_model(model)
    for name, values in weights.items():
        twin.get_layer(name).set_weights(values)
    touched = {layer.name for group in found for layer in (*group.writers, *group.readers)}
    return Equalized(twin, len(touched))


def _groups(steps: list[Step], output: int) -> dict[int, _Group]:
    """Tensor → its group, of the tensors whose channels may be scaled."""
    parents: dict[int, int] = {}

    def root(key: int) -> int:
        while parents.setdefault(key, key) != key:
            key = parents[key]
        return key

    uses = Counter(step.layer.name for step in steps)
    kernels = [step for step in steps if uses[step.layer.name] == 1 and _has_scalable_kernel(step)]
    fixed = {0, output}
    for step in steps:
        if step in kernels:
            continue
        if _keeps_scale(step):
            for key in step.inputs:
                parents[root(key)] = root(step.output)
        else:
            fixed |= {*step.inputs, step.output}
    held = {root(key) for key in fixed}
    groups: defaultdict[int, _Group] = defaultdict(_Group)
    for step in kernels:
        groups[root(step.inputs[0])].readers.append(step.layer)
        groups[root(step.output)].writers.append(step.layer)
    tensors = {key for step in steps for key in (*step.inputs, step.output)} - {0}
    return {key: groups[root(key)] for key in tensors if root(key) not in held}


def _has_scalable_kernel(step: Step) -> bool:
    layer = step.layer
    if step.kind not in AXES or layer.activation.__name__ not in ("linear", "relu"):
        return False
    if step.kind == "Dense":
        return len(layer.input_shape) == 2
    whole = layer.depth_multiplier == 1 if step.kind == "DepthwiseConv2D" else layer.groups == 1
    return bool(whole) and layer.data_format == "channels_last"


def _keeps_scale(step: Step) -> bool:
    """Whether a layer without a kernel gives x / s where it gave x, its inputs divided by s."""
    layer = step.layer
    if step.kind == "ReLU":
        return bool(layer.threshold == 0)
    if step.kind == "Activation":
        return layer.activation.__name__ in ("linear", "relu", "relu6")
    if step.kind == "Add":
        return len({tuple(shape) for shape in layer.input_shape}) == 1
    return step.kind == "LeakyReLU" or step.kind in _POOLING


def _cap(step: Step) -> float | None:
    """The value that a layer cuts off at, or None."""
    if step.kind == "ReLU":
        return None if step.layer.max_value is None else float(step.layer.max_value)
    return 6.0 if step.kind == "Activation" and step.layer.activation.__name__ == "relu6" else None


def _bound(groups: dict[int, _Group], steps: list[Step], batch: Floats, weights: dict[str, list[Floats]]) -> None:
    """Set which scales are allowed: those that take nothing beyond a cap, or beyond the range of its tensor."""
    readers: defaultdict[int, list[Step]] = defaultdict(list)
    for step in steps:
        for key in step.inputs:
            readers[key].append(step)
    chunks = [batch[start : start + _CHUNK] for start in range(0, len(batch), _CHUNK)]
    seen = [
        {key: _seen(value, readers[key]) for key, value in _outputs(steps, each) if key in groups} for each in chunks
    ]
    names = {step.output: step.layer.name for step in steps}
    for key, group in groups.items():
        if key not in names:
            continue
        reached = np.max([each[key][0] for each in seen], axis=0)
        above = np.mean([each[key][1] for each in seen], axis=0)
        biases = weights[names[key]][1:] if names[key] in weights else []
        reached = np.max([reached, *map(np.abs, biases)], axis=0)
        cap = _cap_after(readers[key])
        limit = max(float(reached.max()), 1e-9) if cap is None else cap
        clipped = above > CLIPPED
        group.lowest = np.maximum(group.lowest, np.where(clipped, 1, np.minimum(reached / limit, 1)))
        group.highest = np.minimum(group.highest, np.where(clipped, 1, MOST))


def _seen(value: Floats, readers: list[Step]) -> tuple[Floats, Floats]:
    """How far each channel of a tensor goes, as far as the file will hold it; and how much of it is above the cap."""
    rows, cap = value.reshape(-1, value.shape[-1]), _cap_after(readers)
    only_relu = len(readers) == 1 and readers[0].kind in ("ReLU", "Activation")
    reached = rows.max(axis=0) if only_relu else np.abs(rows).max(axis=0)
    return np.maximum(reached, 0), (rows > (np.inf if cap is None else cap)).mean(axis=0)


def _cap_after(readers: list[Step]) -> float | None:
    return next((cap for cap in map(_cap, readers) if cap is not None), None)


def _outputs(steps: list[Step], batch: Floats) -> Iterator[tuple[int, Floats]]:
    """The tensor that each step makes of a batch; values are dropped as soon as nothing needs them."""
    left = Counter(key for step in steps for key in step.inputs)
    values: dict[int, Any] = {0: batch}
    for step in steps:
        values[step.output] = call(step, step.layer, values)
        yield step.output, np.asarray(values[step.output])
        for key in step.inputs:
            left[key] -= 1
            if not left[key]:
                values.pop(key, None)


def call(step: Step, layer: Any, values: dict[int, Any]) -> Any:
    """What a layer makes of the inputs of a step."""
    args, kwargs = tf.load().nest.map_structure(
        lambda value: values[value.key] if isinstance(value, Ref) else value, (step.args, step.kwargs)
    )
    return layer(*args, **kwargs)


def _step(group: _Group, weights: dict[str, list[Floats]]) -> Floats:
    """What would even the shares out that writers and readers use of their ranges, (c,)."""
    written = np.mean([_share(weights[layer.name][0], _axes(layer)[1]) for layer in group.writers], axis=0)
    read = np.mean([_share(weights[layer.name][0], _axes(layer)[0]) for layer in group.readers], axis=0)
    return np.asarray(np.exp((written - read) / 2), np.float32)


def _axes(layer: Any) -> tuple[int, int]:
    return AXES[type(layer).__name__]


def _share(kernel: Floats, axis: int) -> Floats:
    """The logarithm of how much of a kernel's range each channel uses."""
    ranges = np.abs(kernel).max(axis=tuple(other for other in range(kernel.ndim) if other != axis))
    return np.asarray(np.log(np.maximum(ranges / max(float(ranges.max()), 1e-30), 1e-12)))


def _scale(group: _Group, factor: Floats, weights: dict[str, list[Floats]]) -> None:
    for layer in group.writers:
        weights[layer.name] = [_along(values, np.reciprocal(factor), _axes(layer)[1]) for values in weights[layer.name]]
    for layer in group.readers:
        kernel, *bias = weights[layer.name]
        weights[layer.name] = [_along(kernel, factor, _axes(layer)[0]), *bias]


def _along(values: Floats, factor: Floats, axis: int) -> Floats:
    """Values times a factor for each channel; a bias has but the one axis."""
    shape = [1] * values.ndim
    shape[axis if values.ndim > 1 else 0] = -1
    return np.asarray(values * factor.reshape(shape), np.float32)
