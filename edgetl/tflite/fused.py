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

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgetl_device.codes import CodeTransform
from edgetl_device.errors import InputError
from edgetl_device.heads.head import Head
from edgetl_device.heads.scorer import ClassTerm, ClosedForm, QuadraticTerm

from .appender import Appender
from .classifier_file import embedding_of, finished
from .model import read_model

DIRECTIONS = 192

Floats = npt.NDArray[np.float32]


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
    return formula_of(form, head.temperature)


def formula_of(form: ClosedForm, temperature: float) -> Formula:
    """Scores as arithmetic on codes, to be divided by a temperature → the same with few directions, and divided."""
    factor = np.float32(1 / temperature)
    quadratic = None if form.quadratic is None else _quadratic(form.quadratic, factor)
    own = None if form.own is None else _own(form.own, len(form.bias), factor)
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
    appender = Appender(read_model(backbone))
    output, is_int8 = embedding_of(appender, transform.dimension)
    if is_int8 == bool(scale):
        raise InputError("the step of float embeddings is for backbones that give floats, and only for those")
    scores = _scores(appender, head, _codes(appender, output, transform, scale), transform.dimension)
    return finished(appender, scores, labels, input_range, name)


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
