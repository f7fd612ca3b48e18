"""A ``.tflite`` backbone → the same with its feature map as a second output.

The embedding is the mean of a feature map over its places, so the tensor is in the file already; it only has to be
named as an output. Nothing is computed differently, and nothing is converted twice.
"""

from __future__ import annotations

from typing import Any

from edgetl_device.errors import InputError
from edgetl_device.inference.interpreter import FEATURE_MAP, MAP_PREFIX

from .model import operator_name, read_model, schema, sizes, text, write_model

_PASSED_THROUGH = ("QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE")
_POOLS = ("MEAN", "AVERAGE_POOL_2D")


def expose_feature_map(data: bytes) -> bytes:
    """Add the output; a file that has it comes back as it is.

    Args:
        data: a ``.tflite`` file with one input and an output (1, d).

    Raises:
        InputError: it does not end in global average pooling.
    """
    model = read_model(data)
    graph = model.subgraphs[0]  # that is the one that runs; others are parts of it, as loops
    tensor = pooled_tensor(model, graph)
    if tensor in sizes(graph.outputs):
        name = text(graph.tensors[tensor].name)
        if not name.startswith(MAP_PREFIX):
            return data
        graph.tensors[tensor].name = FEATURE_MAP + name
        return write_model(model)
    graph.outputs = [*sizes(graph.outputs), tensor]
    for signature in model.signatureDefs or []:
        extra = schema().TensorMapT()
        extra.name, extra.tensorIndex = "feature_map", tensor
        signature.outputs = [*signature.outputs, extra]
    return write_model(model)


def pooled_tensor(model: Any, graph: Any) -> int:
    """The tensor that the first output is the mean of.

    Raises:
        InputError: the backbone does not end in global average pooling.
    """
    operators = graph.operators
    producer = {output: operator for operator in operators for output in sizes(operator.outputs)}
    (tensor,) = sizes(graph.outputs)[:1] or (-1,)
    for _ in operators:
        operator = producer.get(tensor)
        inputs = [] if operator is None else sizes(operator.inputs)
        if not inputs or inputs[0] < 0:
            break
        name, tensor = operator_name(model, operator), inputs[0]
        if name in _POOLS and len(sizes(graph.tensors[tensor].shape)) == 4:
            return tensor
        if name not in _PASSED_THROUGH:
            break
    raise InputError("the backbone does not end in global average pooling, so it has no feature map")
