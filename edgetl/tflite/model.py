"""Reading a ``.tflite`` file back: operators, tensors, weights, exactly as they are stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError

FLOAT_TYPES = frozenset({"FLOAT32", "FLOAT16", "FLOAT64", "BFLOAT16"})
WEIGHT_INPUT = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1}
"""Operators that multiply with weights, and which of their inputs those are."""

_DTYPES = {"INT8": np.int8, "UINT8": np.uint8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
           "FLOAT16": np.float16, "FLOAT32": np.float32, "FLOAT64": np.float64, "BOOL": np.bool_}  # fmt: skip


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
        found = []
        for operator in self.operators:
            if operator.name in WEIGHT_INPUT:
                index = operator.inputs[WEIGHT_INPUT[operator.name]]
                tensor = self.tensors[stored.get(index, index)]
                if tensor.value is not None:
                    found.append((operator, tensor))
        return found


def read(data: bytes) -> Graph:
    """Parse the bytes of a ``.tflite`` file; raises InputError on anything else, or more than one subgraph."""
    from ai_edge_litert import schema_py_generated as schema

    if data[4:8] != b"TFL3":
        raise InputError("not a .tflite file")
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))
    except Exception as error:  # flatbuffers raises struct.error, TypeError, IndexError and others on damaged bytes
        raise InputError(f"a damaged .tflite file: {error}") from None
    if len(model.subgraphs) != 1:
        raise InputError(f"expected one subgraph, the .tflite file has {len(model.subgraphs)} (control flow?)")
    type_names = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    op_names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    graph = model.subgraphs[0]
    tensors = tuple(_tensor(tensor, type_names[tensor.type], model.buffers, data) for tensor in graph.tensors)
    operators = []
    for position, operator in enumerate(graph.operators):
        code = model.operatorCodes[operator.opcodeIndex]
        inputs, outputs = (tuple(int(i) for i in ends if i >= 0) for ends in (operator.inputs, operator.outputs))
        name = op_names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        types = tuple(tensors[index].type for index in (*inputs, *outputs))
        operators.append(Operator(position, name, inputs, outputs, types))
    return Graph(tensors, tuple(operators), tuple(map(int, graph.inputs)), tuple(map(int, graph.outputs)))


def operators(data: bytes) -> list[Operator]:
    """The operators of a ``.tflite`` file in execution order; raises InputError on anything else."""
    return list(read(data).operators)


def _tensor(tensor: object, kind: str, buffers: object, data: bytes) -> Tensor:
    stored = buffers[tensor.buffer]  # type: ignore[attr-defined, index]
    shape = tuple(int(size) for size in (tensor.shape if tensor.shape is not None else ()))  # type: ignore[attr-defined]
    quantization = tensor.quantization  # type: ignore[attr-defined]
    scale = quantization.scale if quantization is not None else None
    value: npt.NDArray[np.generic] | None = None
    if kind in _DTYPES:
        if stored.data is not None and len(stored.data):
            raw = np.asarray(stored.data, np.uint8).tobytes()
        else:  # files above 2 GB, and some smaller ones, keep constants behind the flatbuffer
            raw = data[stored.offset : stored.offset + stored.size] if stored.offset > 1 else b""
        if raw:
            value = np.frombuffer(raw, _DTYPES[kind]).reshape(shape)
    name = tensor.name.decode(errors="replace") if tensor.name else ""  # type: ignore[attr-defined]
    return Tensor(name, kind, shape, 0 if scale is None else len(scale), value)
