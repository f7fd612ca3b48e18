"""Frozen TensorFlow graphs: made from any function, and walked by tensor names.

Working on the graph, not on Keras objects, makes one rule serve every origin: Functional, Sequential and nested models,
Keras 2 and 3, SavedModels. In a frozen graph there is no nesting, augmentation layers are gone, and ``Rescaling``,
``preprocess_input`` and ``/ 255`` are the same few multiplications and additions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import tf

RANDOM_AT_INFERENCE = (
    "it draws random numbers at inference: Keras exports augmentation layers in training mode; "
    "convert the .keras file, or export the model without them"
)
RECURRENT = "it has a recurrent layer, whose loop cannot be split: use layers that compute on images"
PASS = ("Identity", "StopGradient", "PreventGradient", "Snapshot", "EnsureShape")
_HEAVY = frozenset(
    "BatchMatMul BatchMatMulV2 BatchMatMulV3 Conv2D Conv2DBackpropInput DepthwiseConv2dNative Einsum MatMul".split()  # noqa: SIM905
)
_GREY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601, as cv2 and tf.image turn colour into grey


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


def freeze(call: Callable[[Any], Any], shape: tuple[int, int, int]) -> FrozenGraph:
    """A function of TensorFlow, (1, h, w, c) float32 → (1, C), as a frozen graph that takes (1, h, w, 3).

    Args:
        shape: (height, width, channels); of one channel the function gets the photo in grey.
    """
    tensorflow = tf.load()

    def of_colour(photo: Any) -> Any:
        if shape[2] == 1:
            kernel = tensorflow.constant(_GREY, tensorflow.float32, (1, 1, 3, 1))
            photo = tensorflow.nn.conv2d(photo, kernel, 1, "VALID")
        return call(photo)

    signature = [tensorflow.TensorSpec((1, *shape[:2], 3), tensorflow.float32)]
    function = tensorflow.function(of_colour, input_signature=signature)
    eagerly = tensorflow.config.functions_run_eagerly()
    tensorflow.config.run_functions_eagerly(True)  # else Keras 3's grouped convolutions stay functions, for XLA
    try:
        traced = function.get_concrete_function()
    finally:
        tensorflow.config.run_functions_eagerly(eagerly)
    return FrozenGraph(_frozen(traced), traced.inputs[0].name, traced.outputs[0].name)


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
    output = plain(traced.outputs[0].name)
    definition = tf.load().compat.v1.graph_util.extract_sub_graph(definition, [output])
    _multiply_to_negate(definition)
    return definition


def _multiply_to_negate(definition: Any) -> None:
    """``-x`` → ``x · -1``, the same numbers: TFLite negates in float alone. In GELU, which it knows whole, it stays."""
    tensorflow = tf.load()
    view = GraphView(definition)
    for node in [node for node in definition.node if node.op == "Neg"]:
        behind = [user.op for each in view.users(node.name) for user in view.users(each.name)]
        if node.attr["T"].type != tensorflow.float32.as_datatype_enum or "Erfc" in behind:
            continue
        minus = definition.node.add(op="Const", name=f"{node.name}/minus_one")
        minus.attr["dtype"].type = tensorflow.float32.as_datatype_enum
        minus.attr["value"].tensor.CopyFrom(tensorflow.make_tensor_proto(np.float32(-1)))
        node.op = "Mul"
        node.input.append(minus.name)


class GraphView:
    """A frozen GraphDef, walked by tensor names."""

    def __init__(self, definition: Any) -> None:
        self.definition = definition
        self.nodes = {node.name: node for node in definition.node}
        self._users: dict[str, list[Any]] = {}
        for node in definition.node:
            for name in dict.fromkeys(plain(each) for each in node.input):
                self._users.setdefault(name, []).append(node)
        self._of_photo = self._behind_placeholders()

    def node(self, tensor: str) -> Any:
        """The node that computes a tensor."""
        return self.nodes[plain(tensor)]

    def users(self, name: str) -> list[Any]:
        """The nodes that take what a node gives."""
        return self._users.get(name, [])

    def through(self, tensor: str) -> Any:
        """The node that computes a tensor, behind nodes that change nothing."""
        node = self.node(tensor)
        while node.op in PASS:
            node = self.node(node.input[0])
        return node

    def constant(self, tensor: str) -> npt.NDArray[Any] | None:
        """The value of a tensor that does not depend on the photo, else None; and None if it takes long to compute.

        Such a tensor is often computed: a ``Normalization`` layer divides by the root of a constant, and a layer of
        mixed precision casts its constants.
        """
        if not self.is_constant(plain(tensor)):
            return None
        node = self.through(tensor)
        if node.op == "Const":
            return np.asarray(tf.load().make_ndarray(node.attr["value"].tensor))
        tensorflow = tf.load()
        part = tensorflow.compat.v1.graph_util.extract_sub_graph(self.definition, [node.name])
        if any(each.op in _HEAVY for each in part.node):
            return None
        name = tensor if node.name == plain(tensor) and ":" in tensor else f"{node.name}:0"
        return np.asarray(callable_of(part, [], name)())

    def is_constant(self, name: str) -> bool:
        """Whether no placeholder, and no loop, is above a node."""
        return name not in self._of_photo

    def _behind_placeholders(self) -> set[str]:
        """What depends on a placeholder or goes round in a loop; without recursion, as graphs are deep."""
        starts = ("Placeholder", "PlaceholderWithDefault", "Enter", "NextIteration")
        waiting = [node.name for node in self.definition.node if node.op in starts]
        met = set(waiting)
        while waiting:
            for user in self.users(waiting.pop()):
                if user.name not in met:
                    met.add(user.name)
                    waiting.append(user.name)
        return met


def callable_of(definition: Any, entries: list[str], output: str) -> Any:
    """A GraphDef → a function from tensors to the tensor ``output``, all by name."""

    def imported() -> None:
        tf.load().graph_util.import_graph_def(definition, name="")

    wrapped = tf.load().compat.v1.wrap_function(imported, [])
    return wrapped.prune([wrapped.graph.get_tensor_by_name(name) for name in entries],
                         wrapped.graph.get_tensor_by_name(output))  # fmt: skip


def plain(name: str) -> str:
    """A tensor's name → its node's."""
    return name.removeprefix("^").split(":")[0]


def tensor_name(name: str) -> str:
    """A node's input → the name of the tensor."""
    return name if ":" in name else f"{name}:0"
