"""``.tflite`` files that bring down, hold up or fill whoever runs them, made from a sound one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.bundle.content import BundleContent

SOUND = Path(__file__).parent / "tiny_inspectable.tflite"


def endless() -> bytes:
    """A sound backbone, and beside it a loop whose condition is always true."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(SOUND.read_bytes()))
    counter, verdict = _tensor(schema.TensorType.INT32), _tensor(schema.TensorType.BOOL)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.array([1], np.int32).tobytes(), np.uint8)
    model.buffers.append(buffer)
    start = _tensor(schema.TensorType.INT32)
    start.buffer = len(model.buffers) - 1
    condition, body = schema.SubGraphT(), schema.SubGraphT()
    condition.name, body.name = b"condition", b"body"
    condition.tensors, condition.inputs, condition.outputs = [counter, verdict], [0], [1]
    condition.operators = [_operator(_code(model, schema.BuiltinOperator.EQUAL), [0, 0], [1])]
    condition.operators[0].builtinOptionsType = schema.BuiltinOptions.EqualOptions
    condition.operators[0].builtinOptions = schema.EqualOptionsT()
    result = _tensor(schema.TensorType.INT32)
    body.tensors, body.inputs, body.outputs = [counter, result], [0], [1]
    body.operators = [_operator(_code(model, schema.BuiltinOperator.ABS), [0], [1])]
    main = model.subgraphs[0]
    main.tensors += [start, _tensor(schema.TensorType.INT32)]
    loop = _operator(_code(model, schema.BuiltinOperator.WHILE), [len(main.tensors) - 2], [len(main.tensors) - 1])
    loop.builtinOptionsType = schema.BuiltinOptions.WhileOptions
    loop.builtinOptions = schema.WhileOptionsT()
    loop.builtinOptions.condSubgraphIndex, loop.builtinOptions.bodySubgraphIndex = 1, 2
    main.operators.insert(0, loop)
    model.subgraphs += [condition, body]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def greedy() -> bytes:
    """A sound backbone, and beside it a tensor of 64 GB."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(SOUND.read_bytes()))
    main = model.subgraphs[0]
    for values in (np.array([1 << 17, 1 << 17], np.int32), np.array(1.0, np.float32)):
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor = _tensor(schema.TensorType.FLOAT32 if values.dtype == np.float32 else schema.TensorType.INT32)
        tensor.shape = list(values.shape)
        tensor.buffer = len(model.buffers) - 1
        main.tensors.append(tensor)
    filled = _tensor(schema.TensorType.FLOAT32)
    filled.shape = [1, 1]
    main.tensors.append(filled)
    count = len(main.tensors)
    operator = _operator(_code(model, schema.BuiltinOperator.FILL), [count - 3, count - 2], [count - 1])
    main.operators.insert(0, operator)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def crowded(count: int) -> bytes:
    """A file whose graphs are all the same table, which lists one tensor over and over."""
    builder = flatbuffers.Builder(1024)
    shape = builder.CreateNumpyVector(np.ones(count, np.int32))
    schema.TensorStart(builder)
    schema.TensorAddShape(builder, shape)
    tensor = schema.TensorEnd(builder)
    tensors = vector(builder, [tensor] * count)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    graph = schema.SubGraphEnd(builder)
    graphs = vector(builder, [graph] * count)
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in offsets:
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _tensor(kind: int) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.buffer, tensor.name = [1], kind, 0, b"made"
    return tensor


def _operator(code: int, inputs: list[int], outputs: list[int]) -> schema.OperatorT:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, outputs
    return operator


def _code(model: schema.ModelT, builtin: int) -> int:
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def crashing() -> bytes:
    """Four bytes of a sound one are others; with LiteRT 2.3.0 on x86-64 that ends in SIGSEGV."""
    data = bytearray(SOUND.read_bytes())
    for place, value in ((17891, 158), (20769, 154), (20095, 57), (15302, 120)):
        data[place] = value
    return bytes(data)


def zeros() -> bytes:
    return bytes(20_000)


BACKBONES: dict[str, Callable[[], bytes]] = {
    "crashing": crashing,
    "endless": endless,
    "greedy": greedy,
    "zeros": zeros,
}


def bundle_with(path: Path, sound: Path, backbone: bytes) -> Path:
    """A bundle that is right in everything, but for its backbone."""
    bundle = open_bundle(sound)
    statistics = replace(BundleContent(bundle).statistics, backbone=hashlib.sha256(backbone).hexdigest())
    members = {**bundle.members, "backbone.tflite": backbone, "statistics.npz": statistics.to_bytes()}
    write_bundle(path, bundle.manifest, members)
    return path
