"""``.tflite`` files as objects: read, look up, write again.

The schema's classes come with LiteRT (:mod:`ai_edge_litert.tools.flatbuffer_utils`), so TensorFlow is not imported.
They check nothing of what they read, so a file from a stranger is checked here: before, that no table claims more
entries than the file has bytes; after, that every index points at something (:mod:`.soundness`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError

from .soundness import check_file, check_lengths, check_operators, check_references, damaged

_IDENTIFIER = b"TFL3"
_BUFFER_ALIGNMENT = 16  # bytes: what schema.fbs demands of weights and the generated Python packer forgets
_NUMPY: Mapping[str, type[np.generic]] = {
    "BOOL": np.bool_, "FLOAT16": np.float16, "FLOAT32": np.float32, "FLOAT64": np.float64, "INT8": np.int8,
    "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "UINT8": np.uint8,
}  # fmt: skip


def schema() -> Any:
    """The generated module with TFLite's tables and enumerations."""
    from ai_edge_litert import schema_py_generated

    return schema_py_generated


@cache
def enumeration(name: str) -> Mapping[int, str]:
    """Value → name of one of the schema's enumerations, such as ``BuiltinOperator`` or ``TensorType``."""
    values = vars(getattr(schema(), name)).items()
    return MappingProxyType({value: key for key, value in values if isinstance(value, int)})


def read_model(data: bytes) -> Any:
    """The bytes of a ``.tflite`` file → ``ModelT``, its weights inside, every index in it valid.

    Operators have the inputs that edgetl looks at and stand in execution order; lists are empty, never None.

    Raises:
        InputError: it is no ``.tflite`` file, a damaged one, or has no graph.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    if data[4:8] != _IDENTIFIER:
        raise InputError("not a .tflite file, or a damaged one; copy it again")
    try:
        check_lengths(schema().Model.GetRootAs(data), len(data))
        model = flatbuffer_utils.convert_bytearray_to_object(data)
        if not model.subgraphs or model.operatorCodes is None or model.buffers is None:
            raise InputError("a .tflite file without a graph")
        _fill_in(model)
        for graph in model.subgraphs:
            check_references(model, graph)
            check_operators(graph, [operator_name(model, operator) for operator in graph.operators])
        check_file(model, len(data))
    except InputError:
        raise
    except Exception:  # flatbuffers raises struct.error, TypeError, IndexError and others on damaged bytes
        raise damaged() from None
    for buffer in model.buffers:
        if buffer.offset > 1:  # large files keep weights behind the flatbuffer
            buffer.data = np.frombuffer(data[buffer.offset : buffer.offset + buffer.size], np.uint8)
            buffer.offset = buffer.size = 0
    return model


def write_model(model: Any) -> bytes:
    """``ModelT`` → the bytes of a ``.tflite`` file, weights aligned as the schema demands."""
    from ai_edge_litert.tools import flatbuffer_utils

    for buffer in model.buffers:
        buffer.Pack = lambda builder, buffer=buffer: _pack_aligned(builder, buffer)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def operator_name(model: Any, operator: Any) -> str:
    """``CONV_2D``; a custom operator's own name, such as ``edgetpu-custom-op``."""
    code = model.operatorCodes[operator.opcodeIndex]
    name = enumeration("BuiltinOperator").get(max(code.builtinCode, code.deprecatedBuiltinCode), "unknown")
    return text(code.customCode) if name == "CUSTOM" and code.customCode else name


def tensor_type(tensor: Any) -> str:
    """``INT8``, ``FLOAT32`` …"""
    return enumeration("TensorType").get(tensor.type, "unknown")


def dimensions(tensor: Any) -> tuple[int, ...]:
    """A tensor's shape; −1 where the size is only known at run time."""
    shape = sizes(tensor.shape)
    signature = sizes(tensor.shapeSignature)
    return signature if signature and len(signature) == len(shape) else shape


def constant(model: Any, tensor: Any) -> npt.NDArray[Any] | None:
    """A tensor's values, flat, if the file holds them, else None: they are computed or fed.

    Bytes of a type that NumPy lacks, or that do not come out even, stay uint8.
    """
    data = model.buffers[tensor.buffer].data if tensor.buffer > 0 else None  # the first one is always empty
    if data is None or not len(data):
        return None
    raw, kind = np.asarray(data, np.uint8), _NUMPY.get(tensor_type(tensor))
    values: npt.NDArray[Any] = raw if kind is None or len(raw) % np.dtype(kind).itemsize else raw.view(kind)
    return values


def scaling(tensor: Any) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """A tensor's quantization scales and zero points; empty of one that is not quantized."""
    found = tensor.quantization
    if found is None:
        return (), ()
    return () if found.scale is None else tuple(float(value) for value in found.scale), sizes(found.zeroPoint)


def text(value: bytes | str | None) -> str:
    """A string of the file; bytes that are no UTF-8 are replaced."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def sizes(values: Iterable[int] | None) -> tuple[int, ...]:
    """A list of integers of the file as Python's own."""
    return () if values is None else tuple(int(value) for value in values)


def _fill_in(model: Any) -> None:
    """Empty lists in place of those that the file leaves out."""
    for graph in model.subgraphs:
        _empty(graph, ("tensors", "operators", "inputs", "outputs"))
        for operator in graph.operators:
            _empty(operator, ("inputs", "outputs"))
    for signature in model.signatureDefs or []:
        _empty(signature, ("inputs", "outputs"))


def _empty(table: Any, names: Iterable[str]) -> None:
    for name in names:
        if getattr(table, name) is None:
            setattr(table, name, [])


def _pack_aligned(builder: Any, buffer: Any) -> int:
    tables = schema()
    vector = None
    if buffer.data is not None:
        content = np.asarray(buffer.data, np.uint8).tobytes()
        builder.StartVector(1, len(content), _BUFFER_ALIGNMENT)
        builder.head = builder.head - len(content)
        builder.Bytes[builder.head : builder.head + len(content)] = content
        vector = builder.EndVector()
    tables.BufferStart(builder)
    if vector is not None:
        tables.BufferAddData(builder, vector)
    end: int = tables.BufferEnd(builder)
    return end
