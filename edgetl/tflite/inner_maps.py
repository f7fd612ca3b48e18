"""A ``.tflite`` backbone → the same with inner feature maps as further outputs, for visual inspection.

Which maps is a rule of structure, so it holds for any convolutional classifier. From the tensor that is pooled into
the embedding the graph is walked back towards the photo. Where the number of places grows, a stage begins, and each of
the last three stages gives one map: its last tensor, or, where 1 × 1 convolutions have only widened that, the narrow
one before them, or, where that has more than 256 channels, the last one that has not. In MobileNetV2 these are the
outputs of blocks 5, 12 and 16. Nothing is computed differently.
"""

from __future__ import annotations

from typing import Any

from edgetl_device.bundle.inner_maps import MAX_SIDE
from edgetl_device.errors import InputError
from edgetl_device.inference.interpreter import FEATURE_MAP, MAP_PREFIX

from .feature_map import pooled_tensor
from .model import operator_name, read_model, schema, sizes, tensor_type, text, write_model

STAGES = 3
MIN_SIDE = 2  # places; a coarser map says nothing of where
MIN_CHANNELS = 4  # a photo is not a feature map
MAX_CHANNELS = 256  # statistics of a place grow with their square


def expose_inner_maps(data: bytes) -> bytes:
    """Add the outputs, coarsest last, under names that start with ``inspection_map/``; a file that has them stays.

    Args:
        data: a ``.tflite`` file with one input and an output (1, d), perhaps with its feature map.

    Raises:
        InputError: it does not end in global average pooling, or has no map that is of use.
    """
    model = read_model(data)
    graph = model.subgraphs[0]
    if any(MAP_PREFIX in text(graph.tensors[index].name) for index in sizes(graph.outputs)):
        return data
    pooled = pooled_tensor(model, graph)
    chosen = inner_maps(model, graph, pooled)
    if not chosen:
        raise InputError(
            "no int8 feature map of 2 x 2 to 64 x 64 places and 4 to 256 channels comes before the backbone's pooling"
        )
    outputs = list(sizes(graph.outputs))
    for number, index in enumerate(chosen):
        tensor = graph.tensors[index]
        tensor.name = f"{MAP_PREFIX}{number}/{_short(text(tensor.name))}"
        if index in outputs:  # it explains labels too
            tensor.name = FEATURE_MAP + tensor.name
            continue
        outputs.append(index)
        for signature in model.signatureDefs or []:
            extra = schema().TensorMapT()
            extra.name, extra.tensorIndex = f"inspection_map_{number}", index
            signature.outputs = [*signature.outputs, extra]
    graph.outputs = outputs
    return write_model(model)


def inner_maps(model: Any, graph: Any, pooled: int) -> list[int]:
    """The tensors to expose, finest first: one of each of the last stages that have one."""
    producer = {output: operator for operator in graph.operators for output in sizes(operator.outputs)}
    stages, tensor, places = list[list[int]](), pooled, 0
    for _ in graph.operators:
        shape = sizes(graph.tensors[tensor].shape)
        if len(shape) == 4 and shape[1] * shape[2] > places:
            places = shape[1] * shape[2]
            stages.append([])
        if len(shape) == 4 and shape[1] * shape[2] == places:
            stages[-1].append(tensor)
        before = _main_input(graph, producer, tensor)
        if before is None:
            break
        tensor = before
    chosen = [_of_stage(model, graph, producer, stage) for stage in stages]
    return [index for index in chosen if index is not None][:STAGES][::-1]


def _of_stage(model: Any, graph: Any, producer: dict[int, Any], stage: list[int]) -> int | None:
    """The map that a stage gives, of its tensors from the last to the first; None where none is of use."""
    for tensor in (_narrowest(model, graph, producer, stage[0]), *stage):
        _, height, width, channels = sizes(graph.tensors[tensor].shape)
        fits = min(height, width) >= MIN_SIDE and max(height, width) <= MAX_SIDE and channels >= MIN_CHANNELS
        if fits and channels <= MAX_CHANNELS and tensor_type(graph.tensors[tensor]) == "INT8":
            return tensor
    return None


def _narrowest(model: Any, graph: Any, producer: dict[int, Any], tensor: int) -> int:
    """The tensor before the 1 × 1 convolutions that widened it."""
    while (operator := producer.get(tensor)) is not None:
        before = _main_input(graph, producer, tensor)
        if before is None or operator_name(model, operator) != "CONV_2D":
            break
        shape, wide = sizes(graph.tensors[before].shape), sizes(graph.tensors[tensor].shape)
        kernel = sizes(graph.tensors[sizes(operator.inputs)[1]].shape)
        if kernel[1:3] != (1, 1) or shape[1:3] != wide[1:3] or shape[3] >= wide[3]:
            break
        tensor = before
    return tensor


def _main_input(graph: Any, producer: dict[int, Any], tensor: int) -> int | None:
    """The computed input of a tensor's operator that has a photo's layout, of several the one computed last."""
    operator = producer.get(tensor)
    if operator is None:
        return None
    order = {id(each): place for place, each in enumerate(graph.operators)}
    computed = [i for i in sizes(operator.inputs) if i in producer and len(sizes(graph.tensors[i].shape)) == 4]
    return max(computed, key=lambda index: order[id(producer[index])], default=None)


def _short(name: str) -> str:
    """A layer's name without what the converter fused with it."""
    parts = [part for part in name.split(";") if part and "/" in part]
    named = max(parts, key=lambda part: part.count("/"), default=name) if parts else name
    return "/".join(named.split("/")[1:])[-60:] or named[-60:] or "map"
