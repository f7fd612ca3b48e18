"""A bundle against a dataset, with the device's runtime and code: what is measured here is what the device does."""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgetl_device import metrics
from edgetl_device.bundle.bundle import Bundle
from edgetl_device.bundle.content import BundleContent, fingerprint
from edgetl_device.console import progress
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.inference.backbone import open_backbone, prepare_files

from ..data.datasets import Dataset, read_columns

MISTAKES = 12  # shown in a report
_BINS = 15
_FEW = 10  # photos of a slice; of fewer nothing is said
_MOST_VALUES = 30  # of a column; one with more (numbers of films, file names) tells photos apart, not kinds of photos


@dataclass(frozen=True, eq=False)
class Mistake:
    """A photo that was called something else.

    Args:
        path: its file.
        label, predicted: what it is, what it was called.
        probability: of what it was called.
        photo: (h, w, 3) uint8 RGB, as the backbone sees it.
    """

    path: Path
    label: str
    predicted: str
    probability: float
    photo: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Slice:
    """How the photos with one value of a column fare.

    Args:
        value: of the column.
        samples: how many photos.
        accuracy: on them, 0 … 1.
        interval: 95 % interval of that (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953).
        worse: whether even the interval's upper end lies below the accuracy on all photos.
    """

    value: str
    samples: int
    accuracy: float
    interval: tuple[float, float]
    worse: bool


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a bundle does on labelled photos.

    Args:
        labels: the bundle's (C,), sorted.
        samples: how many photos were classified.
        accuracy: share of right top labels, 0 … 1; "unknown" is not counted as wrong if the top label is right.
        balanced_accuracy: mean recall of the classes.
        unseen: how many of the samples the bundle was not trained on.
        accuracy_unseen: accuracy on those, the figure to quote; None where there are none.
        unknown: share of photos that were called unknown.
        per_class: label → recall.
        confusion: (C, C) int64, rows are the truth, columns the bundle's labels in sorted order.
        ece: expected calibration error, 0 … 1.
        reliability: (bins,) counts, mean probability of the top label and share right.
        slices: column of at most 30 values → how each of them fares.
        mistakes: the most confident ones, the worst first.
        latency_ms: p50 and p95 of preprocessing + backbone + head for one photo, without decoding the file.
        skipped: what was wrong with each photo that could not be read.
        runtime: the TFLite runtime that ran the backbone, and its version.
    """

    labels: tuple[str, ...]
    samples: int
    accuracy: float
    balanced_accuracy: float
    unseen: int
    accuracy_unseen: float | None
    unknown: float
    per_class: dict[str, float]
    confusion: npt.NDArray[np.int64]
    ece: float
    latency_ms: dict[str, float]
    skipped: tuple[str, ...]
    runtime: str
    reliability: tuple[npt.NDArray[np.int64], npt.NDArray[np.floating], npt.NDArray[np.floating]]
    slices: Mapping[str, tuple[Slice, ...]] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()


def evaluate(bundle: Bundle, dataset: Dataset, runtime: str = "auto") -> Evaluation:
    """Classify every photo of a dataset.

    Raises:
        InputError: a class of the dataset is not one of the bundle's, or none of its photos can be read.
    """
    factory = BundleContent(bundle)
    head = factory.head()
    strange = sorted(set(dataset.classes) - set(head.labels))
    if strange:
        raise InputError(f"the photos have a class {strange[0]!r}, the bundle knows {', '.join(head.labels) or 'none'}")
    backbone = open_backbone(bundle, runtime)
    index = {label: number for number, label in enumerate(head.labels)}
    truth, chances, flags, fresh, times, skipped = [], [], [], [], [], []
    kept: list[int] = []
    worst: list[tuple[float, int, Mistake]] = []
    files = dataset.files()
    pairs = progress(prepare_files(files, backbone.preprocessing), len(files), "evaluating")
    for row, (label, (path, photo)) in enumerate(zip(dataset.labels, pairs, strict=True)):
        if isinstance(photo, PhotoError):
            skipped.append(str(photo))
            continue
        started = time.perf_counter()
        probabilities, unknown = head.predict(backbone.codes(backbone.embed_photo(photo)[None]))
        times.append((time.perf_counter() - started) * 1e3)
        truth.append(index[label])
        kept.append(row)
        best = int(probabilities[0].argmax())
        if best != index[label]:
            mistake = Mistake(dataset.paths[row], label, head.labels[best], float(probabilities[0, best]), photo)
            heapq.heappush(worst, (mistake.probability, -row, mistake))
            if len(worst) > MISTAKES:
                heapq.heappop(worst)
        fresh.append(fingerprint(path.read_bytes()) not in factory.seen)
        chances.append(probabilities[0])
        flags.append(bool(unknown[0]))
    if not truth:
        raise InputError(f"none of {len(skipped)} photos could be read")
    unread = sorted(set(dataset.classes) - {dataset.labels[row] for row in kept})
    if unread:
        raise InputError(f"class {unread[0]!r} has no readable photo: replace the damaged files, or leave it out")
    actual, scores, unseen = np.array(truth), np.stack(chances), np.array(fresh)
    predicted = scores.argmax(axis=1)
    recall = metrics.per_class_recall(actual, predicted, len(head.labels))
    p50, p95 = np.percentile(times, [50, 95])
    sure, right = scores.max(axis=1), predicted == actual
    columns = dataset.take(kept).columns
    return Evaluation(
        head.labels,
        len(actual),
        metrics.accuracy(actual, predicted),
        metrics.balanced_accuracy(actual, predicted, len(head.labels)),
        int(unseen.sum()),
        metrics.accuracy(actual[unseen], predicted[unseen]) if unseen.any() else None,
        float(np.mean(flags)),
        {label: float(recall[index[label]]) for label in dataset.classes},
        metrics.confusion(actual, predicted, len(head.labels)),
        metrics.expected_calibration_error(sure, right, _BINS),
        {"p50": float(p50), "p95": float(p95)},
        tuple(skipped),
        backbone.runtime,
        metrics.reliability(sure, right, _BINS),
        {name: _slices(values, right) for name, values in columns.items() if len(set(values)) <= _MOST_VALUES},
        tuple(mistake for _, _, mistake in sorted(worst, key=lambda item: (-item[0], -item[1]))),
    )


def with_columns(dataset: Dataset, path: Path) -> Dataset:
    """Add the columns of a CSV file to photos, found by its column ``path``, relative to the photos' folder.

    Raises:
        InputError: there is no such column, no other one, or a photo is not in it.
    """
    columns = read_columns(path)
    if "path" not in columns or len(columns) < 2:
        raise InputError(f"{path}: expected a column path and at least one to slice by, got {', '.join(columns)}")
    row_of = {Path(name): row for row, name in enumerate(columns.pop("path"))}
    missing = [name for name in dataset.paths if name not in row_of]
    if missing:
        raise InputError(f"{path} does not name {len(missing)} photos, for example {missing[0].as_posix()}")
    rows = [row_of[name] for name in dataset.paths]
    found = {name: tuple(values[row] for row in rows) for name, values in columns.items() if name != "label"}
    return replace(dataset, columns={**dataset.columns, **found})


def _slices(values: Sequence[str], right: npt.NDArray[np.bool_]) -> tuple[Slice, ...]:
    names, rows = np.unique(np.asarray(values), return_inverse=True)
    overall, found = float(right.mean()), []
    for number, name in enumerate(names):
        of_value = right[rows == number]
        low, high = _wilson(int(of_value.sum()), len(of_value))
        worse = len(of_value) >= _FEW and high < overall
        found.append(Slice(str(name), len(of_value), float(of_value.mean()), (low, high), worse))
    return tuple(sorted(found, key=lambda item: (item.accuracy, item.value)))


def _wilson(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    share, square = hits / total, z * z / total
    middle = (share + square / 2) / (1 + square)
    half = z * (share * (1 - share) / total + square / total / 4) ** 0.5 / (1 + square)
    return max(middle - half, 0.0), min(middle + half, 1.0)
