"""What a ``.tflite`` file with one graph computes: its operators, tensors and weights, for looking at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError

from . import model as tflite
from .soundness import damaged

FLOAT_TYPES = frozenset({"FLOAT32", "FLOAT16", "FLOAT64", "BFLOAT16"})
WEIGHT_INPUT = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1}
"""Operators that multiply with weights, and which of their inputs those are."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of a ``.tflite`` file.

    Args:
        name: given by the converter.
        type: TFLite's name, such as ``INT8``.
        shape: as stored.
        scales: how many quantization scales it has: 0 float, 1 per tensor, more per channel.
        value: the constant it holds; None where it is computed, or of a type that NumPy lacks.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    scales: int
    value: npt.NDArray[np.generic] | None

    @property
    def is_float(self) -> bool:
        """Whether it holds floating-point numbers."""
        return self.type in FLOAT_TYPES


@dataclass(frozen=True)
class Operator:
    """One operator of a ``.tflite`` file.

    Args:
        index: its position in execution order.
        name: TFLite's builtin name, such as ``CONV_2D``.
        inputs, outputs: indices into the file's tensors.
        types: element types of its inputs and outputs.
    """

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    types: tuple[str, ...]

    @property
    def is_float(self) -> bool:
        """Whether any of its tensors is floating point."""
        return bool(FLOAT_TYPES & set(self.types))


@dataclass(frozen=True, eq=False)
class Graph:
    """A ``.tflite`` file with one subgraph.

    Args:
        inputs, outputs: indices into ``tensors``.
    """

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def weights(self) -> list[tuple[Operator, Tensor]]:
        """Each operator that multiplies with constant weights, and those; float16 weights are looked up behind their
        DEQUANTIZE."""
        stored = {
            operator.outputs[0]: operator.inputs[0] for operator in self.operators if operator.name == "DEQUANTIZE"
        }
        weights = []
        for operator in self.operators:
            if operator.name in WEIGHT_INPUT:
                index = operator.inputs[WEIGHT_INPUT[operator.name]]
                tensor = self.tensors[stored.get(index, index)]
                if tensor.value is not None:
                    weights.append((operator, tensor))
        return weights


def read(data: bytes) -> Graph:
    """Parse the bytes of a ``.tflite`` file; raises InputError on anything else, or more than one graph."""
    model = tflite.read_model(data)
    if len(model.subgraphs) != 1:
        raise InputError(f"expected one graph, the .tflite file has {len(model.subgraphs)} (control flow?)")
    (graph,) = model.subgraphs
    tensors = tuple(_tensor(model, tensor) for tensor in graph.tensors)
    operators = []
    for position, operator in enumerate(graph.operators or []):
        ends = [
            tuple(index for index in tflite.sizes(end) if index >= 0) for end in (operator.inputs, operator.outputs)
        ]
        types = tuple(tensors[index].type for index in (*ends[0], *ends[1]))
        operators.append(Operator(position, tflite.operator_name(model, operator), ends[0], ends[1], types))
    return Graph(tensors, tuple(operators), tflite.sizes(graph.inputs), tflite.sizes(graph.outputs))


def _tensor(model: object, tensor: object) -> Tensor:
    shape = tflite.sizes(tensor.shape)  # type: ignore[attr-defined]
    name = tflite.text(tensor.name)  # type: ignore[attr-defined]
    value, kind = tflite.constant(model, tensor), tflite.tensor_type(tensor)
    if value is not None and value.dtype == np.uint8 and kind != "UINT8":
        value = None  # of a type that NumPy lacks
    if value is not None:
        if value.size != math.prod(shape):
            raise damaged(f"{name[:60]!r} holds {value.size} numbers, its shape is {shape}")
        value = value.reshape(shape)
    quantization = tensor.quantization  # type: ignore[attr-defined]
    scales = 0 if quantization is None or quantization.scale is None else len(quantization.scale)
    return Tensor(name, kind, shape, scales, value)
