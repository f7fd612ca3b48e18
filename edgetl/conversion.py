"""Keras → TFLite, and the proof of what came out.

Conversion in this field fails silently ("quantized" files identical to float: tensorflow#57619), so the file is read
back and every operator and tensor type is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import CheckFailedError, InputError
from edgetl_device.native_log import captured_stderr
from edgetl_device.preprocess import Preprocessing

from . import tf
from .embeddings import to_float

_FLOAT_TYPES = frozenset({"FLOAT32", "FLOAT16", "FLOAT64", "BFLOAT16"})


@dataclass(frozen=True)
class Operator:
    """One operator of a ``.tflite`` file.

    Args:
        index: its position in execution order.
        name: TFLite's builtin name, such as ``CONV_2D``.
        types: element types of its inputs and outputs.
    """

    index: int
    name: str
    types: tuple[str, ...]

    @property
    def is_float(self) -> bool:
        """Whether any of its tensors is floating point."""
        return bool(_FLOAT_TYPES & set(self.types))


def to_int8(model: Any, photos: npt.NDArray[np.uint8], scale: tuple[float, float], verbose: bool = False) -> bytes:
    """A Keras backbone → full-integer TFLite: uint8 pixels in, int8 embedding out, scaling in the input tensor itself.

    Args:
        model: (n, h, w, 3) float32 → (n, d) float32.
        photos: (m, h, w, 3) uint8 RGB representative dataset, class-balanced.
        scale: what the uint8 values 0 and 255 stand for at the model's input.

    Raises:
        InputError: TensorFlow cannot convert it.
        CheckFailedError: the result is not what was asked for.
    """
    tensorflow = tf.load(verbose)
    height, width = photos.shape[1:3]
    signature = [tensorflow.TensorSpec((1, height, width, 3), tensorflow.float32)]
    function = tensorflow.function(lambda batch: model(batch, training=False), input_signature=signature)
    converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], model)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: _representative(photos, scale)
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tensorflow.uint8
    converter.inference_output_type = tensorflow.int8
    try:
        with captured_stderr():
            data: bytes = converter.convert()
    except (ValueError, RuntimeError) as error:
        raise InputError(f"TensorFlow cannot convert this backbone: {str(error).splitlines()[0][:200]}") from None
    prove_int8(data)
    return data


def representative_photos(photos: npt.NDArray[np.uint8], preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """The calibration photos and two more, all black and all white: so the input range is exactly the photos' range."""
    shape = (1, preprocessing.height, preprocessing.width, 3)
    return np.concatenate([photos, np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)])


def operators(data: bytes) -> list[Operator]:
    """The operators of a ``.tflite`` file in execution order; raises InputError on anything else."""
    from ai_edge_litert import schema_py_generated as schema

    if data[4:8] != b"TFL3":
        raise InputError("not a .tflite file")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))
    op_names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    type_names = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    found: list[Operator] = []
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            tensors = [index for index in (*operator.inputs, *operator.outputs) if index >= 0]
            name = op_names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            types = tuple(type_names[graph.tensors[index].type] for index in tensors)
            found.append(Operator(len(found), name, types))
    return found


def prove_int8(data: bytes) -> list[Operator]:
    """Raise CheckFailedError if any operator of an int8 model computes in floating point; else the operators."""
    found = operators(data)
    stayed = [operator for operator in found if operator.is_float]
    if stayed:
        names = ", ".join(f"{operator.name} (#{operator.index})" for operator in stayed[:5])
        raise CheckFailedError(
            f"{len(stayed)} of {len(found)} operators stayed float: {names}; this is not an int8 model"
        )
    return found


def _representative(photos: npt.NDArray[np.uint8], scale: tuple[float, float]) -> Iterator[list[Any]]:
    for photo in photos:
        yield [to_float(photo[None], scale)]
