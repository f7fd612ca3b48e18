"""Where does a converted backbone start to differ from the float one? Every layer's output, compared on real photos.

The float model is converted without quantization, and the two files run side by side with all tensors kept. Layers are
matched by position where both files have the same operators, else by the names that the converter gives their tensors.
The error of a layer is its signal-to-quantization-noise ratio,
``10 log₁₀(Σ x² / Σ (x − x̂)²)`` in dB: 6 dB is one bit, and below about 10 dB little of the layer is left.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.inference.native_log import captured_stderr

from ..tflite.graph import read
from .converter import export

log = logging.getLogger("edgetl.layers")

POOR = 10.0  # dB


@dataclass(frozen=True)
class LayerError:
    """One layer's output, converted against float.

    Args:
        index: of the operator in the converted file.
        operator: its TFLite name.
        name: of the tensor, as the converter calls it.
        sqnr_db: signal-to-quantization-noise ratio; higher is better, infinite where nothing differs.
    """

    index: int
    operator: str
    name: str
    sqnr_db: float


def measure(
    converted: bytes, model: Any, photos: npt.NDArray[np.uint8], scale: tuple[float, float], verbose: bool = False
) -> tuple[LayerError, ...]:
    """Errors of every layer that both files have, in execution order.

    Args:
        converted: a ``.tflite`` file of ``model``.
        photos: (n, h, w, 3) uint8 RGB to compare on.
        scale: what the uint8 values 0 and 255 stand for at the model's input.
    """
    exact, computed = _outputs(export(model, photos, scale, "none", verbose).data, photos), _outputs(converted, photos)
    if [layer.operator for layer in exact] == [layer.operator for layer in computed]:
        pairs = list(zip(exact, computed, strict=True))
    else:
        by_name = {layer.name: layer for layer in exact}
        pairs = [(by_name[layer.name], layer) for layer in computed if layer.name in by_name]
    return tuple(
        LayerError(layer.index, layer.operator, twin.name, sqnr_db(twin.value, layer.value))
        for twin, layer in pairs
        if twin.value.shape == layer.value.shape
    )


def sqnr_db(exact: npt.NDArray[np.float32], computed: npt.NDArray[np.float32]) -> float:
    """Signal-to-quantization-noise ratio of two arrays of one shape, dB; infinite where nothing differs."""
    signal = exact.astype(np.float64)
    noise = float(np.square(signal - computed).sum())
    return float(10 * np.log10(max(float(np.square(signal).sum()), 1e-30) / noise)) if noise else float("inf")


def log_report(errors: Sequence[LayerError]) -> None:
    """Log the table and the answer; ``-v`` shows it."""
    log.info("layer by layer: signal-to-quantization-noise ratio against the float model (6 dB are one bit)")
    for error in errors:
        log.info("%4d  %-18s %6.1f dB  %s", error.index, error.operator, error.sqnr_db, error.name[-70:])
    log.info("%s", verdict(errors))


def verdict(errors: Sequence[LayerError]) -> str:
    """One line: where the converted model starts to differ."""
    if not errors:
        return "no layer has the same name in both files, so none could be compared"
    first = next((error for error in errors if error.sqnr_db < POOR), None)
    if first is not None:
        return f"starts to differ at {first.operator} #{first.index} ({first.sqnr_db:.1f} dB): {first.name[-70:]}"
    worst = min(errors, key=lambda error: error.sqnr_db)
    return f"no layer falls below {POOR:.0f} dB; the worst is {worst.operator} #{worst.index}, {worst.sqnr_db:.1f} dB"


@dataclass(frozen=True, eq=False)
class _Layer:
    index: int
    operator: str
    name: str
    value: npt.NDArray[np.float32]  # (n, …) dequantized


def _outputs(data: bytes, photos: npt.NDArray[np.uint8]) -> list[_Layer]:
    """What each operator makes of the photos, without those that only scale pixels or change number formats."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    graph = read(data)
    with captured_stderr():
        interpreter = Interpreter(
            model_content=data,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    operators = [o for o in graph.operators if o.name not in ("QUANTIZE", "DEQUANTIZE") and len(o.outputs) == 1]
    while operators and operators[0].name in ("MUL", "ADD", "SUB"):
        del operators[0]
    rows: dict[int, list[npt.NDArray[np.float32]]] = {}
    for photo in photos:
        interpreter.set_tensor(entry["index"], photo[None].astype(entry["dtype"]))
        interpreter.invoke()
        for operator in operators:
            (index,) = operator.outputs
            value = interpreter.get_tensor(index).astype(np.float32)
            scale, zero_point = details[index]["quantization"]
            rows.setdefault(index, []).append((value - zero_point) * scale if scale else value)
    return [
        _Layer(o.index, o.name, graph.tensors[o.outputs[0]].name, np.concatenate(rows[o.outputs[0]])) for o in operators
    ]
