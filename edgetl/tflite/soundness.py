"""Whether a ``.tflite`` file from a stranger holds together.

Whoever follows its indices afterwards meets tensors, buffers and operators that are there, and never walks in circles:
operators stand in execution order, as ``schema.fbs`` demands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgetl_device.errors import InputError

_INPUTS: Mapping[str, int] = {
    "CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3,
    "AVERAGE_POOL_2D": 1, "MEAN": 1, "SOFTMAX": 1, "LOGISTIC": 1, "QUANTIZE": 1, "DEQUANTIZE": 1, "RESHAPE": 1,
    "SQUEEZE": 1,
}  # fmt: skip
"""How many inputs an operator needs at least, of those that edgetl looks behind; each of them gives something too."""


def damaged(reason: str = "") -> InputError:
    """What is said of a ``.tflite`` file that is damaged; the reason is for whoever makes such files."""
    return InputError(f"a damaged .tflite file{': ' if reason else ''}{reason}; copy it again")


def check_lengths(model: Any, size: int) -> None:
    """Refuse lists that are longer than the file: reading or copying them would take for ever.

    Each entry takes a byte at least, unless lists overlap, as no writer makes them; so all together take no more
    entries than the file has bytes.

    Args:
        model: the flatbuffer's ``Model``, not unpacked yet.
        size: of the file, bytes.

    Raises:
        InputError: they are.
    """
    left = size - model.BuffersLength() - model.OperatorCodesLength() - model.MetadataLength()
    left -= model.SubgraphsLength() + model.SignatureDefsLength()
    for index in range(model.BuffersLength() if left > 0 else 0):
        left -= model.Buffers(index).DataLength()
    for number in range(model.SubgraphsLength() if left > 0 else 0):
        graph = model.Subgraphs(number)
        left -= graph.TensorsLength() + graph.OperatorsLength() + graph.InputsLength() + graph.OutputsLength()
        left -= _tensor_entries((graph.Tensors(index) for index in range(graph.TensorsLength())), left)
        for index in range(graph.OperatorsLength() if left > 0 else 0):
            operator = graph.Operators(index)
            left -= operator.InputsLength() + operator.OutputsLength() + operator.CustomOptionsLength()
    for number in range(model.SignatureDefsLength() if left > 0 else 0):
        left -= model.SignatureDefs(number).InputsLength() + model.SignatureDefs(number).OutputsLength()
    if left < 0:
        raise damaged("it lists more than it holds")


def check_references(model: Any, graph: Any) -> None:
    """Refuse a ``SubGraphT`` whose indices point nowhere, or whose tensors have impossible sizes; InputError."""
    count = len(graph.tensors)
    ends = [*_numbers(graph.inputs), *_numbers(graph.outputs)]
    optional = [index for each in graph.operators for index in (*_numbers(each.inputs), *_numbers(each.outputs))]
    if not all(0 <= index < count for index in ends) or not all(-1 <= index < count for index in optional):
        raise damaged("an operator uses a tensor that is not there")
    if any(tensor.buffer and not 0 < tensor.buffer < len(model.buffers) for tensor in graph.tensors):
        raise damaged("a tensor uses a buffer that is not there")
    if any(not 0 <= each.opcodeIndex < len(model.operatorCodes) for each in graph.operators):
        raise damaged("an operator of no kind")
    if any(length < -1 for tensor in graph.tensors for length in _numbers(tensor.shape)):  # −1: known when it runs
        raise damaged("a tensor of a negative size")
    for quantization in (tensor.quantization for tensor in graph.tensors if tensor.quantization is not None):
        scales, zeros = len(_numbers(quantization.scale)), len(_numbers(quantization.zeroPoint))
        if scales and zeros and scales != zeros:
            raise damaged(f"a tensor has {scales} scales and {zeros} zero points")


def check_file(model: Any, size: int) -> None:
    """Refuse a ``ModelT`` whose metadata, signatures, or weights behind the flatbuffer, are not there; InputError."""
    if any(not 0 <= entry.buffer < len(model.buffers) for entry in model.metadata or []):
        raise damaged("its metadata is not there")
    for signature in model.signatureDefs or []:
        if not 0 <= signature.subgraphIndex < len(model.subgraphs):
            raise damaged("a signature of a graph that is not there")
        count = len(model.subgraphs[signature.subgraphIndex].tensors)
        if any(not 0 <= entry.tensorIndex < count for entry in (*signature.inputs, *signature.outputs)):
            raise damaged("a signature of a tensor that is not there")
    behind = [buffer for buffer in model.buffers if buffer.offset > 1]
    if any(buffer.offset + buffer.size > size for buffer in behind) or sum(buffer.size for buffer in behind) > size:
        raise damaged("the weights behind it are cut off")


def check_operators(graph: Any, names: Sequence[str]) -> None:
    """Refuse operators that lack inputs or outputs, or do not stand in execution order.

    Args:
        graph: ``SubGraphT`` that passed :func:`check_references`.
        names: TFLite's names of its operators.

    Raises:
        InputError: it has such.
    """
    made = dict.fromkeys(_numbers(graph.inputs), -1)
    for position, (operator, name) in enumerate(zip(graph.operators, names, strict=True)):
        inputs, outputs = _numbers(operator.inputs), _numbers(operator.outputs)
        fewest = _INPUTS.get(name, 0)
        if len(inputs) < fewest or any(index < 0 for index in inputs[:fewest]):
            raise damaged(f"its {name} lacks inputs")
        if fewest and (not outputs or outputs[0] < 0):
            raise damaged(f"its {name} gives nothing")
        for index in outputs:
            if index >= 0 and made.setdefault(index, position) != position:
                raise damaged("a tensor is computed twice")
    for position, operator in enumerate(graph.operators):
        if any(made.get(index, -1) >= position for index in _numbers(operator.inputs)):
            raise damaged("an operator takes what is computed later, or by itself")


def _tensor_entries(tensors: Iterable[Any], most: int) -> int:
    """How much tensors list, and how long their names are; no longer counted once it is more than ``most``."""
    entries = 0
    for tensor in tensors:
        if entries > most:
            break
        entries += tensor.ShapeLength() + tensor.ShapeSignatureLength() + len(tensor.Name() or b"")
        quantization = tensor.Quantization()
        if quantization is not None:
            entries += quantization.ScaleLength() + quantization.ZeroPointLength()
            entries += quantization.MinLength() + quantization.MaxLength()
    return entries


def _numbers(values: Any) -> list[Any]:
    return [] if values is None else list(values)
