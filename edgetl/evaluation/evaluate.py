"""A bundle against a dataset, with the device's runtime and code: what is measured here is what the device does."""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device import metrics
from edgetl_device.bundle.bundle import Bundle
from edgetl_device.bundle.content import FINGERPRINT_BYTES
from edgetl_device.bundle.group_content import group_content
from edgetl_device.bundle.possible import sound_content
from edgetl_device.console import progress
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.heads.head import Head
from edgetl_device.inference.backbone import Backbone, open_tried_backbone
from edgetl_device.photos import read_photo

from ..data.datasets import Dataset, read_columns
from ..data.streaming import batched
from ..embedding.embed import embed_with
from ..embedding.workers import one_blas_thread

MISTAKES = 12  # shown in a report
_BINS = 15
_BATCH = 256  # photos that the head is asked about at once
_TIMED = 50
_FEW = 10  # photos of a slice; of fewer nothing is said
_MOST_VALUES = 30  # of a column; one with more (numbers of films, file names) tells photos apart, not kinds of photos


@dataclass(frozen=True)
class Outcomes:
    """What a person counts: photos that got the right label, were called unknown, or got a wrong label.

    >>> outcomes = Outcomes(30, 6, 4)
    >>> outcomes.samples, outcomes.share("right"), [round(end, 2) for end in outcomes.interval("right")]
    (40, 0.75, [0.6, 0.86])
    """

    right: int
    unknown: int
    wrong: int

    @property
    def samples(self) -> int:
        """How many photos."""
        return self.right + self.unknown + self.wrong

    def share(self, name: str) -> float | None:
        """Of ``right``, ``unknown`` or ``wrong``, 0 … 1; None of no photos."""
        return float(getattr(self, name) / self.samples) if self.samples else None

    def interval(self, name: str) -> tuple[float, float]:
        """95 % interval of a share (Wilson)."""
        return metrics.wilson_interval(getattr(self, name), self.samples)


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
        interval: 95 % interval of that (Wilson).
        worse: whether even the interval's upper end lies below the accuracy on the photos of all slices.
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
        outcomes: how many of them a person would count as right, as unknown and as wrong.
        outcomes_unseen: of those the bundle was not trained on, the figures to quote; None where there are none.
        classes: label → its photos' outcomes, of those the bundle was not trained on where there are any.
        accuracy: share of right top labels, 0 … 1; "unknown" is not counted as wrong if the top label is right.
        balanced_accuracy: mean recall of the classes.
        unseen: how many of the samples the bundle was not trained on.
        accuracy_unseen: accuracy on those; None where there are none.
        unknown: share of photos that were called unknown.
        per_class: label → recall.
        confusion: (C, C) int64, rows are the truth, columns the bundle's labels in sorted order, whatever was unknown.
        confusion_unknown: (C, C + 1) int64, of the photos of ``classes``; what was called unknown is in a last
            column of its own.
        ece: expected calibration error, 0 … 1, on the photos of ``classes``: a head is sure of what it was made of.
        reliability: (bins,) counts, mean probability of the top label and share right, of the same photos.
        slices: column of at most 30 values → how each of them fares, of the same photos.
        mistakes: the most confident ones, the worst first.
        latency_ms: p50 and p95 of preprocessing + backbone + head for one photo, without decoding the file; of up to 50
            of the photos, one after the other.
        skipped: what was wrong with each photo that could not be read.
        runtime: the TFLite runtime that ran the backbone, and its version.
    """

    labels: tuple[str, ...]
    samples: int
    outcomes: Outcomes
    outcomes_unseen: Outcomes | None
    classes: dict[str, Outcomes]
    accuracy: float
    balanced_accuracy: float
    unseen: int
    accuracy_unseen: float | None
    unknown: float
    per_class: dict[str, float]
    confusion: npt.NDArray[np.int64]
    confusion_unknown: npt.NDArray[np.int64]
    ece: float
    latency_ms: dict[str, float]
    skipped: tuple[str, ...]
    runtime: str
    reliability: tuple[npt.NDArray[np.int64], npt.NDArray[np.floating], npt.NDArray[np.floating]]
    slices: Mapping[str, tuple[Slice, ...]] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()


@dataclass(eq=False)
class _Answers:
    """What a bundle said of the photos that could be read; one entry a photo in the first five, probabilities in
    blocks."""

    rows: list[int] = field(default_factory=list)
    truth: list[int] = field(default_factory=list)
    unknown: list[bool] = field(default_factory=list)
    unseen: list[bool] = field(default_factory=list)
    probabilities: list[npt.NDArray[np.float32]] = field(default_factory=list)
    times_ms: list[float] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


class _Worst:
    """The most confident mistakes."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str]] = []

    def keep(self, probability: float, row: int, predicted: str) -> None:
        """One more, unless there are enough worse ones."""
        heapq.heappush(self._heap, (probability, -row, predicted))
        if len(self._heap) > MISTAKES:
            heapq.heappop(self._heap)

    def sorted(self) -> list[tuple[float, int, str]]:
        """(probability, row, what it was called), the worst first."""
        return [(sure, -negative, label) for sure, negative, label in sorted(self._heap, key=lambda m: (-m[0], -m[1]))]


def evaluate(bundle: Bundle, dataset: Dataset, runtime: str = "auto", group: str | None = None) -> Evaluation:
    """Classify every photo of a dataset.

    Args:
        group: of the bundle, whose labels the dataset's classes are; None for the labels without a group.

    Raises:
        InputError: a class of the dataset is not one of the bundle's, the bundle has no such group, or none of its
            photos can be read.
        BundleError: the bundle's backbone crashes, never ends or needs too much memory.
    """
    factory = sound_content(bundle)
    if group is not None:
        factory = group_content(factory, group)
    head = factory.head()
    strange = sorted(set(dataset.classes) - set(head.labels))
    if strange:
        known = ", ".join(head.labels) or "none"
        who = "the bundle" if group is None else f"the group {group}"
        raise InputError(f"the photos have a class {strange[0]!r} that {who} does not know (it knows {known})")
    backbone = open_tried_backbone(bundle, runtime)
    with one_blas_thread():
        answers = _ask(dataset, backbone, head, factory.seen)
    if not answers.rows:
        raise InputError(f"none of {len(answers.skipped)} photos could be read")
    unread = sorted(set(dataset.classes) - {dataset.labels[row] for row in answers.rows})
    if unread:
        raise InputError(f"class {unread[0]!r} has no readable photo: replace the damaged files, or leave it out")
    return _measured(answers, dataset, head.labels, backbone.runtime)


def _ask(dataset: Dataset, backbone: Backbone, head: Head, seen: frozenset[bytes]) -> _Answers:
    index = {label: number for number, label in enumerate(head.labels)}
    answers, worst = _Answers(), _Worst()
    files = dataset.files()
    row = 0
    for batch in batched(progress(embed_with(backbone, files), len(files), "evaluating"), _BATCH):
        read = [(at, photo) for at, photo in enumerate(batch, row) if not isinstance(photo, PhotoError)]
        answers.skipped += [str(photo) for photo in batch if isinstance(photo, PhotoError)]
        row += len(batch)
        if not read:
            continue
        probabilities, unknown = head.predict(backbone.codes(np.stack([photo.value for _, photo in read])))
        answers.rows += [at for at, _ in read]
        answers.truth += [index[dataset.labels[at]] for at, _ in read]
        answers.probabilities.append(probabilities)
        answers.unknown += unknown.tolist()
        answers.unseen += [photo.digest[:FINGERPRINT_BYTES] not in seen for _, photo in read]
        for (at, _), of_photo in zip(read, probabilities, strict=True):
            best = int(of_photo.argmax())
            if head.labels[best] != dataset.labels[at]:
                worst.keep(float(of_photo[best]), at, head.labels[best])
    answers.mistakes = [
        Mistake(dataset.paths[at], dataset.labels[at], label, sure, backbone.preprocessing(read_photo(files[at])))
        for sure, at, label in worst.sorted()
    ]
    answers.times_ms = _times_ms([files[at] for at in answers.rows], backbone, head)
    return answers


def _times_ms(files: Sequence[Path], backbone: Backbone, head: Head) -> list[float]:
    """How long one photo takes from its decoded pixels to its label, on one core and alone, as on the device."""
    every = max(1, len(files) // _TIMED)
    times = []
    for path in files[::every][:_TIMED]:
        frame = read_photo(path)
        started = time.perf_counter()
        head.predict(backbone.codes(backbone.embed(frame)[None]))
        times.append((time.perf_counter() - started) * 1e3)
    return times


def _measured(answers: _Answers, dataset: Dataset, labels: tuple[str, ...], runtime: str) -> Evaluation:
    truth, unseen = np.array(answers.truth), np.array(answers.unseen)
    probabilities = np.concatenate(answers.probabilities)
    predicted = probabilities.argmax(axis=1)
    sure, right, unknown = probabilities.max(axis=1), predicted == truth, np.array(answers.unknown)
    new = unseen if unseen.any() else ~unseen
    with_unknown = _with_unknown(truth[new], predicted[new], unknown[new], len(labels))
    recall = metrics.per_class_recall(truth, predicted, len(labels))
    p50, p95 = np.percentile(answers.times_ms, [50, 95])
    columns = {name: np.array(values) for name, values in dataset.take(answers.rows).columns.items()}
    return Evaluation(
        labels=labels,
        samples=len(truth),
        outcomes=_outcomes(right, unknown),
        outcomes_unseen=_outcomes(right[unseen], unknown[unseen]) if unseen.any() else None,
        classes={label: _of_class(with_unknown, labels.index(label)) for label in dataset.classes},
        accuracy=metrics.accuracy(truth, predicted),
        balanced_accuracy=metrics.balanced_accuracy(truth, predicted, len(labels)),
        unseen=int(unseen.sum()),
        accuracy_unseen=metrics.accuracy(truth[unseen], predicted[unseen]) if unseen.any() else None,
        unknown=float(unknown.mean()),
        per_class={label: float(recall[labels.index(label)]) for label in dataset.classes},
        confusion=metrics.confusion(truth, predicted, len(labels)),
        confusion_unknown=with_unknown,
        ece=metrics.expected_calibration_error(sure[new], right[new], _BINS),
        latency_ms={"p50": float(p50), "p95": float(p95)},
        skipped=(*answers.skipped, *map(str, dataset.unused)),
        runtime=runtime,
        reliability=metrics.reliability(sure[new], right[new], _BINS),
        slices={
            name: _slices(values[new], right[new])
            for name, values in columns.items()
            if len(set(values.tolist())) <= _MOST_VALUES
        },
        mistakes=tuple(answers.mistakes),
    )


def _outcomes(right: npt.NDArray[np.bool_], unknown: npt.NDArray[np.bool_]) -> Outcomes:
    known = ~unknown
    return Outcomes(int((right & known).sum()), int(unknown.sum()), int((~right & known).sum()))


def _with_unknown(
    truth: npt.NDArray[Any], predicted: npt.NDArray[Any], unknown: npt.NDArray[np.bool_], classes: int
) -> npt.NDArray[np.int64]:
    """(classes, classes + 1) counts: rows are the truth, the last column is "unknown"."""
    called = np.where(unknown, classes, predicted)
    return metrics.confusion(truth, called, classes + 1)[:classes]


def _of_class(confusion: npt.NDArray[np.int64], number: int) -> Outcomes:
    right, unknown = int(confusion[number, number]), int(confusion[number, -1])
    return Outcomes(right, unknown, int(confusion[number].sum()) - right - unknown)


def with_columns(dataset: Dataset, path: Path) -> Dataset:
    """Add the columns of a CSV file to photos, found by its column ``path``.

    Paths are relative to the photos' folder or, as in a list of photos, to the file's own.

    Raises:
        InputError: there is no such column, no other one, or a photo is not in it.
    """
    columns = read_columns(path)
    if "path" not in columns or len(columns) < 2:
        raise InputError(f"{path}: expected a column path and at least one to slice by, got {', '.join(columns)}")
    names = columns.pop("path")
    root, beside = dataset.root.resolve(), path.parent.resolve()
    row_of = {folder / name: row for folder in (beside, root) for row, name in enumerate(names)}
    found = [row_of.get(root / name) for name in dataset.paths]
    missing = [name for name, row in zip(dataset.paths, found, strict=True) if row is None]
    if missing:
        raise InputError(
            f"{path} does not name {len(missing)} photos, for example {missing[0].as_posix()}: its paths are "
            f"relative to {dataset.root} or to its own folder"
        )
    rows = [row for row in found if row is not None]
    added = {name: tuple(values[row] for row in rows) for name, values in columns.items() if name != "label"}
    return replace(dataset, columns={**dataset.columns, **added})


def _slices(values: npt.NDArray[np.str_], right: npt.NDArray[np.bool_]) -> tuple[Slice, ...]:
    names, rows = np.unique(values, return_inverse=True)
    overall, slices = float(right.mean()), []
    for number, name in enumerate(names):
        of_value = right[rows == number]
        low, high = metrics.wilson_interval(int(of_value.sum()), len(of_value))
        worse = len(of_value) >= _FEW and high < overall
        slices.append(Slice(str(name), len(of_value), float(of_value.mean()), (low, high), worse))
    return tuple(sorted(slices, key=lambda item: (item.accuracy, item.value)))
