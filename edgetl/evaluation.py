"""A bundle against a dataset, with the device's runtime and code: what is measured here is what the device does."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgetl_device import metrics
from edgetl_device.backbone import open_backbone, prepare_files
from edgetl_device.bundle import Bundle, write_atomically
from edgetl_device.console import progress
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.factory import Factory, fingerprint

from .datasets import Dataset
from .report import Heading, Part, Table, Text, page


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a bundle does on labelled photos.

    Args:
        accuracy: share of right top labels, 0 … 1; "unknown" is not counted as wrong if the top label is right.
        unseen: how many of the samples the bundle was not trained on.
        accuracy_unseen: accuracy on those, the figure to quote; None where there are none.
        unknown: share of photos that were called unknown.
        per_class: label → recall.
        confusion: (C, C) int64, rows are the truth, columns the bundle's labels in sorted order.
        ece: expected calibration error.
        latency_ms: p50 and p95 of preprocessing + backbone + head for one photo, without decoding the file.
    """

    labels: tuple[str, ...]
    samples: int
    accuracy: float
    unseen: int
    accuracy_unseen: float | None
    unknown: float
    per_class: dict[str, float]
    confusion: npt.NDArray[np.int64]
    ece: float
    latency_ms: dict[str, float]
    skipped: tuple[str, ...]
    runtime: str


def evaluate(bundle: Bundle, dataset: Dataset, runtime: str = "auto") -> Evaluation:
    """Classify every photo of a dataset.

    Raises:
        InputError: a class of the dataset is not one of the bundle's, or no photo can be read.
    """
    factory = Factory(bundle)
    head = factory.head()
    strange = sorted(set(dataset.classes) - set(head.labels))
    if strange:
        raise InputError(f"the photos have a class {strange[0]!r}, the bundle knows {', '.join(head.labels) or 'none'}")
    backbone = open_backbone(bundle, runtime)
    index = {label: number for number, label in enumerate(head.labels)}
    truth, chances, flags, fresh, times, skipped = [], [], [], [], [], []
    files = dataset.files()
    pairs = progress(prepare_files(files, backbone.preprocessing), len(files), "evaluating")
    for label, (path, photo) in zip(dataset.labels, pairs, strict=True):
        if isinstance(photo, PhotoError):
            skipped.append(str(photo))
            continue
        started = time.perf_counter()
        probabilities, unknown = head.predict(backbone.codes(backbone.embed_photo(photo)[None]))
        times.append((time.perf_counter() - started) * 1e3)
        truth.append(index[label])
        fresh.append(fingerprint(path.read_bytes()) not in factory.seen)
        chances.append(probabilities[0])
        flags.append(bool(unknown[0]))
    if not truth:
        raise InputError(f"none of {len(skipped)} photos could be read")
    actual, scores, unseen = np.array(truth), np.stack(chances), np.array(fresh)
    predicted = scores.argmax(axis=1)
    recall = metrics.per_class_recall(actual, predicted, len(head.labels))
    p50, p95 = np.percentile(times, [50, 95])
    return Evaluation(
        head.labels,
        len(actual),
        metrics.accuracy(actual, predicted),
        int(unseen.sum()),
        metrics.accuracy(actual[unseen], predicted[unseen]) if unseen.any() else None,
        float(np.mean(flags)),
        {label: float(recall[index[label]]) for label in dataset.classes if label in index},
        metrics.confusion(actual, predicted, len(head.labels)),
        metrics.expected_calibration_error(scores.max(axis=1), predicted == actual),
        {"p50": float(p50), "p95": float(p95)},
        tuple(skipped),
        backbone.runtime,
    )


def write_report(result: Evaluation, bundle: Bundle, path: Path) -> None:
    """The evaluation as one HTML page; raises StorageError if it cannot be written."""
    unseen = "" if result.accuracy_unseen is None else f", {result.accuracy_unseen:.3f} on the {result.unseen} unseen"
    totals = np.maximum(result.confusion.sum(axis=1, keepdims=True), 1)
    shares = result.confusion / totals
    parts: list[Part] = [
        Text(f"Accuracy {result.accuracy:.3f} on {result.samples} photos{unseen}", strong=True),
        Text(
            f"{result.unknown:.1%} were called unknown; expected calibration error {result.ece:.3f}; "
            f"latency p50 {result.latency_ms['p50']:.1f} ms, p95 {result.latency_ms['p95']:.1f} ms ({result.runtime})."
        ),
        Heading("Each class"),
        Table(("class", "recall"), list(result.per_class.items()), shade=(1,)),
        Heading("Confusion: rows are the truth, shares of each row"),
        Table(
            ("", *result.labels),
            [(label, *map(float, row)) for label, row in zip(result.labels, shares, strict=True)],
            shade=range(1, len(result.labels) + 1),
        ),
    ]
    if result.skipped:
        parts += [Heading("Skipped"), *(Text(reason) for reason in result.skipped)]
    write_atomically(path, page(f"{bundle.name}: evaluation", parts))
