"""Surgery on frozen TensorFlow graphs: where a classifier's scaling ends and where its head begins.

Working on the graph, not on Keras objects, makes one rule serve every origin: Functional, Sequential and nested models,
Keras 2 and 3, SavedModels. In a frozen graph there is no nesting, augmentation layers are gone, and ``Rescaling``,
``preprocess_input`` and ``/ 255`` are the same few multiplications and additions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError

from .. import tf

_PASS = ("Identity", "StopGradient", "PreventGradient")
_BIAS = ("BiasAdd", "AddV2", "Add")
RANDOM_AT_INFERENCE = (
    "it draws random numbers at inference: Keras exports augmentation layers in training mode; "
    "convert the .keras file, or export the model without them"
)
_MAX_NUMBERS = 1 << 28  # in one tensor; a gigabyte of float32
PLAUSIBLE = 300.0  # beyond this no network is fed: then pixels of 0 … 255 are not what the model takes


@dataclass(frozen=True, eq=False)
class Split:
    """A classifier in two parts.

    Args:
        backbone: (1, h, w, 3) float32 → (1, d) float32, a function of TensorFlow without the scaling that was stripped.
        weights, bias: (d, C) and (C,) float32 of the last Dense layer.
        activation: ``softmax``, ``sigmoid`` or ``linear``.
        scale: what pixels 0 and 255 are at the backbone's input.
        scaled_inside: whether scaling by channel stays inside the backbone.
    """

    backbone: Callable[[Any], Any]
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    activation: str
    scale: tuple[float, float]
    scaled_inside: bool


@dataclass(frozen=True, eq=False)
class FrozenGraph:
    """A classifier as one graph without variables and functions.

    Args:
        definition: GraphDef.
        entry, output: names of the tensors (1, h, w, 3) float32 and (1, C).
    """

    definition: Any
    entry: str
    output: str


def freeze(call: Callable[[Any], Any], size: tuple[int, int]) -> FrozenGraph:
    """A function of TensorFlow, (1, h, w, 3) float32 → (1, C), as a frozen graph; ``size`` is (height, width)."""
    tensorflow = tf.load()
    signature = [tensorflow.TensorSpec((1, *size, 3), tensorflow.float32)]
    traced = tensorflow.function(call, input_signature=signature).get_concrete_function()
    return FrozenGraph(_frozen(traced), traced.inputs[0].name, traced.outputs[0].name)


def split(frozen: FrozenGraph, given: tuple[float, float] | None) -> Split:
    """A classifier in its two parts.

    Args:
        given: what pixels 0 and 255 become before the classifier sees them; None to find out.

    Raises:
        InputError: it does not end in a Dense layer, or what it makes of pixels cannot be found out.
    """
    graph = _Graph(frozen.definition)
    if any("Random" in node.op for node in graph.definition.node):
        raise InputError(RANDOM_AT_INFERENCE)
    weights, bias, activation, end = graph.head(frozen.output)
    start, scale, inside = graph.scaling(frozen.entry, given)

    def imported() -> None:
        tf.load().graph_util.import_graph_def(graph.definition, name="")

    wrapped = tf.load().compat.v1.wrap_function(imported, [])
    _check_sizes(wrapped.graph)
    tensors = [wrapped.graph.get_tensor_by_name(name) for name in (start, end)]
    backbone = wrapped.prune([tensors[0]], tensors[1])
    return Split(backbone, weights, bias, activation, scale, inside)


def _check_sizes(graph: Any) -> None:
    """Refuse a graph in which one tensor would fill the memory: nothing of it has run yet."""
    for operation in graph.get_operations():
        for tensor in operation.outputs:
            if tensor.shape.rank is not None and math.prod(size or 1 for size in tensor.shape) > _MAX_NUMBERS:
                raise InputError(
                    f"its {operation.type} gives {tensor.shape} numbers for one photo: no memory holds that"
                )


def _frozen(traced: Any) -> Any:
    """A concrete function → GraphDef with variables as constants, without what its output does not need.

    What ``convert_variables_to_constants_v2`` does, less its last step: that one fails on the random generators of
    augmentation layers, which inference leaves unused.
    """
    from tensorflow.python.framework import convert_to_constants as freezing

    data = freezing._FunctionConverterDataInEager(func=traced, lower_control_flow=True, aggressive_inlining=True)
    definition, _ = freezing._replace_variables_by_constants(converter_data=data)
    for node in definition.node:  # without variables there is nothing left to order
        data_edges = [name for name in node.input if not name.startswith("^")]
        del node.input[:]
        node.input.extend(data_edges)
    output = _plain(traced.outputs[0].name)
    return tf.load().compat.v1.graph_util.extract_sub_graph(definition, [output])


class _Graph:
    """A frozen GraphDef, walked by tensor names."""

    def __init__(self, definition: Any) -> None:
        self.definition = definition
        self.nodes = {node.name: node for node in definition.node}

    def node(self, tensor: str) -> Any:
        return self.nodes[_plain(tensor)]

    def through(self, tensor: str) -> Any:
        """The node that computes a tensor, behind nodes that change nothing."""
        node = self.node(tensor)
        while node.op in _PASS:
            node = self.node(node.input[0])
        return node

    def constant(self, tensor: str) -> npt.NDArray[Any] | None:
        """The value of a tensor that is one, else None."""
        node = self.through(tensor)
        if node.op != "Const":
            return None
        return np.asarray(tf.load().make_ndarray(node.attr["value"].tensor))

    def head(self, output: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], str, str]:
        """Weights (d, C), bias (C,) and activation of the last Dense layer, and the name of its input tensor."""
        node, activation = self.through(output), "linear"
        if node.op in ("Softmax", "Sigmoid"):
            activation, node = node.op.lower(), self.through(node.input[0])
        bias = None
        if node.op in _BIAS and (value := self.constant(node.input[1])) is not None:
            bias, node = value, self.through(node.input[0])
        weights = self.constant(node.input[1]) if node.op == "MatMul" else None
        if weights is None:
            raise InputError(
                f"not a classifier that can be split: it ends in {node.op}, expected a last Dense layer "
                "(with softmax, sigmoid or nothing behind it) whose input becomes the embedding"
            )
        if node.attr["transpose_b"].b:
            weights = weights.T
        bias = np.zeros(weights.shape[1], np.float32) if bias is None else bias.reshape(-1)
        return weights, bias, activation, _tensor(node.input[0])

    def scaling(self, entry: str, given: tuple[float, float] | None) -> tuple[str, tuple[float, float], bool]:
        """The tensor where the scaling of pixels ends, what pixels 0 and 255 are there, and whether scaling is left."""
        low, high = (np.float64(end) for end in given or (0.0, 255.0))
        tensor, found, both = entry.split(":")[0], False, (np.asarray(low), np.asarray(high))
        while (step := self._affine(tensor)) is not None:
            name, function = step
            tensor, both = name, (function(both[0]), function(both[1]))
            found = found or self.nodes[name].op not in (*_PASS, "Cast")
        if given is None and not found:
            raise InputError(
                "no scaling of pixels was found inside the model: say with --scale MIN,MAX what pixels 0 and 255 "
                "became in its training (-1,1 for MobileNetV2's preprocess_input, 0,1 for / 255, 0,255 for nothing)"
            )
        worst = max(float(np.abs(value).max()) for value in both)
        if worst > PLAUSIBLE:
            raise InputError(
                f"the model's own scaling turns pixels of 0 to 255 into values up to {worst:.0f}, so it was trained on "
                "others: say with --scale MIN,MAX what pixels 0 and 255 became before the model (0,1 for / 255)"
            )
        if any(np.ptp(value) > 1e-6 * max(worst, 1) for value in both):
            return _tensor(entry), (float(low), float(high)), True  # each channel has its own: it stays inside
        return f"{tensor}:0", (float(both[0].flat[0]), float(both[1].flat[0])), False

    def _affine(self, name: str) -> tuple[str, Callable[[Any], Any]] | None:
        """The only consumer of a node, if all it does is add or multiply constants: its name and function."""
        users = [n for n in self.definition.node if any(_plain(i) == name for i in n.input)]
        if len(users) != 1:
            return None
        (node,) = users
        if node.op in (*_PASS, "Cast"):
            return node.name, lambda value: value
        if node.op not in ("Mul", "Sub", "AddV2", "Add", "RealDiv", "BiasAdd") or len(node.input) != 2:
            return None
        first = _plain(node.input[0]) == name
        constant = self.constant(node.input[1 if first else 0])
        if constant is None or (np.ndim(constant) > 0 and np.size(constant) not in (1, 3)):
            return None
        other = np.asarray(constant, np.float64).reshape(-1)
        operations: dict[str, Callable[[Any, Any], Any]] = {
            "Mul": np.multiply, "Sub": np.subtract, "RealDiv": np.divide,
        }  # fmt: skip
        operation = operations.get(node.op, np.add)
        return node.name, lambda value: operation(value, other) if first else operation(other, value)


def _plain(name: str) -> str:
    return name.split(":")[0]


def _tensor(name: str) -> str:
    return name if ":" in name else f"{name}:0"
