"""Will the Edge TPU take a model? Coral's documented rules, checked without the compiler, which few machines can run.

Sources: "TensorFlow models on the Edge TPU" (https://coral.ai/docs/edgetpu/models-intro), its model requirements and
its table of supported operations with their limits, for runtime 13 and later; and, for what the table does not say,
reports of what the last compiler (16.0, 2021) refuses. The compiler has the last word: it also leaves single operators
on the CPU for reasons it does not document.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .appender import HEAD
from .model import constant, dimensions, enumeration, operator_name, read_model, tensor_type, text
from .soundness import damaged

COMPILED = "edgetpu-custom-op"
NEWEST_VERSIONS = {"CONV_2D": 5, "QUANTIZE": 2, "TRANSPOSE_CONV": 3}
"""Newest operator versions that compiler 16 reads; google-coral/edgetpu#631, #879 and #845 met the next ones."""

_SOFTMAX_MOST = 16_000
_EIGHT_BITS = ("INT8", "UINT8")
_PARAMETERS = {
    "CONV_2D": slice(1, None),
    "DEPTHWISE_CONV_2D": slice(1, None),
    "FULLY_CONNECTED": slice(1, None),
    "TRANSPOSE_CONV": slice(1, 2),
    "PRELU": slice(1, 2),
}
"""Which inputs are parameters, and so must be constant."""
_CONVERT = "convert with --quantize int8"
_INSTEAD = {
    "DEQUANTIZE": f"what it gives is float: {_CONVERT}",
    "HARD_SWISH": "use a backbone with ReLU6, such as MobileNetV2",
    "LEAKY_RELU": "use ReLU or PReLU",
    "GELU": "use ReLU",
}


@dataclass(frozen=True)
class Problem:
    """Why the Edge TPU does not take an operator, or the whole file.

    Args:
        op: TFLite's name of the operator; "" where it is about the file.
        index: its position in execution order; None where it is about the file.
        why: for a person, with what to do where that is known.
    """

    op: str
    index: int | None
    why: str


@dataclass(frozen=True)
class Preflight:
    """What was found.

    Args:
        compiled: whether the file has been through the compiler already.
        operators: how many there are.
        problems: in execution order; none where the Edge TPU takes everything.
        on_cpu: names of the operators that a compiled file leaves to the CPU.
    """

    compiled: bool
    operators: int
    problems: tuple[Problem, ...]
    on_cpu: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the Edge TPU takes it."""
        return not self.problems


class _Refused(Exception):
    """One operator's problem; the message is :attr:`Problem.why`."""


def preflight(data: bytes) -> Preflight:
    """The bytes of a ``.tflite`` file → what the Edge TPU would say; raises InputError on anything else."""
    model = read_model(data)
    try:
        return _inspect(model)
    except (IndexError, KeyError, TypeError, AttributeError, ValueError):
        raise damaged() from None


def _inspect(model: Any) -> Preflight:
    graph = model.subgraphs[0]
    names = [operator_name(model, operator) for operator in graph.operators or []]
    if COMPILED in names:
        return Preflight(True, len(names), (), tuple(name for name in names if name != COMPILED))
    problems = []
    if len(model.subgraphs) > 1:
        many = f"{len(model.subgraphs)} subgraphs (control flow?): the Edge TPU takes a single one"
        problems.append(Problem("", None, many))
    if not names:
        problems.append(Problem("", None, "the graph has no operators"))
    for index in graph.inputs:
        tensor = graph.tensors[int(index)]
        shape = dimensions(tensor)
        if len(shape) > 1 and shape[0] > 1:
            problems.append(Problem("", None, f"the input is {_shape(shape)}: the batch size must be 1"))
    behind = ""
    for index, (raw, name) in enumerate(zip(graph.operators or [], names, strict=True)):
        operator = _Operator(model, graph, raw, name, behind)
        try:
            _check(operator)
        except _Refused as refused:
            problems.append(Problem(name, index, str(refused)))
        if operator.is_integer_layer and not behind:
            behind = _what_is_float(graph)
    return Preflight(False, len(names), tuple(problems))


def _what_is_float(graph: Any) -> str:
    """What float operators are that come after layers of integers: to convert the model again changes nothing."""
    if any(text(tensor.name).startswith(f"{HEAD}/") for tensor in graph.tensors):
        return "the head of a fused model is float in every format: compile the backbone, `edgetl convert … --edgetpu`"
    return "the model is int8 before it"


class _Operator:
    """An operator with its tensors looked up.

    Args:
        behind: what a float operator is that comes after layers of integers; nothing before those.
    """

    def __init__(self, model: Any, graph: Any, operator: Any, name: str, behind: str) -> None:
        self.name = name
        self.behind = behind
        self.is_last = operator is graph.operators[-1]
        self.version = int(model.operatorCodes[operator.opcodeIndex].version)
        self.options = operator.builtinOptions
        self.inputs = [graph.tensors[int(index)] for index in operator.inputs if index >= 0]
        self.outputs = [graph.tensors[int(index)] for index in operator.outputs]
        self.constants = [constant(model, tensor) for tensor in self.inputs]

    @property
    def is_integer_layer(self) -> bool:
        """Whether it has weights, and works on 8-bit integers."""
        return self.name in _PARAMETERS and bool(self.inputs) and tensor_type(self.inputs[0]) in _EIGHT_BITS

    def shape(self, index: int = 0) -> tuple[int, ...]:
        """Of an input."""
        return dimensions(self.inputs[index])

    def axes(self, index: int = 1) -> set[int]:
        """A constant input that names axes, counted from the front."""
        values = self.constants[index]
        if values is None:
            raise _Refused("its axes must be constant")
        rank = len(self.shape())
        return {int(axis) % rank for axis in np.atleast_1d(values)} if rank else set()


def _check(operator: _Operator) -> None:
    """Raise :class:`_Refused` with the first reason not to take it."""
    if operator.name not in _LIMITS:
        instead = _INSTEAD.get(operator.name)
        if operator.name == "DEQUANTIZE" and operator.behind and not operator.is_last:
            instead = f"what follows it is float: {operator.behind}"
        raise _Refused("not among the supported operators" + (f"; {instead}" if instead else ""))
    if any(values is None for values in operator.constants[_PARAMETERS.get(operator.name, slice(0))]):
        raise _Refused("its weights must be constant, not computed")
    for tensor, values in zip(operator.inputs, operator.constants, strict=True):
        _check_tensor(tensor, values is not None, operator.behind)
    for tensor in operator.outputs:
        _check_tensor(tensor, False, operator.behind)
    newest = NEWEST_VERSIONS.get(operator.name)
    if newest is not None and operator.version > newest:
        raise _Refused(f"version {operator.version}: the last compiler reads up to {newest}; use an older TensorFlow")
    _LIMITS[operator.name](operator)


def _check_tensor(tensor: Any, is_constant: bool, behind: str) -> None:
    kind, shape = tensor_type(tensor), dimensions(tensor)
    if -1 in shape:
        raise _Refused(f"a tensor of size {_shape(shape)}: sizes must be fixed; convert with a batch size of 1")
    if kind not in _EIGHT_BITS and not (is_constant and kind in ("INT32", "INT64")):
        converted = kind.startswith("FLOAT") and behind
        advice = f"; {_CONVERT}" if kind in ("FLOAT16", "FLOAT32", "INT16") and not converted else ""
        raise _Refused(f"works on {kind.lower()}: everything must be int8 or uint8{advice}")
    quantization = tensor.quantization
    if kind in _EIGHT_BITS and (quantization is None or quantization.scale is None or not len(quantization.scale)):
        raise _Refused("a tensor without a scale: the model is not quantized")
    if not is_constant and any(size > 1 for size in shape[:-3]):
        raise _Refused(f"a tensor of size {_shape(shape)}: only the three innermost dimensions may be larger than 1")


def _anything(operator: _Operator) -> None:
    """No limit is documented."""


def _unfused(operator: _Operator) -> None:
    activation = getattr(operator.options, "fusedActivationFunction", 0)
    if activation:
        name = enumeration("ActivationFunctionType").get(activation, "an activation")
        raise _Refused(f"a fused activation ({name}): keep it in an operator of its own")


def _concatenation(operator: _Operator) -> None:
    _unfused(operator)
    fixed = [
        (values, tensor)
        for values, tensor in zip(operator.constants, operator.inputs, strict=True)
        if values is not None
    ]
    zeros = all((values == int(tensor.quantization.zeroPoint[0])).all() for values, tensor in fixed)
    if fixed and (len(operator.inputs) != 2 or not zeros):
        raise _Refused("a constant may only be joined to one other tensor, and must be all zeros")


def _convolution(operator: _Operator) -> None:
    width, height = operator.options.dilationWFactor, operator.options.dilationHFactor
    if width != height:
        raise _Refused(f"dilation {height}x{width}: must be the same in both directions")


def _fully_connected(operator: _Operator) -> None:
    if operator.options.weightsFormat:
        raise _Refused("weights in a shuffled format: only the default one is supported")
    if len(operator.inputs[1].quantization.scale) > 1:
        raise _Refused(
            "weights with a scale for each channel (TensorFlow 2.16 and later): set the converter's "
            "_experimental_disable_per_channel_quantization_for_dense_layers"
        )
    _one_dimensional(dimensions(operator.outputs[0]), "gives")


def _one_dimensional(shape: tuple[int, ...], verb: str) -> None:
    if any(size > 1 for size in shape[:-1]):
        raise _Refused(f"{verb} {_shape(shape)}: must be one-dimensional")


def _softmax(operator: _Operator) -> None:
    shape = operator.shape()
    _one_dimensional(shape, "takes")
    if shape and shape[-1] > _SOFTMAX_MOST:
        raise _Refused(f"takes {shape[-1]} values: at most {_SOFTMAX_MOST}")


def _mean(operator: _Operator) -> None:
    _not_batch(operator)
    shape = operator.shape()
    if len(shape) - 1 in operator.axes() and shape[-1] % 4:
        raise _Refused(f"a mean over {shape[-1]} channels: their number must be a multiple of 4")


def _not_batch(operator: _Operator) -> None:
    if len(operator.shape()) > 1 and 0 in operator.axes():
        raise _Refused("works along the batch")


def _pack(operator: _Operator) -> None:
    if operator.options.axis % (len(operator.shape()) + 1) == 0:
        raise _Refused("packs along the batch")


def _pad(operator: _Operator) -> None:
    paddings = operator.constants[1]
    if paddings is None:
        raise _Refused("its paddings must be constant")
    rows = paddings.reshape(-1, 2)
    if len(rows) > 1 and rows[0].any():
        raise _Refused("pads the batch")


def _prelu(operator: _Operator) -> None:
    shape = operator.shape(1)
    if any(size > 1 for size in shape[:-1]):
        raise _Refused(f"slopes of size {_shape(shape)}: one for each channel only (in Keras: shared_axes=[1, 2])")


def _resize(operator: _Operator) -> None:
    if len(operator.shape()) > 3 and operator.shape()[0] > 1:
        raise _Refused("resizes a batch")


def _split(operator: _Operator) -> None:
    axis, rank = operator.constants[0], len(operator.shape(1))
    if axis is None:
        raise _Refused("its axis must be constant")
    if rank > 1 and int(np.ravel(axis)[0]) % rank == 0:
        raise _Refused("splits the batch")


def _strided_slice(operator: _Operator) -> None:
    strides = operator.constants[3]
    if strides is None or (strides != 1).any():
        raise _Refused("strides must be constant and 1")
    if operator.options.ellipsisMask or operator.options.newAxisMask:
        raise _Refused("an ellipsis or a new axis in it")


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join("?" if size < 0 else str(size) for size in shape)


_LIMITS: dict[str, Callable[[_Operator], None]] = {
    "ADD": _anything,
    "AVERAGE_POOL_2D": _unfused,
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "EXPAND_DIMS": _anything,
    "FULLY_CONNECTED": _fully_connected,
    "L2_NORMALIZATION": _anything,
    "LOGISTIC": _anything,
    "MAXIMUM": _anything,
    "MAX_POOL_2D": _unfused,
    "MEAN": _mean,
    "MINIMUM": _anything,
    "MUL": _anything,
    "PACK": _pack,
    "PAD": _pad,
    "PRELU": _prelu,
    "QUANTIZE": _anything,
    "REDUCE_MAX": _not_batch,
    "REDUCE_MIN": _not_batch,
    "RELU": _anything,
    "RELU6": _anything,
    "RELU_N1_TO_1": _anything,
    "RESHAPE": _anything,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "RSQRT": _anything,
    "SLICE": _anything,
    "SOFTMAX": _softmax,
    "SPACE_TO_DEPTH": _anything,
    "SPLIT": _split,
    "SQUARED_DIFFERENCE": _anything,
    "SQUEEZE": _anything,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _anything,
    "SUM": _not_batch,
    "TANH": _anything,
    "TRANSPOSE": _anything,
    "TRANSPOSE_CONV": _anything,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _anything,
}
"""Every supported operator and what checks its documented limits."""
