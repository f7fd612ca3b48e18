"""A classifier in a ``.tflite`` file → the same weights, ending in another of its tensors, and taking plain pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgetl_device.errors import InputError
from edgetl_device.preprocess import Preprocessing

from .appender import Appender
from .model import dimensions, operator_name, read_model, scaling, sizes, tensor_type, text, write_model

_BEHIND = frozenset({"SOFTMAX", "LOGISTIC", "QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE"})
_OWN_HEAD = "head/"  # how the tensors of edgetl's own heads are called
_EXPECTED = "expected an image classifier whose last layer is fully connected, or a convolution of one pixel"


@dataclass(frozen=True)
class Layout:
    """Where things are in a classifier's file.

    Args:
        height, width: of its input, pixels.
        input: element type of its input: ``UINT8``, ``INT8`` or ``FLOAT32``.
        embedding: index of the tensor that its last layer takes.
        features: how many numbers that has.
        output: index of its output.
        classes: how many scores that has; None of a file that ends in its embedding.
        is_own: whether edgetl fused it.
    """

    height: int
    width: int
    input: str
    embedding: int
    features: int
    output: int
    classes: int | None
    is_own: bool


def layout(data: bytes) -> Layout:
    """Look through a classifier's file.

    Raises:
        InputError: it is no ``.tflite`` file, or no image classifier; the message says why.
    """
    model = read_model(data)
    if len(model.subgraphs) != 1:
        raise InputError(f"expected one graph, the .tflite file has {len(model.subgraphs)} (control flow?)")
    (graph,) = model.subgraphs
    inputs, outputs = sizes(graph.inputs), sizes(graph.outputs)
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(f"it has inputs: {len(inputs)}, outputs: {len(outputs)}; {_EXPECTED}")
    shape, kind = sizes(graph.tensors[inputs[0]].shape), tensor_type(graph.tensors[inputs[0]])
    if len(shape) != 4 or shape[0] != 1 or shape[3] != 3 or kind not in ("UINT8", "INT8", "FLOAT32"):
        raise InputError(f"its input is {shape} {kind.lower()}, expected (1, height, width, 3) uint8, int8 or float32")
    if any("edgetpu" in operator_name(model, operator) for operator in graph.operators):
        raise InputError("it is compiled for the Edge TPU: give the file it was compiled from")
    Preprocessing(shape[1], shape[2])  # refuses sizes that no camera photo is shrunk to
    embedding, is_own = _embedding(model, graph, outputs[0])
    features, scores = _count(graph, embedding), _count(graph, outputs[0])
    if not features:
        raise InputError(f"its last layer takes {dimensions(graph.tensors[embedding])}; {_EXPECTED}")
    if not scores:
        raise InputError(f"it gives {dimensions(graph.tensors[outputs[0]])}; {_EXPECTED}")
    classes = None if embedding == outputs[0] else scores
    return Layout(shape[1], shape[2], kind, embedding, features, outputs[0], classes, is_own)


def repointed(data: bytes, tensor: int, scale: tuple[float, float] | None = None) -> bytes:
    """The file with ``tensor`` as its output, (1, d) int8 or float32, and pixels 0 … 255 as its input.

    What the output does not need is left out. An input of int8 or float32 gets operators in front that make it of
    pixels.

    Args:
        scale: what pixels 0 and 255 are for its input; None where an input of floats takes pixels, or one of integers
            takes them as its own integers.

    Raises:
        InputError: the tensor is of another kind.
    """
    model = read_model(data)
    (graph,) = model.subgraphs
    model.signatureDefs, model.metadata = None, None
    graph.outputs = np.array([tensor], np.int32)
    _prune(model, graph)
    kind, shape = tensor_type(graph.tensors[tensor]), (1, _count(graph, tensor))
    if kind not in ("UINT8", "INT8", "FLOAT32"):
        raise InputError(f"its embedding is {kind.lower()}, expected uint8, int8 or float32")
    appender, end = Appender(model, "given"), tensor
    step, zero = _quantization(graph.tensors[tensor], kind)
    if kind == "UINT8":
        zero, kind = zero - 128, "INT8"
        end = appender.operator("QUANTIZE", [end], sizes(graph.tensors[end].shape), "QuantizeOptions",
                                output=("INT8", step, zero))  # fmt: skip
    if sizes(graph.tensors[end].shape) != shape:
        output = (kind, step, zero) if kind == "INT8" else None
        end = appender.operator("RESHAPE", [end], shape, "ReshapeOptions", newShape=list(shape), output=output)
    appender.finish(end, "embedding")
    _take_pixels(appender, scale)
    return write_model(model)


def _embedding(model: Any, graph: Any, output: int) -> tuple[int, bool]:
    """The tensor that the last layer takes, and whether edgetl's own head does."""
    makers = {index: operator for operator in graph.operators for index in sizes(operator.outputs)}
    for operator in graph.operators:
        taken, given = sizes(operator.inputs)[:1], sizes(operator.outputs)[:1]
        if taken and given and min(taken + given) >= 0 and text(graph.tensors[given[0]].name).startswith(_OWN_HEAD):
            return taken[0], True
    index = output
    while index in makers and operator_name(model, makers[index]) in _BEHIND:
        index = sizes(makers[index].inputs)[0]  # of an operator before it: the reader refuses any other order
    last = makers.get(index)
    name = operator_name(model, last) if last is not None else "nothing"
    if last is not None and name in ("FULLY_CONNECTED", "CONV_2D"):
        weights = graph.tensors[sizes(last.inputs)[1]]
        pixel = name == "FULLY_CONNECTED" or sizes(weights.shape)[1:3] == (1, 1)
        entry = sizes(last.inputs)[0]
        if pixel and _count(graph, entry):
            return entry, False
    if last is not None and name in ("AVERAGE_POOL_2D", "MEAN") and _count(graph, output):
        return output, False  # an embedding extractor
    raise InputError(f"it ends in {name}; {_EXPECTED}")


def _count(graph: Any, index: int) -> int:
    """Numbers of a tensor that has one place: (1, d) or (1, 1, 1, d); else 0."""
    shape = sizes(graph.tensors[index].shape)
    return max(shape[-1], 0) if shape and all(size == 1 for size in shape[:-1]) else 0


def _prune(model: Any, graph: Any) -> None:
    """Leave out the operators that the output does not need, and the numbers of tensors that nobody uses."""
    needed, kept = set(sizes(graph.outputs)), []
    for operator in reversed(graph.operators):
        if needed & set(sizes(operator.outputs)):
            needed |= {index for index in sizes(operator.inputs) if index >= 0}
            kept.append(operator)
    graph.operators = kept[::-1]
    used = {graph.tensors[index].buffer for index in needed}
    for tensor in graph.tensors:
        if tensor.buffer and tensor.buffer not in used:
            model.buffers[tensor.buffer].data = None
            tensor.buffer = 0


def _quantization(tensor: Any, kind: str) -> tuple[float, int]:
    if kind == "FLOAT32":
        return 0.0, 0
    (scales, zeros), (low, high) = scaling(tensor), (0, 255) if kind == "UINT8" else (-128, 127)
    if len(scales) != 1 or len(zeros) != 1:
        raise InputError("its embedding or input is of integers without a scale")
    if not (math.isfinite(scales[0]) and scales[0] > 0 and low <= zeros[0] <= high):
        raise InputError(
            f"its embedding or input is of {kind.lower()} with scale {scales[0]} and zero point {zeros[0]}"
        )
    return scales[0], zeros[0]


def _take_pixels(appender: Appender, scale: tuple[float, float] | None) -> None:
    graph, before = appender.graph, len(appender.graph.operators)
    (entry,) = sizes(graph.inputs)
    kind, shape = tensor_type(graph.tensors[entry]), sizes(graph.tensors[entry].shape)
    if (kind == "UINT8" and scale is None) or (kind == "FLOAT32" and scale in (None, (0.0, 255.0))):
        return
    low, high = scale or (0.0, 255.0)
    if kind != "FLOAT32":
        step, zero = _quantization(graph.tensors[entry], kind)
        as_pixels = (step, zero + (128 if kind == "INT8" else 0))
        if scale is not None:
            as_pixels = ((high - low) / 255, int(np.clip(round(-255 * low / (high - low)), 0, 255)))
        pixels = appender.tensor("pixels", shape, ("UINT8", *as_pixels))
        made = appender.operator("QUANTIZE", [pixels], shape, "QuantizeOptions", output=(kind, step, zero))
    else:
        pixels = appender.tensor("pixels", shape, None)
        factor = appender.constant("pixels/factor", (high - low) / 255)
        made = appender.operator("MUL", [pixels, factor], shape, "MulOptions")
        made = appender.operator("ADD", [made, appender.constant("pixels/low", low)], shape, "AddOptions")
    graph.operators = [*graph.operators[before:], *graph.operators[:before]]
    for operator in graph.operators[len(graph.operators) - before :]:
        operator.inputs = np.array([made if index == entry else index for index in sizes(operator.inputs)], np.int32)
    graph.inputs = np.array([pixels], np.int32)
