"""The two ends of a head in a ``.tflite`` file: the backbone's embedding, and probabilities with their labels."""

from __future__ import annotations

from edgetl_device.errors import InputError

from . import metadata
from .appender import Appender
from .model import sizes, tensor_type, write_model


def embedding_of(appender: Appender, dimension: int) -> tuple[int, bool]:
    """The tensor that a backbone ends in, and whether it is int8, else float32.

    Raises:
        InputError: it is not (1, dimension) int8 or float32, so this is no backbone of ours.
    """
    output = int(appender.graph.outputs[0])
    tensor = appender.graph.tensors[output]
    kind = tensor_type(tensor)
    if kind not in ("INT8", "FLOAT32") or sizes(tensor.shape) != (1, dimension):
        raise InputError(
            f"expected a backbone that gives (1, {dimension}) int8 or float32, got {kind}{sizes(tensor.shape)}"
        )
    return output, kind == "INT8"


def finished(
    appender: Appender, scores: int, labels: tuple[str, ...], input_range: tuple[float, float], name: str
) -> bytes:
    """The file that gives the softmax of a tensor (1, C): uint8 in steps of 1/256 where pixels are uint8, else float32.

    Args:
        labels: C, which travel in the file with TFLite Metadata.
        input_range: what the uint8 pixel values 0 and 255 stand for in the backbone; for readers of the metadata.
        name: of the model.
    """
    top = appender.operator("SOFTMAX", [scores], (1, len(labels)), "SoftmaxOptions", beta=1.0)
    is_integer = tensor_type(appender.graph.tensors[int(appender.graph.inputs[0])]) == "UINT8"
    if is_integer:
        top = appender.operator("QUANTIZE", [top], (1, len(labels)), "QuantizeOptions", output=("UINT8", 1 / 256, 0))
    appender.finish(top, "probability")
    low, high = input_range if is_integer else (0.0, 255.0)  # float backbones take pixels, and scale them inside
    std = 255 / (high - low)
    about = f"Tells {len(labels)} classes apart; transfer learning with edgetl."
    metadata.describe(appender.model, metadata.ClassifierMetadata(name, about, labels, -low * std, std, low, high))
    return metadata.with_labels(write_model(appender.model), labels)
