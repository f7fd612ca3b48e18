"""The float pipeline of a RUN as one Keras 3 classifier: pixels in, probabilities out, standard layers only.

The head is arithmetic on the code transform's output (see :mod:`edgetl.tflite.fused`), and all that is quadratic in it
is a square. So it is one Dense layer, on the code, its squares, and its squares along two sets of directions:

    probabilities = softmax(W · [code, code², (code · A)², ((code · B) · R)²] + b)
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.codes import LEVELS_PER_RMS, CodeTransform
from edgetl_device.errors import InputError
from edgetl_device.metrics import fit_temperature

from .. import tf
from ..models.float_model import FloatModel, SolvedHead
from ..models.keras3_copy import as_keras3
from ..tflite.fused import Formula, formula_of
from .asked import not_trained_here

Floats = npt.NDArray[np.float32]

_TINY = 1e-6  # features below it count as it under the root; smaller numbers are 0 in the 16 bits of some converters


def keras_classifier(source: FloatModel) -> Any:
    """A RUN's float pipeline → a Keras 3 model: (n, h, w, 3) float32, 0 … 255 RGB → (n, C) probabilities.

    Raises:
        InputError: the model has no solved head, or a layer that Keras 3 cannot be given.
    """
    if source.solved is None:
        raise not_trained_here(str(source.describes["name"]))
    keras = tf.keras3()
    backbone = as_keras3(source.keras(), "backbone")
    low, high = source.scale
    entry = keras.Input(backbone.input_shape[1:], name="pixels")
    features = backbone(keras.layers.Rescaling((high - low) / 255, low, name="scaling")(entry))
    head = formula_of(*_form(source, source.solved(), int(features.shape[-1])))
    code = _code(keras, features)
    squared, weights, bias = _terms(keras, code, head)
    together = keras.layers.Concatenate(name="features")([code, *squared]) if squared else code
    scores = keras.layers.Dense(len(head.bias), activation="softmax", name="head")
    model = keras.Model(entry, scores(together), name="edgetl")
    scores.set_weights([weights, bias])
    return model


def saved(model: Any) -> bytes:
    """The bytes of the ``.keras`` file of a model."""
    with tempfile.TemporaryDirectory(prefix="edgetl-") as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return path.read_bytes()


def _form(source: FloatModel, solved: SolvedHead, dimension: int) -> tuple[Any, float]:
    """The solved head as arithmetic, and the temperature that fits the held-out photos."""
    form = solved.scorer.closed_form(CodeTransform(0, dimension))
    if form is None:
        raise InputError("--export keras: this head cannot be written as arithmetic")
    labels = list(solved.scorer.labels)
    truth = np.array([labels.index(source.dataset.labels[row]) for row in source.held_out], np.intp)
    return form, fit_temperature(solved.scores, truth)


def _code(keras: Any, features: Any) -> Any:
    """:func:`~edgetl.training.float_head.float_codes`, in layers: signed root, unit length, levels."""
    size = keras.ops.maximum(keras.ops.abs(features), _TINY)
    root = keras.layers.Multiply(name="signed_root")([features, keras.ops.rsqrt(size)])
    unit = keras.layers.UnitNormalization(name="unit")(root)
    return keras.layers.Rescaling(LEVELS_PER_RMS * float(features.shape[-1]) ** 0.5, name="code")(unit)


def _terms(keras: Any, code: Any, head: Formula) -> tuple[list[Any], Floats, Floats]:
    """The squares that the last layer takes beside the code; its kernel and bias."""
    kernels, bias = [head.weights.T.astype(np.float64)], head.bias.astype(np.float64)
    squared: list[Any] = []
    if head.quadratic is not None:
        term = head.quadratic
        centre, slope = term.centre.astype(np.float64), term.slope.astype(np.float64)[None]
        share = term.rest * term.scaling.astype(np.float64)[:, None] ** 2  # Σ share (code − centre)², multiplied out
        kernels[0] = kernels[0] - 2 * share * centre[:, None] * slope
        bias = bias + float((share[:, 0] * centre**2).sum()) * slope[0]
        directions = (term.directions * term.scaling).astype(np.float64)
        along = _along(keras, code, "shared", directions.T, -directions @ centre)
        squared += [keras.layers.Multiply(name=f"{each}_squared")([value, value])
                    for each, value in (("code", code), ("shared", along))]  # fmt: skip
        kernels += [share * slope, term.weights.astype(np.float64)[:, None] * slope]
    if head.own is not None:
        along = _along(keras, code, "own_directions", head.own.directions.T, head.own.offset)
        roots = _along(keras, along, "own", head.own.roots.T)
        squared.append(keras.layers.Multiply(name="own_squared")([roots, roots]))
        kernels.append(head.own.signs.T.astype(np.float64))
    return squared, np.concatenate(kernels).astype(np.float32), bias.astype(np.float32)


def _along(keras: Any, value: Any, name: str, kernel: npt.NDArray[Any], offset: npt.NDArray[Any] | None = None) -> Any:
    layer = keras.layers.Dense(kernel.shape[1], use_bias=offset is not None, name=name)
    result = layer(value)
    layer.set_weights([kernel, *([] if offset is None else [offset])])
    return result
