"""``.tflite`` files as objects: read, look up, write again.

The schema is the one that comes with LiteRT, so TensorFlow is not imported. For looking only, :mod:`.flatbuffer` is
simpler.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError

_IDENTIFIER = b"TFL3"
_BUFFER_ALIGNMENT = 16  # bytes: what schema.fbs demands of weights and the generated Python packer forgets

_NUMPY = {"FLOAT32": np.float32, "INT32": np.int32, "INT64": np.int64, "UINT8": np.uint8, "INT8": np.int8}


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
    """The bytes of a ``.tflite`` file → ``ModelT``; raises InputError on anything else."""
    if data[4:8] != _IDENTIFIER:
        raise InputError("not a .tflite file")
    try:
        model = schema().ModelT.InitFromObj(schema().Model.GetRootAs(data))
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"a damaged .tflite file: {' '.join(str(error).split())[:120]}") from None
    if not model.subgraphs or model.operatorCodes is None or model.buffers is None:
        raise InputError("a .tflite file without a graph")
    for buffer in model.buffers:
        if buffer.offset > 1:  # large files keep weights behind the flatbuffer
            buffer.data = np.frombuffer(data[buffer.offset : buffer.offset + buffer.size], np.uint8)
            buffer.offset = buffer.size = 0
    return model


def write_model(model: Any) -> bytes:
    """``ModelT`` → the bytes of a ``.tflite`` file, weights aligned as the schema demands."""
    import flatbuffers

    for buffer in model.buffers:
        buffer.Pack = lambda builder, buffer=buffer: _pack_buffer(builder, buffer)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def operator_name(model: Any, operator: Any) -> str:
    """``CONV_2D``; a custom operator's own name, such as ``edgetpu-custom-op``."""
    code = model.operatorCodes[operator.opcodeIndex]
    name = enumeration("BuiltinOperator").get(max(code.builtinCode, code.deprecatedBuiltinCode), "unknown")
    if name == "CUSTOM" and code.customCode:
        custom = code.customCode
        return custom.decode(errors="replace") if isinstance(custom, bytes) else str(custom)
    return name


def tensor_type(tensor: Any) -> str:
    """``INT8``, ``FLOAT32`` …"""
    return enumeration("TensorType").get(tensor.type, "unknown")


def dimensions(tensor: Any) -> tuple[int, ...]:
    """A tensor's shape; −1 where the size is only known at run time."""
    shape = () if tensor.shape is None else tuple(int(size) for size in tensor.shape)
    if tensor.shapeSignature is not None and len(tensor.shapeSignature) == len(shape):
        return tuple(int(size) for size in tensor.shapeSignature)
    return shape


def constant(model: Any, tensor: Any) -> npt.NDArray[Any] | None:
    """A tensor's values if the file holds them, else None: they are computed or fed."""
    if not 0 < tensor.buffer < len(model.buffers):
        return None
    data = model.buffers[tensor.buffer].data
    kind = _NUMPY.get(tensor_type(tensor))
    if data is None or not len(data):
        return None
    raw = np.asarray(data, np.uint8)
    values: npt.NDArray[Any] = raw if kind is None or len(raw) % np.dtype(kind).itemsize else raw.view(kind)
    return values


def _pack_buffer(builder: Any, buffer: Any) -> int:
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


class Appender:
    """Adds operators behind a model's only output, which becomes the last operator's.

    Args:
        model: ``ModelT`` with one graph and one output; changed in place.
    """

    def __init__(self, model: Any) -> None:
        if len(model.subgraphs) != 1 or len(model.subgraphs[0].outputs) != 1:
            raise InputError("expected a model with one graph and one output")
        self.model = model
        self.graph = model.subgraphs[0]
        self._types = {name: value for value, name in enumeration("TensorType").items()}

    def constant(self, name: str, values: npt.ArrayLike) -> int:
        """Numbers → index of a float32 tensor that holds them."""
        array, buffer = np.atleast_1d(np.asarray(values, np.float32)), schema().BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return self._tensor(name, array.shape, "FLOAT32", len(self.model.buffers) - 1, None)

    def operator(
        self,
        kind: str,
        inputs: list[int],
        shape: tuple[int, ...],
        options: str | None = None,
        *,
        version: int = 1,
        output: tuple[str, float, int] | None = None,
        **values: Any,
    ) -> int:
        """Append an operator → index of its output.

        Args:
            kind: TFLite's builtin name, such as ``FULLY_CONNECTED``.
            inputs: indices of its input tensors.
            shape: of its output.
            options: name of its options table, such as ``FullyConnectedOptions``, if it has any.
            version: of the operator.
            output: type, scale and zero point of a quantized output; float32 where None.
            values: what to set in its options.
        """
        tables = schema()
        kind_of, scale, zero = output or ("FLOAT32", None, None)
        quantization = None
        if scale is not None:
            quantization = tables.QuantizationParametersT()
            quantization.scale = np.array([scale], np.float32)
            quantization.zeroPoint = np.array([zero], np.int64)
        index = self._tensor(f"head/{kind.lower()}_{len(self.graph.tensors)}", shape, kind_of, 0, quantization)
        operator = tables.OperatorT()
        operator.opcodeIndex = self._code(kind, version)
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array([index], np.int32)
        if options is not None:
            operator.builtinOptionsType = getattr(tables.BuiltinOptions, options)
            operator.builtinOptions = getattr(tables, f"{options}T")()
            for name, value in values.items():
                setattr(operator.builtinOptions, name, value)
        self.graph.operators.append(operator)
        return index

    def finish(self, output: int, name: str) -> None:
        """Make tensor ``output`` the model's only output, called ``name``, in the graph and in its signatures."""
        self.graph.outputs = np.array([output], np.int32)
        self.graph.tensors[output].name = name
        for signature in self.model.signatureDefs or []:
            for entry in signature.outputs:
                entry.tensorIndex = output
                entry.name = name

    def _code(self, kind: str, version: int) -> int:
        builtin = getattr(schema().BuiltinOperator, kind)
        for index, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin and code.version == version:
                return index
        code = schema().OperatorCodeT()
        code.builtinCode, code.version = builtin, version
        code.deprecatedBuiltinCode = min(builtin, 127)  # what readers from before 2020 look at
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def _tensor(self, name: str, shape: tuple[int, ...], kind: str, buffer: int, quantization: Any) -> int:
        tensor = schema().TensorT()
        tensor.name, tensor.shape = name, np.array(shape, np.int32)
        tensor.type, tensor.buffer, tensor.quantization = self._types[kind], buffer, quantization
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1
