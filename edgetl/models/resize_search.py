"""How a classifier's photos were resized in its training: as it gets most of their labels right."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgetl_device.console import note, progress
from edgetl_device.errors import PhotoError
from edgetl_device.inference.backbone import prepare_files
from edgetl_device.percent import percent
from edgetl_device.preprocess import RESIZES, Preprocessing

from ..data.datasets import Dataset, balanced

_MAX_PHOTOS = 200


class Classifier(Protocol):
    """What is asked."""

    @property
    def preprocessing(self) -> Preprocessing:
        """Frame → its input size."""

    def scorer(self) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
        """Preprocessed photo → scores."""


Photos = list[npt.NDArray[np.uint8]]

_SIGMA = 2.0  # standard deviations by which another way must beat the crop
_SAYS = {"stretch": "stretched", "letterbox": "fitted between black bars"}


def find_preprocessing(model: Classifier, dataset: Dataset, outputs: Sequence[str]) -> Preprocessing:
    """Ask the classifier about the same labelled photos, resized in each of the three ways.

    Photos of the model's own aspect ratio come out the same; then nothing is asked. Another way than the crop must be
    better by more than chance: with b photos that only it gets right and c that only the crop does, b − c > 2 √(b + c)
    (McNemar's test).

    Args:
        outputs: the label of each output.
    """
    rows = balanced(dataset, _MAX_PHOTOS, 0)
    files, labels = dataset.take(rows).files(), [dataset.labels[row] for row in rows]
    crop, *others = (replace(model.preprocessing, resize=resize) for resize in RESIZES)
    photos = _prepared(files, crop)
    prepared = {other: _prepared(files, other) for other in others}
    prepared = {other: made for other, made in prepared.items() if _differ(photos, made)}
    if not prepared:
        return crop
    cropped = _right(model, photos, labels, outputs)
    right = {other: _right(model, made, labels, outputs) for other, made in prepared.items()}
    best = max(right, key=lambda other: int(right[other].sum()))
    gained, lost = int((right[best] & ~cropped).sum()), int((cropped & ~right[best]).sum())
    if gained - lost <= _SIGMA * math.sqrt(gained + lost):
        return crop
    note(
        f"photos are {_SAYS[best.resize]}, not cropped: that way the model gets {percent(right[best].mean())} of "
        f"{len(labels)} labels right, cropped {percent(cropped.mean())} (--resize crop insists)"
    )
    return best


def _prepared(files: Sequence[Path], preprocessing: Preprocessing) -> Photos:
    return [photo for _, photo in prepare_files(files, preprocessing) if not isinstance(photo, PhotoError)]


def _differ(one: Photos, other: Photos) -> bool:
    return any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _right(model: Classifier, photos: Photos, labels: Sequence[str], outputs: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(n,) whether the classifier names each photo's label, among the labels that have photos."""
    known = [index for index, label in enumerate(outputs) if label in labels]
    hits, score = [], model.scorer()
    for photo, label in zip(progress(photos, len(photos), "how were photos resized?"), labels, strict=True):
        scores = score(photo)
        hits.append(outputs[max(known, key=lambda index: scores[index])] == label)
    return np.array(hits, bool)
