"""A classifier's graph → its backbone and its head: where pixels are scaled, and where the embedding is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError

from .. import tf
from .frozen_graph import RANDOM_AT_INFERENCE, RECURRENT, FrozenGraph, GraphView, callable_of, plain, tensor_name
from .pixel_scaling import find_scaling

MAX_FEATURES = 4096  # of an embedding: statistics grow with its square, 34 MB in a bundle here
_MAX_NUMBERS = 1 << 26  # in one tensor of a photo; a quarter of a gigabyte in float32
_MAX_CONSTANT = 1 << 27  # in one tensor of weights; the first Dense layer of VGG16 has 103 million
_MAX_TOTAL = 1 << 32  # in all tensors of a graph together; EfficientNetB7 comes to 2.5 billion
_EXPANDING = frozenset(
    """
    BatchToSpaceND BroadcastTo CropAndResize Fill ImageProjectiveTransformV2 ImageProjectiveTransformV3 MirrorPad OneHot
    Pad PadV2 Range ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor ScaleAndTranslate Tile Where
    """.split()  # noqa: SIM905
)
_BIAS = ("BiasAdd", "AddV2", "Add")
_RESHAPING = ("Reshape", "Squeeze")
_EXPECTED = "expected a last Dense layer (with softmax, sigmoid or nothing behind it) whose input becomes the embedding"
_QUANTIZED = (
    "it was prepared for quantization-aware training by TFMOT, and holds its quantizers: convert the float model that "
    "was given to quantize_model; edgetl quantizes it itself, and trains it with quantizers if asked to (--qat)"
)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Split:
    """A classifier in two parts.

    Args:
        backbone: (1, h, w, 3) float32 → (1, d) float32, a function of TensorFlow without the scaling that was stripped.
        weights, bias: (d, C) and (C,) float32 of the last Dense layer.
        activation: ``softmax``, ``sigmoid`` or ``linear``.
        scale: what pixels 0 and 255 are at the backbone's input.
        scaled_inside: whether scaling stays inside the backbone: by channel, or behind resizing.
    """

    backbone: Callable[[Any], Any]
    weights: Floats
    bias: Floats
    activation: str
    scale: tuple[float, float]
    scaled_inside: bool


@dataclass(frozen=True, eq=False)
class _Head:
    """The last layer with weights, Dense or a convolution of one pixel.

    Args:
        input: name of the tensor that it takes.
        is_map: whether that is a map, and its mean over the places the embedding.
        averaged: whether the scores of the places are averaged; else there must be one place only.
    """

    weights: Floats
    bias: Floats
    activation: str
    input: str
    is_map: bool
    averaged: bool


def split(frozen: FrozenGraph, asked: tuple[float, float] | None) -> Split:
    """A classifier in its two parts.

    Args:
        asked: what pixels 0 and 255 become before the classifier sees them; None to find out.

    Raises:
        InputError: it does not end in a Dense layer, or what it makes of pixels cannot be found out.
    """
    graph = GraphView(frozen.definition)
    _check_operations(graph)
    tensorflow = tf.load()

    def imported() -> None:
        tensorflow.graph_util.import_graph_def(graph.definition, name="")

    wrapped = tensorflow.compat.v1.wrap_function(imported, [])
    _check_sizes(wrapped.graph, graph)
    head = _find_head(graph, frozen.output)
    scaling = find_scaling(graph, frozen, asked)
    _check_width(graph, wrapped.graph, head)
    with wrapped.graph.as_default():
        features = wrapped.graph.get_tensor_by_name(head.input)
        if head.is_map:
            features = tensorflow.reduce_mean(features, [1, 2])
        features = tensorflow.reshape(features, (1, len(head.weights)))
    backbone = wrapped.prune([wrapped.graph.get_tensor_by_name(scaling.start)], features)
    parts = Split(backbone, head.weights, head.bias, head.activation, scaling.scale, scaling.inside)
    _check_equal(frozen, asked, parts)
    return parts


def _find_head(graph: GraphView, output: str) -> _Head:
    node, activation, averaged = graph.through(output), "linear", False
    if node.op in _RESHAPING:
        node = _through_reshaping(graph, node)
    if node.op in ("Softmax", "Sigmoid"):
        activation, node = node.op.lower(), graph.through(node.input[0])
    node = _through_reshaping(graph, node)
    if node.op == "Mean" and _axes(graph, node) == {1, 2}:
        averaged, node = True, _through_reshaping(graph, graph.through(node.input[0]))
    bias = None
    if node.op in _BIAS and (value := graph.constant(node.input[1])) is not None:
        bias, node = value, _through_reshaping(graph, graph.through(node.input[0]))
    weights = graph.constant(node.input[1]) if node.op in ("MatMul", "Conv2D") else None
    if node.op == "Conv2D" and weights is not None:
        weights = weights[0, 0] if weights.shape[:2] == (1, 1) else None
    if weights is None or (averaged and node.op == "MatMul"):
        raise InputError(f"not a classifier that can be split: it ends in {node.op}, {_EXPECTED}")
    if node.op == "MatMul" and node.attr["transpose_b"].b:
        weights = weights.T
    bias = np.zeros(weights.shape[1]) if bias is None else np.broadcast_to(bias.reshape(-1), weights.shape[1])
    return _Head(
        weights.astype(np.float32), bias.astype(np.float32), activation, tensor_name(node.input[0]),
        node.op == "Conv2D", averaged,
    )  # fmt: skip


def _through_reshaping(graph: GraphView, node: Any) -> Any:
    """The first node above that does more than to change the shape, or the type of its numbers."""
    while node.op in (*_RESHAPING, "Cast"):
        node = graph.through(node.input[0])
    return node


def _axes(graph: GraphView, node: Any) -> set[int]:
    axes = graph.constant(node.input[1])
    return set() if axes is None else {int(axis) % 4 for axis in np.atleast_1d(axes)}


def _check_operations(graph: GraphView) -> None:
    half = tf.load().float16.as_datatype_enum
    for node in graph.definition.node:
        if "Random" in node.op:
            raise InputError(RANDOM_AT_INFERENCE)
        if node.op == "NextIteration":
            raise InputError(RECURRENT)
        if node.op.startswith("FakeQuant"):
            raise InputError(_QUANTIZED)
        if node.op in ("Conv2D", "MatMul", "DepthwiseConv2dNative") and node.attr["T"].type == half:
            raise InputError(
                "it computes in 16-bit floats, which no converter takes: convert the .keras file, whose policy edgetl "
                "sets to float32, or export the model with that policy"
            )


def _check_sizes(tensors: Any, graph: GraphView) -> None:
    """Refuse a graph in which a tensor would fill the memory, constants included: nothing of it has run yet."""
    total = 0
    for operation in tensors.get_operations():
        is_constant = graph.is_constant(operation.name)
        limit = _MAX_CONSTANT if is_constant else _MAX_NUMBERS
        for tensor in operation.outputs:
            shape = tensor.shape
            if (is_constant or operation.type in _EXPANDING) and not shape.is_fully_defined():
                raise InputError(f"its {operation.type} makes a tensor whose size is only known once it runs")
            numbers = 0 if shape.rank is None else math.prod(size or 1 for size in shape)
            total += numbers
            if numbers > limit or (operation.type == "Const" and _promises(graph.nodes[operation.name], numbers)):
                raise InputError(f"its {operation.type} gives {shape} numbers for one photo: no memory holds that")
    if total > _MAX_TOTAL:
        raise InputError(f"its layers give {total:,} numbers for one photo: no camera's model needs that many")


def _promises(node: Any, numbers: int) -> bool:
    """Whether a constant is larger than what the file holds of it, one value standing for millions."""
    return numbers > 1 << 20 and node.ByteSize() < numbers


def _check_width(graph: GraphView, tensors: Any, head: _Head) -> None:
    """Refuse an embedding of more than one row, or too wide to be learned from."""
    shape = tensors.get_tensor_by_name(head.input).shape
    rows = math.prod(size or 1 for size in shape[:-1])
    if not head.averaged and rows != 1:
        raise InputError(f"its last layer gives classes for each of {rows} places of a photo, expected one for all")
    width = len(head.weights)
    if width <= MAX_FEATURES:
        return
    above = _through_reshaping(graph, graph.through(head.input))
    found = tensors.get_tensor_by_name(f"{above.name}:0").shape
    places = f", because it flattens a map of {found[1]}x{found[2]} places" if found.rank == 4 else ""
    raise InputError(
        f"its last layer takes {width:,} features{places}; edgetl takes up to {MAX_FEATURES:,}, as what is learned "
        "from grows with their square: put GlobalAveragePooling2D in the place of Flatten, or a Dense layer of some "
        "hundred units before the last, and train again"
    )


def _check_equal(frozen: FrozenGraph, asked: tuple[float, float] | None, parts: Split) -> None:
    """Hold the two parts against the whole on a photo of noise: what was cut off must have been understood."""
    tensorflow = tf.load()
    whole = callable_of(frozen.definition, [tensor_name(frozen.entry)], tensor_name(frozen.output))
    shape = next(
        node.attr["shape"].shape for node in frozen.definition.node if node.name == plain(frozen.entry)
    )  # fmt: skip
    share = np.random.default_rng(0).uniform(0, 1, [size.size for size in shape.dim])
    photos = [low + share * (high - low) for low, high in (asked or (0.0, 255.0), parts.scale)]
    expected, features = (
        np.asarray(part(tensorflow.constant(photo, tensorflow.float32)), np.float64)
        for part, photo in zip((whole, parts.backbone), photos, strict=True)
    )
    logits = (features @ parts.weights + parts.bias)[0]
    scores = _activated(logits, parts.activation)
    expected = expected.reshape(-1)
    if expected.shape != scores.shape or np.abs(expected - scores).max() > 1e-3 * max(1.0, np.abs(expected).max()):
        raise InputError(f"not a classifier that can be split: its two parts do not give what it gives; {_EXPECTED}")


def _activated(logits: npt.NDArray[Any], activation: str) -> npt.NDArray[Any]:
    if activation == "softmax":
        powers = np.exp(logits - logits.max())
        return np.asarray(powers / powers.sum())
    return np.asarray(1 / (1 + np.exp(-logits))) if activation == "sigmoid" else logits
