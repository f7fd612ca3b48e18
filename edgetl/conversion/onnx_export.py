"""The float classifier as an ONNX file, made by tf2onnx and read back by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError

from .. import tf

OPSET = 17  # of 2022: what runtimes of the last years read

Floats = npt.NDArray[np.float32]


def check_installed() -> None:
    """Raise InputError, with what to install, where tf2onnx or ONNX Runtime is missing."""
    from importlib.util import find_spec

    missing = [name for name in ("tf2onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise InputError(f"--export onnx needs {' and '.join(missing)}: pip install 'edgetl[onnx]'")


def onnx_classifier(
    call: Callable[[Any], Any], shape: tuple[int, int, int], batch: int | None, labels: Sequence[str]
) -> bytes:
    """A function (n, h, w, 3) float32, 0 … 255 RGB → (n, C) probabilities as the bytes of an ONNX file.

    Args:
        shape: (h, w, 3).
        batch: n, where the function takes no other; None for any.
        labels: C; they travel in the file's metadata, one a line under ``labels``.

    Raises:
        InputError: tf2onnx cannot write it.
    """
    import tf2onnx

    tensorflow = tf.load()
    signature = [tensorflow.TensorSpec((batch, *shape), tensorflow.float32, name="pixels")]

    def named(pixels: Any) -> Any:
        return tensorflow.identity(call(pixels), name="probability")

    try:
        with tf.quiet():
            model, _ = tf2onnx.convert.from_function(
                tensorflow.function(named, input_signature=signature), input_signature=signature, opset=OPSET
            )
    except Exception as error:  # ValueError, KeyError and others, by the operation that it does not know
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"tf2onnx cannot write this model: {reason}") from None
    entry = model.metadata_props.add()
    entry.key, entry.value = "labels", "\n".join(labels)
    return bytes(model.SerializeToString())


class OnnxRunner:
    """An ONNX file in ONNX Runtime: (h, w, 3) uint8 RGB preprocessed photo → (C,) probabilities."""

    def __init__(self, model: bytes) -> None:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, photo: npt.NDArray[np.uint8]) -> Floats:
        return np.asarray(self._session.run(None, {self._input: photo[None].astype(np.float32)})[0][0], np.float32)
