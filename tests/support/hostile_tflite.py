"""``.tflite`` classifiers whose tables contradict themselves, and zip archives that are damaged or made to harm."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert.tools import flatbuffer_utils

from edgetl.tflite.model import read_model, schema

SOUND = (Path(__file__).parent / "tiny_backbone.tflite").read_bytes()
Change = Callable[[Any, Any], None]


def changed(change: Change) -> bytes:
    """The sound file after ``change(model, graph)``."""
    model = read_model(SOUND)
    change(model, model.subgraphs[0])
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _last(kind: str, inputs: list[int] | None, outputs: list[int] | None = None) -> Change:
    """The last operator is of another kind and takes something else; −9 stands for the graph's output."""

    def change(model: Any, graph: Any) -> None:
        code = deepcopy(model.operatorCodes[0])
        code.builtinCode = getattr(schema().BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        model.operatorCodes.append(code)
        last = graph.operators[-1]
        last.opcodeIndex = len(model.operatorCodes) - 1
        last.inputs = None if inputs is None else [int(graph.outputs[0]) if i == -9 else i for i in inputs]
        last.outputs = last.outputs if outputs is None else outputs

    return change


def _input_shape(*shape: int) -> Change:
    def change(model: Any, graph: Any) -> None:
        tensor = graph.tensors[int(graph.inputs[0])]
        tensor.shape, tensor.shapeSignature = np.array(shape, np.int32), None

    return change


def _input_type(kind: str) -> Change:
    def change(model: Any, graph: Any) -> None:
        graph.tensors[int(graph.inputs[0])].type = getattr(schema().TensorType, kind)

    return change


def _scaling(scale: list[float] | None, zero: list[int] | None) -> Change:
    def change(model: Any, graph: Any) -> None:
        found = graph.tensors[int(graph.outputs[0])].quantization
        found.scale = None if scale is None else np.array(scale, np.float32)
        found.zeroPoint = None if zero is None else np.array(zero, np.int64)

    return change


def _no_quantization(model: Any, graph: Any) -> None:
    graph.tensors[int(graph.outputs[0])].quantization = None


def _swapped(model: Any, graph: Any) -> None:
    graph.operators = graph.operators[::-1]


def _twice(model: Any, graph: Any) -> None:
    graph.operators.append(graph.operators[0])


def _feeds_its_input(model: Any, graph: Any) -> None:
    graph.operators[-1].outputs = graph.inputs


def _far_buffer(model: Any, graph: Any) -> None:
    graph.tensors[0].buffer = 99_999


def _weights_behind(model: Any, graph: Any) -> None:
    buffer = next(buffer for buffer in model.buffers if buffer.data is not None and len(buffer.data))
    buffer.data, buffer.offset, buffer.size = None, 1 << 40, 1 << 20


def _signature(tensor: int, graph_index: int = 0) -> Change:
    def change(model: Any, graph: Any) -> None:
        entry, signature = schema().TensorMapT(), schema().SignatureDefT()
        entry.name, entry.tensorIndex = "x", tensor
        signature.signatureKey, signature.outputs, signature.subgraphIndex = "serving_default", [entry], graph_index
        model.signatureDefs = [signature]

    return change


def _metadata(model: Any, graph: Any) -> None:
    entry = schema().MetadataT()
    entry.name, entry.buffer = "min_runtime_version", 99_999
    model.metadata = [entry]


def _wide(*shape: int) -> Change:
    def change(model: Any, graph: Any) -> None:
        graph.tensors[int(graph.outputs[0])].shape = np.array(shape, np.int32)

    return change


def _set(name: str, value: Any) -> Change:
    return lambda model, graph: setattr(graph, name, value)


def _first(name: str, value: Any) -> Change:
    return lambda model, graph: setattr(graph.operators[0], name, value)


CONTRADICTIONS: dict[str, tuple[Change, str]] = {
    "an operator that is its own input": (_last("RESHAPE", [-9]), "later, or by itself"),
    "operators in another order": (_swapped, "later, or by itself"),
    "an operator listed twice": (_twice, "computed twice"),
    "an operator that computes the input": (_feeds_its_input, "computed twice"),
    "a dense layer without weights": (_last("FULLY_CONNECTED", [0]), "FULLY_CONNECTED lacks inputs"),
    "a dense layer whose weights are left out": (_last("FULLY_CONNECTED", [0, -1]), "FULLY_CONNECTED lacks inputs"),
    "a reshape of nothing": (_last("RESHAPE", None), "RESHAPE lacks inputs"),
    "an operator without outputs": (_last("RESHAPE", [0], []), "RESHAPE gives nothing"),
    "an unknown operator of nothing": (_last("CALL_ONCE", None, []), "it ends in nothing"),
    "no operators": (_set("operators", None), "it ends in nothing"),
    "no tensors": (_set("tensors", None), "a tensor that is not there"),
    "no input": (_set("inputs", None), "inputs: 0"),
    "no output": (_set("outputs", None), "outputs: 0"),
    "two subgraphs": (lambda model, graph: model.subgraphs.append(graph), "expected one graph"),
    "an input of 75 million pixels": (_input_shape(1, 5000, 5000, 3), "image size must be 1 to 1024"),
    "an input of no pixels": (_input_shape(1, 0, 32, 3), "image size must be 1 to 1024"),
    "an input of any size": (_input_shape(1, -1, -1, 3), "image size must be 1 to 1024"),
    "an input of negative size": (_input_shape(1, -5, 32, 3), "negative size"),
    "an input of strings": (_input_type("STRING"), "32, 3\\) string"),
    "an embedding without zero points": (_scaling([0.5], []), "without a scale"),
    "an embedding without scales": (_scaling(None, [0]), "without a scale"),
    "an embedding without quantization": (_no_quantization, "without a scale"),
    "more zero points than scales": (_scaling([0.5], [0, 1]), "1 scales and 2 zero points"),
    "a scale that is no number": (_scaling([float("nan")], [0]), "with scale nan"),
    "a zero point out of range": (_scaling([0.5], [1 << 40]), "zero point 1099511627776"),
    "an embedding of 2 billion": (_wide(1, 2_000_000_000), "edgetl up to"),
    "an embedding of negative size": (_wide(1, -1), "it ends in"),
    "a buffer that is not there": (_far_buffer, "a buffer that is not there"),
    "weights far behind the file": (_weights_behind, "cut off"),
    "a signature of no tensor": (_signature(99_999), "a signature of a tensor"),
    "a signature of no graph": (_signature(0, 7), "a signature of a graph"),
    "metadata of no buffer": (_metadata, "its metadata is not there"),
    "an operator of a negative tensor": (_first("inputs", [-7]), "a tensor that is not there"),
}
"""What is wrong → how to make it, and what the refusal says."""


def shared_buffers(count: int) -> bytes:
    """A file in which ``count`` buffers are one and the same megabyte: written again, each is a copy."""
    tables = schema()
    builder = flatbuffers.Builder(1 << 21)
    content = builder.CreateNumpyVector(np.zeros(1 << 20, np.uint8))
    tables.BufferStart(builder)
    tables.BufferAddData(builder, content)
    buffer = tables.BufferEnd(builder)
    builder.StartVector(4, count, 4)
    for _ in range(count):
        builder.PrependUOffsetTRelative(buffer)
    buffers = builder.EndVector()
    tables.ModelStart(builder)
    tables.ModelAddBuffers(builder, buffers)
    builder.Finish(tables.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def _zipped(packing: int = zipfile.ZIP_DEFLATED) -> bytearray:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as archive:
        archive.writestr("model.tflite", bytes(SOUND))
    return bytearray(stream.getvalue())


def corrupt() -> bytes:
    """Its compressed bytes are none."""
    data = _zipped()
    start = 30 + len("model.tflite")
    data[start : start + 20] = b"\xff" * 20
    return bytes(data)


def newer() -> bytes:
    """It needs version 9.9 of the format."""
    data = _zipped()
    entry = data.find(b"PK\1\2")
    data[entry + 6 : entry + 8] = struct.pack("<H", 99)
    return bytes(data)


def encrypted() -> bytes:
    """Its member says that it needs a password."""
    data = _zipped()
    data[6] |= 1
    data[data.find(b"PK\1\2") + 8] |= 1
    return bytes(data)


def truncated() -> bytes:
    """The member claims more bytes than the archive has."""
    data = _zipped(zipfile.ZIP_STORED)
    entry = data.find(b"PK\1\2")
    for place in (18, 22, entry + 20, entry + 24):
        data[place : place + 4] = struct.pack("<I", len(data) + (1 << 20))
    return bytes(data)


def bomb() -> bytes:
    """64 MB of zeros behind the beginning of a ``.tflite`` file, in 65 kB."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("model.tflite", "w") as member:
        member.write(b"\0\0\0\0TFL3")
        for _ in range(64):
            member.write(bytes(1 << 20))
    return stream.getvalue()


ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "corrupt": (corrupt, "cannot be read"),
    "newer": (newer, "holds 0 .tflite files"),
    "encrypted": (encrypted, "cannot be read"),
    "truncated": (truncated, "cannot be read"),
    "lzma": (lambda: bytes(_zipped(zipfile.ZIP_LZMA)), "packed in an unusual way"),
    "bomb": (bomb, "unpacks to more than"),
}
"""Kind → how to make it, and what the refusal says."""
