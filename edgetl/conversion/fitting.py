"""A head on a converted backbone's embeddings, held against the float pipeline."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgetl_device.codes import CodeTransform, Int8
from edgetl_device.errors import CheckFailedError
from edgetl_device.heads.evidence import Evidence, gather
from edgetl_device.heads.head import Head, fit_head, with_correction
from edgetl_device.inference.backbone import Backbone
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.statistics import statistics_of, with_projection

from ..data.datasets import Dataset
from ..models.float_model import FloatModel
from ..training.directions import leading_directions
from ..training.holdout import most_of_a_class
from .parity import Parity, compare


@dataclass(frozen=True, eq=False)
class Fitted:
    """A head on a converted backbone's embeddings, and how it does on held-out photos.

    Args:
        predicted: labels of the held-out photos, in the dataset's order.
        worst_class: the class that :attr:`Parity.worst_class_drop` is about.
    """

    evidence: Evidence
    head: Head
    predicted: tuple[str, ...]
    parity: Parity
    worst_class: str


def fit(source: FloatModel, backbone: Backbone, raw: Int8, rule: str) -> Fitted:
    """Raw embeddings (n, d) of the source's photos, in the dataset's order → head, held against the float pipeline."""
    evidence = evidence_of(source.dataset, raw, backbone, source.seed)
    train = source.dataset.rows("train")
    labels = [source.dataset.labels[row] for row in train]
    evidence = with_correction(evidence, rule, backbone.codes(raw[train]), labels)
    head = fit_head(evidence, rule)
    held_out = source.dataset.rows("val", "test")
    predicted = tuple(head.labels[row.argmax()] for row in head.predict(backbone.codes(raw[held_out]))[0])
    parity, worst = compare([source.dataset.labels[row] for row in held_out], source.reference(held_out), predicted)
    return Fitted(evidence, head, predicted, parity, worst)


def converted_backbone(model: bytes, source: FloatModel, photos: npt.NDArray[np.uint8]) -> Backbone:
    """The converted backbone; a float output gets the int8 range that it fills on the representative photos."""
    interpreter = TFLiteInterpreter(model)
    output, digest = interpreter.output, hashlib.sha256(model).hexdigest()
    if output.dtype == np.int8:
        transform = CodeTransform(output.zero_point, output.shape[1])
        return Backbone(interpreter, source.preprocessing, transform, digest)
    values = np.stack([interpreter(photo) for photo in photos])
    if not np.isfinite(values).all():
        raise CheckFailedError(
            "the converted backbone gives embeddings that are no numbers: something in it is beyond the range of this "
            "format; try --quantize int8, or none"
        )
    scale, zero_point = embedding_range(float(values.min()), float(values.max()))
    return Backbone(interpreter, source.preprocessing, CodeTransform(zero_point, output.shape[1]), digest, scale)


def embedding_range(low: float, high: float) -> tuple[float, int]:
    """Smallest and largest value of float embeddings → scale and zero point of int8 that hold them and 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / 255)) or 1.0
    return scale, int(np.clip(round(-128 - low / scale), -128, 127))


def evidence_of(dataset: Dataset, raw: Int8, backbone: Backbone, seed: int) -> Evidence:
    """Raw embeddings (n, d) of a dataset's photos, in its order → what a head is fitted on."""
    train, holdout = dataset.rows("train"), holdout_rows(dataset, seed)
    codes = backbone.codes(raw)
    labels = [dataset.labels[row] for row in train]
    statistics = statistics_of(codes[train], labels, backbone.digest, backbone.runtime)
    return gather(
        with_projection(statistics, codes[train], labels, leading_directions(statistics)),
        codes[holdout],
        [dataset.labels[row] for row in holdout],
        codes[:0],
        (),
        backbone.runtime,
        origin=backbone.transform.origin,
    )


def holdout_rows(dataset: Dataset, seed: int) -> list[int]:
    """Up to 100 held-out photos a class, of many classes fewer, drawn with the seed, in the dataset's order."""
    rows = np.array(dataset.rows("val", "test"), np.intp)
    rows = np.random.default_rng(seed).permutation(rows)
    kept: dict[str, list[int]] = {}
    for row in rows:
        kept.setdefault(dataset.labels[row], []).append(int(row))
    most = most_of_a_class(len(kept))
    return sorted(row for of_class in kept.values() for row in of_class[:most])
