"""Backbone + head as one ``.tflite`` classifier, for apps that know nothing of edgetl.

The head is appended to the deployed backbone's own graph, so the backbone stays the same file, weight for weight. What
follows its int8 embedding is the code transform and the head's rule, in 9 to 23 float operators on d numbers; they take
no time that shows beside the backbone's:

    code = min(round(√d · L · u), 255),  u = √(q − z) / ‖√(q − z)‖               (:mod:`edgetl_device.codes`)
    scores = code · weightsᵀ + (code − c)ᵀ P (code − c) · slope + bias             (:mod:`edgetl_device.heads`)
             − ½ tᵀ K t of each class, t = T (code − c)                            (``gaussian`` alone)

The quadratic term of the ``predictive`` rule tells classes of few photos from classes of many. P as it is would take
d² numbers (6.5 MB at d = 1280, ten times the backbone), so it is written with the 192 directions that matter most and
one number for all others: P ≈ D (f·I + V (Λ − f) Vᵀ) D. Which matter is read off P itself: embeddings vary by 1 / λ
along a direction. On flowers with 3 to 600 photos a class that changes one label of 587; a linear head changes 3 %.

Each K is written whole, as squares along its 96 eigenvectors: 0.04 MB a class.

What a fused model lacks: it always names a class (no "unknown"), it is as sure of strange photos as of usual ones (one
temperature for all), and it learns nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.codes import CodeTransform
from edgetl_device.errors import CheckFailedError, InputError
from edgetl_device.heads.head import Head
from edgetl_device.heads.scorer import ClassTerm, QuadraticTerm
from edgetl_device.inference.native_log import captured_stderr

from . import metadata
from .appender import Appender
from .model import read_model, sizes, tensor_type, write_model

DIRECTIONS = 192
AGREEMENT = 0.995  # share of held-out photos on which a fused model must say what the bundle says

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Fused:
    """A fused model and its proof.

    Args:
        data: the bytes of the ``.tflite`` file.
        agreement: share of held-out photos with the bundle's top label.
        samples: how many photos.
    """

    data: bytes
    agreement: float
    samples: int

    def to_json(self) -> dict[str, Any]:
        """What manifest and ``--json`` hold."""
        return {"agreement": self.agreement, "samples": self.samples, "size_bytes": len(self.data)}


@dataclass(frozen=True, eq=False)
class Quadratic:
    """What ``Predictive``'s quadratic term becomes: Σ λ_k t_k² + rest · Σ z_i², with z = (code − centre) · scaling and
    t = z · directionsᵀ.

    Args:
        centre, scaling: (d,).
        directions: (k, d), orthonormal.
        weights: (k,) λ − rest.
        rest: weight of all other directions.
        slope: (C,) what the term does to each class.
    """

    centre: Floats
    scaling: Floats
    directions: Floats
    weights: Floats
    rest: float
    slope: Floats


@dataclass(frozen=True, eq=False)
class Own:
    """What the classes' own quadratic terms become: Σ ± r_k², with r = ((code − centre) · directionsᵀ) · rootsᵀ.

    Args:
        directions: (q, d).
        offset: (q,) −centre · directionsᵀ.
        roots: (m, q) eigenvectors of all classes' curvatures, by the root of what they weigh.
        signs: (C, m) by which factor each square counts for each class.
    """

    directions: Floats
    offset: Floats
    roots: Floats
    signs: Floats


@dataclass(frozen=True, eq=False)
class Formula:
    """A head as arithmetic on codes: scores = code · weightsᵀ + bias, plus quadratic terms if there are any."""

    weights: Floats
    bias: Floats
    quadratic: Quadratic | None = None
    own: Own | None = None


def formula(head: Head, transform: CodeTransform) -> Formula:
    """A factory head → arithmetic; temperatures are inside, so softmax of the scores gives the probabilities.

    Raises:
        InputError: no classes, or a rule that cannot be written so.
    """
    if not head.labels:
        raise InputError("a bundle that knows no classes has nothing to fuse: leave out --fused or --no-classes")
    form = head.scorer.closed_form(transform)
    if form is None:
        raise InputError(
            f"a {head.rule} head cannot be written into a .tflite file: choose another --head, or no --fused"
        )
    factor = np.float32(1 / head.temperature)
    quadratic = None if form.quadratic is None else _quadratic(form.quadratic, factor)
    own = None if form.own is None else _own(form.own, len(head.labels), factor)
    return Formula(form.weights * factor, form.bias * factor, quadratic, own)


def fuse(
    backbone: bytes,
    head: Formula,
    labels: tuple[str, ...],
    transform: CodeTransform,
    scale: float | None,
    input_range: tuple[float, float],
    name: str,
) -> bytes:
    """A backbone's ``.tflite`` file and a head → the file of a classifier, with TFLite Metadata and its labels.

    Args:
        transform: embedding → codes.
        scale: one step of the int8 embeddings of a backbone with float output; None where its output is int8.
        input_range: what the uint8 pixel values 0 and 255 stand for in the backbone; for readers of the metadata.
        name: of the model.

    Returns:
        A file that takes what the backbone takes, and gives (1, C) probabilities: uint8 in steps of 1/256 where the
        backbone gives int8, else float32.

    Raises:
        InputError: not a backbone of ours.
    """
    model = read_model(backbone)
    appender = Appender(model)
    output = int(appender.graph.outputs[0])
    tensor = appender.graph.tensors[output]
    kind, dimension = tensor_type(tensor), transform.dimension
    if kind not in ("INT8", "FLOAT32") or sizes(tensor.shape) != (1, dimension) or (kind == "FLOAT32") != bool(scale):
        raise InputError(
            f"expected a backbone that gives (1, {dimension}) int8 or float32, got {kind}{sizes(tensor.shape)}"
        )
    scores = _scores(appender, head, _codes(appender, output, transform, scale), dimension)
    top = appender.operator("SOFTMAX", [scores], (1, len(labels)), "SoftmaxOptions", beta=1.0)
    is_integer = tensor_type(appender.graph.tensors[int(appender.graph.inputs[0])]) == "UINT8"
    if is_integer:
        top = appender.operator("QUANTIZE", [top], (1, len(labels)), "QuantizeOptions", output=("UINT8", 1 / 256, 0))
    appender.finish(top, "probability")
    low, high = input_range if is_integer else (0.0, 255.0)  # float backbones take pixels, and scale them inside
    std = 255 / (high - low)
    about = f"Tells {len(labels)} classes apart; transfer learning with edgetl."
    metadata.describe(model, metadata.ClassifierMetadata(name, about, labels, -low * std, std, low, high))
    return metadata.with_labels(write_model(model), labels)


class Runner:
    """A fused model in the TFLite runtime alone: (height, width, 3) uint8 RGB preprocessed photo → (C,) scores."""

    def __init__(self, model: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with captured_stderr():
            self._interpreter = Interpreter(model_content=model, num_threads=1)
            self._interpreter.allocate_tensors()
        (self._input,), (self._output,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()

    def __call__(self, photo: npt.NDArray[np.uint8]) -> Floats:
        self._interpreter.set_tensor(self._input["index"], photo[None].astype(self._input["dtype"], copy=False))
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output["index"])[0], np.float32)


def predict(model: bytes, photos: Iterable[npt.NDArray[np.uint8]]) -> Floats:
    """n preprocessed photos → (n, C) scores, by the TFLite runtime alone."""
    run = Runner(model)
    return np.stack([run(photo) for photo in photos])


def prove(model: bytes, photos: Iterable[npt.NDArray[np.uint8]], expected: Sequence[int]) -> Fused:
    """Hold a fused model against what the bundle says of n photos.

    Args:
        photos: n (height, width, 3) uint8 RGB preprocessed photos.
        expected: the bundle's n labels, as indices.

    Raises:
        CheckFailedError: they differ on more than 0.5 % of the photos; one photo, a near tie, is always forgiven.
    """
    same = int((predict(model, photos).argmax(axis=1) == np.asarray(expected)).sum())
    fused = Fused(model, same / len(expected), len(expected))
    if len(expected) - same > max(1, (1 - AGREEMENT) * len(expected)):
        raise CheckFailedError(
            f"the fused model agrees with the bundle on only {fused.agreement:.1%} of {len(expected)} held-out photos "
            f"(at least {AGREEMENT:.1%} expected); nothing was written. Try --head lda, or leave out --fused"
        )
    return fused


def _codes(appender: Appender, output: int, transform: CodeTransform, scale: float | None) -> int:
    """The code transform: int8 (or float, quantized first) embedding → codes, as float32."""
    shape = (1, transform.dimension)
    if scale is not None:
        quantized = ("INT8", scale, transform.zero_point)
        output = appender.operator("QUANTIZE", [output], shape, "QuantizeOptions", output=quantized)
    value = appender.operator("DEQUANTIZE", [output], shape, "DequantizeOptions", version=2)
    if transform.signed:  # sign(x) · √|x| = x / √|x|
        size = appender.operator("ABS", [value], shape, "AbsOptions")
        tiny = appender.constant("head/tiny", 1e-12)
        size = appender.operator("MAXIMUM", [size, tiny], shape, "MaximumMinimumOptions")
        value = appender.operator("MUL", [value, appender.operator("RSQRT", [size], shape)], shape, "MulOptions")
    else:
        value = appender.operator("SQRT", [value], shape)
    value = appender.operator("L2_NORMALIZATION", [value], shape, "L2NormOptions")
    levels = appender.constant("head/levels", transform.length)
    value = appender.operator("MUL", [value, levels], shape, "MulOptions")
    value = appender.operator("ROUND", [value], shape)
    if transform.signed:
        origin = appender.constant("head/origin", transform.origin)
        value = appender.operator("ADD", [value, origin], shape, "AddOptions")
        value = appender.operator("RELU", [value], shape)
    most = appender.constant("head/most", 255)
    return appender.operator("MINIMUM", [value, most], shape, "MaximumMinimumOptions")


def _scores(appender: Appender, head: Formula, codes: int, dimension: int) -> int:
    scores = _dense(appender, codes, "head/scores", head.weights, head.bias)
    terms = [] if head.quadratic is None else [_shared_term(appender, head.quadratic, codes, dimension)]
    terms += [] if head.own is None else [_own_terms(appender, head.own, codes)]
    for term in terms:
        scores = appender.operator("ADD", [scores, term], (1, len(head.weights)), "AddOptions")
    return scores


def _own_terms(appender: Appender, own: Own, codes: int) -> int:
    along = _dense(appender, codes, "head/own/directions", own.directions, own.offset)
    roots = _dense(appender, along, "head/own/roots", own.roots)
    squares = appender.operator("MUL", [roots, roots], (1, len(own.roots)), "MulOptions")
    return _dense(appender, squares, "head/own/signs", own.signs)


def _shared_term(appender: Appender, term: Quadratic, codes: int, dimension: int) -> int:
    shape = (1, dimension)
    centred = appender.operator("SUB", [codes, appender.constant("head/centre", term.centre)], shape, "SubOptions")
    scaling = appender.constant("head/scaling", term.scaling)
    scaled = appender.operator("MUL", [centred, scaling], shape, "MulOptions")
    along = _dense(appender, scaled, "head/directions", term.directions)
    squares = [
        appender.operator("MUL", [value, value], (1, size), "MulOptions")
        for value, size in ((along, len(term.weights)), (scaled, dimension))
    ]
    weights = np.concatenate([term.weights, np.full(dimension, term.rest, np.float32)])
    both = appender.operator("CONCATENATION", squares, (1, len(weights)), "ConcatenationOptions", axis=1)
    distance = _dense(appender, both, "head/distance", weights[None])
    return _dense(appender, distance, "head/slope", term.slope[:, None])


def _dense(appender: Appender, value: int, name: str, weights: Floats, bias: Floats | None = None) -> int:
    inputs = [value, appender.constant(name, weights)]
    inputs.append(-1 if bias is None else appender.constant(f"{name}/bias", bias))
    return appender.operator("FULLY_CONNECTED", inputs, (1, len(weights)), "FullyConnectedOptions")


def _own(term: ClassTerm, classes: int, factor: np.float32) -> Own:
    """−½ tᵀ K t of each class by the eigenvectors of its K."""
    values, vectors = np.linalg.eigh(term.curvatures.astype(np.float64))
    roots = np.swapaxes(vectors, 1, 2) * np.sqrt(np.abs(values))[:, :, None]
    size = values.shape[1]
    signs = np.zeros((classes, values.size), np.float32)
    for number, column in enumerate(term.classes):
        signs[column, number * size : (number + 1) * size] = -0.5 * factor * np.sign(values[number])
    offset = -(term.directions.astype(np.float64) @ term.centre)
    return Own(term.directions, offset.astype(np.float32), roots.reshape(-1, size).astype(np.float32), signs)


def _quadratic(term: QuadraticTerm, factor: np.float32) -> Quadratic | None:
    """The quadratic term with the directions that it depends on most; None where it tells no class from another."""
    slope = term.slope - term.slope.mean()  # what all classes share, softmax does not see
    if not slope.any():
        return None
    precision = term.precision.matrix.astype(np.float64)
    scaling = np.sqrt(np.diagonal(precision))
    values, vectors = np.linalg.eigh(precision / np.outer(scaling, scaling))
    variances = 1 / values  # of embeddings along each direction; those of training samples would be too small
    order = np.argsort(-variances * np.abs(values - np.median(values)))
    chosen, others = order[:DIRECTIONS], order[DIRECTIONS:]
    rest = len(others) / float(variances[others].sum()) if len(others) else 0.0
    return Quadratic(
        term.centre,
        scaling.astype(np.float32),
        np.ascontiguousarray(vectors[:, chosen].T, np.float32),
        (values[chosen] - rest).astype(np.float32),
        rest,
        slope * factor,
    )
