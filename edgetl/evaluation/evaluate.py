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
from edgetl_device.heads.head import Head
from edgetl_device.inference.backbone import Backbone, open_tried_backbone, prepare_files

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


@dataclass(eq=False)
class _Answers:
    """What a bundle said of the photos that could be read; one entry a photo, but for :attr:`skipped`."""

    rows: list[int] = field(default_factory=list)
    truth: list[int] = field(default_factory=list)
    probabilities: list[npt.NDArray[np.float32]] = field(default_factory=list)
    unknown: list[bool] = field(default_factory=list)
    unseen: list[bool] = field(default_factory=list)
    times_ms: list[float] = field(default_factory=list)
    worst: list[tuple[float, int, Mistake]] = field(default_factory=list)  # a heap of the most confident mistakes
    skipped: list[str] = field(default_factory=list)

    def keep_if_among_worst(self, mistake: Mistake, row: int) -> None:
        heapq.heappush(self.worst, (mistake.probability, -row, mistake))
        if len(self.worst) > MISTAKES:
            heapq.heappop(self.worst)


def evaluate(bundle: Bundle, dataset: Dataset, runtime: str = "auto") -> Evaluation:
    """Classify every photo of a dataset.

    Raises:
        InputError: a class of the dataset is not one of the bundle's, or none of its photos can be read.
        BundleError: the bundle's backbone crashes, never ends or needs too much memory.
    """
    factory = BundleContent(bundle)
    head = factory.head()
    strange = sorted(set(dataset.classes) - set(head.labels))
    if strange:
        known = ", ".join(head.labels) or "none"
        raise InputError(f"the photos have a class {strange[0]!r} that the bundle does not know (it knows {known})")
    backbone = open_tried_backbone(bundle, runtime)
    answers = _ask(dataset, backbone, head, factory.seen)
    if not answers.rows:
        raise InputError(f"none of {len(answers.skipped)} photos could be read")
    unread = sorted(set(dataset.classes) - {dataset.labels[row] for row in answers.rows})
    if unread:
        raise InputError(f"class {unread[0]!r} has no readable photo: replace the damaged files, or leave it out")
    return _measured(answers, dataset, head.labels, backbone.runtime)


def _ask(dataset: Dataset, backbone: Backbone, head: Head, seen: frozenset[bytes]) -> _Answers:
    index = {label: number for number, label in enumerate(head.labels)}
    answers = _Answers()
    files = dataset.files()
    pairs = progress(prepare_files(files, backbone.preprocessing), len(files), "evaluating")
    for row, (label, (path, photo)) in enumerate(zip(dataset.labels, pairs, strict=True)):
        if isinstance(photo, PhotoError):
            answers.skipped.append(str(photo))
            continue
        started = time.perf_counter()
        probabilities, unknown = head.predict(backbone.codes(backbone.embed_photo(photo)[None]))
        answers.times_ms.append((time.perf_counter() - started) * 1e3)
        answers.rows.append(row)
        answers.truth.append(index[label])
        answers.probabilities.append(probabilities[0])
        answers.unknown.append(bool(unknown[0]))
        answers.unseen.append(fingerprint(path.read_bytes()) not in seen)
        best = int(probabilities[0].argmax())
        if best != index[label]:
            mistake = Mistake(dataset.paths[row], label, head.labels[best], float(probabilities[0, best]), photo)
            answers.keep_if_among_worst(mistake, row)
    return answers


def _measured(answers: _Answers, dataset: Dataset, labels: tuple[str, ...], runtime: str) -> Evaluation:
    truth, probabilities, unseen = np.array(answers.truth), np.stack(answers.probabilities), np.array(answers.unseen)
    predicted = probabilities.argmax(axis=1)
    sure, right = probabilities.max(axis=1), predicted == truth
    recall = metrics.per_class_recall(truth, predicted, len(labels))
    p50, p95 = np.percentile(answers.times_ms, [50, 95])
    columns = dataset.take(answers.rows).columns
    return Evaluation(
        labels=labels,
        samples=len(truth),
        accuracy=metrics.accuracy(truth, predicted),
        balanced_accuracy=metrics.balanced_accuracy(truth, predicted, len(labels)),
        unseen=int(unseen.sum()),
        accuracy_unseen=metrics.accuracy(truth[unseen], predicted[unseen]) if unseen.any() else None,
        unknown=float(np.mean(answers.unknown)),
        per_class={label: float(recall[labels.index(label)]) for label in dataset.classes},
        confusion=metrics.confusion(truth, predicted, len(labels)),
        ece=metrics.expected_calibration_error(sure, right, _BINS),
        latency_ms={"p50": float(p50), "p95": float(p95)},
        skipped=(*answers.skipped, *map(str, dataset.unused)),
        runtime=runtime,
        reliability=metrics.reliability(sure, right, _BINS),
        slices={name: _slices(values, right) for name, values in columns.items() if len(set(values)) <= _MOST_VALUES},
        mistakes=tuple(mistake for _, _, mistake in sorted(answers.worst, key=lambda item: (-item[0], -item[1]))),
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
    added = {name: tuple(values[row] for row in rows) for name, values in columns.items() if name != "label"}
    return replace(dataset, columns={**dataset.columns, **added})


def _slices(values: Sequence[str], right: npt.NDArray[np.bool_]) -> tuple[Slice, ...]:
    names, rows = np.unique(np.asarray(values), return_inverse=True)
    overall, slices = float(right.mean()), []
    for number, name in enumerate(names):
        of_value = right[rows == number]
        low, high = _wilson(int(of_value.sum()), len(of_value))
        worse = len(of_value) >= _FEW and high < overall
        slices.append(Slice(str(name), len(of_value), float(of_value.mean()), (low, high), worse))
    return tuple(sorted(slices, key=lambda item: (item.accuracy, item.value)))


def _wilson(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    share, square = hits / total, z * z / total
    middle = (share + square / 2) / (1 + square)
    half = z * (share * (1 - share) / total + square / total / 4) ** 0.5 / (1 + square)
    return max(middle - half, 0.0), min(middle + half, 1.0)
