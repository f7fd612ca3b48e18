"""Proof of quantization: what a ``.tflite`` file really holds, against what was asked for.

Conversion in this field fails silently: a "quantized" file may be identical to the float one (tensorflow#57619), or
keep float operators in its middle. So the file is read back, and every operator, weight and tensor type is looked at.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from edgetl_device.errors import CheckFailedError

from ..tflite.graph import Graph, Operator, Tensor, read


@dataclass(frozen=True)
class Mode:
    """A quantization mode, as the proof expects it.

    Args:
        name: on the command line.
        input, output: element types of the file's only input and output.
        integer: whether everything between them is computed in integers.
        weights: element type of the weights.
        says: for a person, one line.
    """

    name: str
    input: str
    output: str
    integer: bool
    weights: str
    says: str


MODES = {
    mode.name: mode
    for mode in (
        Mode("int8", "UINT8", "INT8", True, "INT8", "integers from pixel to embedding; what Coral needs"),
        Mode("int8-float-io", "FLOAT32", "FLOAT32", True, "INT8", "integers inside, float at both ends"),
        Mode("int16x8", "FLOAT32", "FLOAT32", True, "INT8", "16-bit activations, 8-bit weights"),
        Mode("float16", "FLOAT32", "FLOAT32", False, "FLOAT16", "weights of 16 bits, computed in float"),
        Mode("dynamic", "FLOAT32", "FLOAT32", False, "INT8", "weights of 8 bits, activations quantized as they come"),
        Mode("none", "FLOAT32", "FLOAT32", False, "FLOAT32", "float throughout"),
    )
}
SMALL = 1024  # elements; TensorFlow leaves smaller weights float in mode dynamic


@dataclass(frozen=True)
class Proof:
    """What was found in a file that is what it claims to be.

    Args:
        mode: name of the quantization mode.
        input, output: element types of the file's ends.
        total: operators.
        float_ops: operators that compute in floating point (conversions at the two ends are not counted).
        per_channel, per_tensor, unquantized: operators with weights, by how those are quantized.
        leftover: pairs of DEQUANTIZE and QUANTIZE with nothing between them.
        weight_bytes: bytes of weights by element type.
        size_bytes: of the file.
    """

    mode: str
    input: str
    output: str
    total: int
    float_ops: int
    per_channel: int
    per_tensor: int
    unquantized: int
    leftover: int
    weight_bytes: dict[str, int]
    size_bytes: int

    def rows(self) -> list[tuple[str, str]]:
        """For a table: what, found."""
        weights = ", ".join(f"{kind.lower()} {size / 1e6:.2f} MB" for kind, size in self.weight_bytes.items())
        rows = [
            ("input -> output", f"{self.input.lower()} -> {self.output.lower()}"),
            ("operators", f"{self.total}, {self.float_ops} of them float"),
            ("weights", weights),
        ]
        if "INT8" in self.weight_bytes:
            layers = self.per_channel + self.per_tensor + self.unquantized
            rows += [
                ("quantized per channel", f"{self.per_channel} of {layers} layers with weights"),
                ("leftover conversions", str(self.leftover)),
            ]
        return [
            *rows,
            ("file", f"{self.size_bytes / 1e6:.2f} MB"),
        ]


def prove(data: bytes, mode: str, per_tensor: bool = False) -> Proof:
    """Read a ``.tflite`` file back and look whether it is what ``mode`` promises.

    Args:
        per_tensor: whether every operator's weights must have one scale, instead of one for each channel.

    Raises:
        InputError: it is no ``.tflite`` file.
        CheckFailedError: it is something else.
    """
    wanted, graph = MODES[mode], read(data)
    ends = [[graph.tensors[index].type for index in end] for end in (graph.inputs, graph.outputs)]
    if ends != [[wanted.input], [wanted.output]]:
        ends_found = " -> ".join(", ".join(kinds).lower() or "nothing" for kinds in ends)
        raise CheckFailedError(
            f"expected {wanted.input.lower()} -> {wanted.output.lower()} of mode {mode}, the file has {ends_found}"
        )
    stayed = float_operators(graph)
    weights = graph.weights()
    if wanted.integer and stayed:
        names = ", ".join(f"{operator.name} (#{operator.index})" for operator in stayed[:5])
        raise CheckFailedError(
            f"{len(stayed)} of {len(graph.operators)} operators stayed float: {names}; "
            f"this is not an {mode} model. Such a model runs with --quantize dynamic, float16 or none"
        )
    wrong = [(operator, tensor) for operator, tensor in weights if not _fits(tensor, wanted)]
    if not weights or wrong:
        what = "no weights" if not weights else (
            f"{wrong[0][1].type.lower()} weights in {len(wrong)} of {len(weights)} operators, "
            f"first in {wrong[0][0].name} (#{wrong[0][0].index})"
        )  # fmt: skip
        raise CheckFailedError(f"expected {wanted.weights.lower()} weights of mode {mode}, the file has {what}")
    leftover = leftover_pairs(graph)
    if wanted.integer and leftover:
        raise CheckFailedError(f"{leftover} pairs of DEQUANTIZE and QUANTIZE were left in the file")
    several = sum(tensor.scales > 1 for _, tensor in weights)
    if wanted.integer and per_tensor and several:
        raise CheckFailedError(f"the weights of {several} operators have a scale for each channel")
    if wanted.integer and not per_tensor:
        flat = [operator for operator, tensor in weights if tensor.scales == 1 and _needs_channels(operator, tensor)]
        if flat:
            raise CheckFailedError(
                f"the weights of {len(flat)} operators have one scale for all channels, first {flat[0].name} "
                f"(#{flat[0].index}); that costs accuracy: convert again"
            )
    return _found(data, graph, wanted)


def describe(data: bytes) -> Proof:
    """What a ``.tflite`` file holds that somebody else converted; its mode is ``int8``, or ``none`` if any is float."""
    graph = read(data)
    kinds = {graph.tensors[index].type for index in (*graph.inputs, *graph.outputs)}
    return _found(data, graph, MODES["none" if "FLOAT32" in kinds or float_operators(graph) else "int8"])


def _found(data: bytes, graph: Graph, mode: Mode) -> Proof:
    weights = graph.weights()
    sizes: Counter[str] = Counter()
    for tensor in {id(tensor): tensor for _, tensor in weights}.values():
        sizes[tensor.type] += tensor.value.nbytes if tensor.value is not None else 0
    scales = Counter("per_channel" if t.scales > 1 else "per_tensor" if t.scales else "unquantized" for _, t in weights)
    entry, end = (graph.tensors[ends[0]].type for ends in (graph.inputs, graph.outputs))
    return Proof(
        mode.name, entry, end, len(graph.operators), len(float_operators(graph)), scales["per_channel"],
        scales["per_tensor"], scales["unquantized"], leftover_pairs(graph), dict(sorted(sizes.items())), len(data),
    )  # fmt: skip


def float_operators(graph: Graph) -> list[Operator]:
    """Operators that compute in floating point; conversions that only serve the file's own ends are none."""
    ends = {*graph.inputs, *graph.outputs}
    border = [
        operator for operator in graph.operators
        if (operator.name == "QUANTIZE" and operator.inputs[0] in ends)
        or (operator.name == "DEQUANTIZE" and operator.outputs[0] in ends)
    ]  # fmt: skip
    return [operator for operator in graph.operators if operator.is_float and operator not in border]


def leftover_pairs(graph: Graph) -> int:
    """How many QUANTIZE operators only undo a DEQUANTIZE."""
    dequantized = {operator.outputs[0] for operator in graph.operators if operator.name == "DEQUANTIZE"}
    return sum(operator.name == "QUANTIZE" and operator.inputs[0] in dequantized for operator in graph.operators)


def _fits(tensor: Tensor, mode: Mode) -> bool:
    small = mode.name == "dynamic" and tensor.value is not None and tensor.value.size < SMALL
    return tensor.type == mode.weights or (small and tensor.type == "FLOAT32")


def _needs_channels(operator: Operator, tensor: Tensor) -> bool:
    """Convolutions are quantized per channel; fully connected layers need not be, and Edge TPUs want them so."""
    channels = tensor.shape[3] if operator.name == "DEPTHWISE_CONV_2D" else tensor.shape[0]
    return operator.name != "FULLY_CONNECTED" and channels > 1
