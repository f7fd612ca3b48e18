"""RUN → bundle: convert, fit the head on the converted backbone, hold it against the float pipeline, pack."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device import metrics
from edgetl_device.backbone import Backbone, prepare_files
from edgetl_device.bundle import write_bundle
from edgetl_device.codes import CodeTransform, Int8
from edgetl_device.console import progress
from edgetl_device.errors import CheckFailedError, InputError, PhotoError
from edgetl_device.factory import Content, fingerprint
from edgetl_device.heads import DEFAULT, Evidence, Head, empty_evidence, fit_head, gather
from edgetl_device.interpreter import TFLiteInterpreter
from edgetl_device.statistics import statistics_of

from . import embeddings
from .conversion import operators, representative_photos, to_int8
from .datasets import Dataset, balanced
from .feature_map import expose_feature_map
from .training import Run, fit_float_head, float_codes

HOLDOUT_PER_CLASS = 100
CHECK_PHOTOS = 8


@dataclass(frozen=True)
class Options:
    """What ``edgetl convert`` may be asked for."""

    quantize: str = "int8"
    calibration_samples: int = 200
    max_drop: float = 0.01
    head: str = DEFAULT
    no_classes: bool = False
    photos: Path | None = None
    explainable: bool = False


@dataclass(frozen=True)
class Parity:
    """The converted pipeline against the float one, on held-out photos.

    Args:
        float_accuracy, converted_accuracy: 0 … 1.
        agreement: share of photos with the same top label.
        worst_class_drop: largest loss of recall of a class, negative where every class gained.
        samples: how many photos.
    """

    float_accuracy: float
    converted_accuracy: float
    agreement: float
    worst_class_drop: float
    samples: int


@dataclass(frozen=True)
class Converted:
    """What was written."""

    path: Path
    size_bytes: int
    quantization: str
    parity: Parity
    ops: dict[str, int]
    seconds: float
    manifest: dict[str, Any]


def convert_run(run: Run, output: Path, options: Options, verbose: bool = False) -> Converted:
    """Convert a RUN and write its bundle, or raise and leave ``output`` as it was.

    Raises:
        InputError: the photos of the run are gone.
        CheckFailedError: the result is not integer, or loses more than ``max_drop`` against the float pipeline.
        StorageError: the bundle cannot be written.
    """
    started = time.perf_counter()
    dataset = _located(run, options.photos)
    calibration = _photos(dataset, balanced(_training(dataset), options.calibration_samples, run.seed), run)
    model = to_int8(
        run.model(), representative_photos(calibration, run.spec.preprocessing), run.spec.input_range, verbose
    )
    if options.explainable:
        model = expose_feature_map(model)
    backbone = _backbone(model, run)
    embedded = embeddings.embed_device(backbone, dataset.files())
    if len(embedded.rows) != len(dataset):
        raise InputError(f"photos changed since training: {embedded.skipped[0]}; train again")
    evidence = _evidence(dataset, embedded.values, backbone, run.seed)
    head = fit_head(evidence, options.head)
    parity = measure_parity(run, dataset, head, backbone.codes(embedded.values))
    if not parity.float_accuracy - parity.converted_accuracy <= options.max_drop:  # so that NaN is a no
        raise CheckFailedError(
            f"conversion costs {parity.float_accuracy - parity.converted_accuracy:.3f} of accuracy "
            f"({parity.float_accuracy:.3f} -> {parity.converted_accuracy:.3f}), "
            f"more than --max-drop {options.max_drop}; nothing was written. Try more --calibration-samples"
        )
    ops = operators(model)
    counts = {"total": len(ops), "float": sum(operator.is_float for operator in ops)}
    if options.no_classes:
        evidence = empty_evidence(backbone.digest, backbone.transform.dimension)
        head = fit_head(evidence, options.head)
    manifest = {
        "name": output.stem,
        "created": run.created,
        "labels": list(head.labels),
        "head": head.rule,
        "preprocessing": run.spec.preprocessing.to_json(),
        "codes": backbone.transform.to_json(),
        "backbone": asdict(run.spec) | {"weights": Path(run.spec.weights).name},
        "quantization": options.quantize,
        "training": {"strategy": run.strategy, "photos": len(dataset), "seed": run.seed, "accuracy": run.accuracy},
        "parity": asdict(parity),
        "ops": counts,
    }
    content = _content(model, head, evidence, dataset, embedded.values, backbone, run)
    write_bundle(output, manifest, content.members())
    elapsed = time.perf_counter() - started
    return Converted(output, output.stat().st_size, options.quantize, parity, counts, elapsed, manifest)


def measure_parity(run: Run, dataset: Dataset, head: Head, codes: npt.NDArray[np.uint8]) -> Parity:
    """Both pipelines on the held-out photos; codes (n, d) are the converted backbone's, in the dataset's order."""
    train, held_out = dataset.rows("train"), dataset.rows("val", "test")
    values = run.float_embeddings()
    reference = fit_float_head(values[train], tuple(dataset.labels[row] for row in train))
    truth = np.array([reference.labels.index(dataset.labels[row]) for row in held_out])
    before = reference.scores(float_codes(values[held_out])).argmax(axis=1)
    after = head.predict(codes[held_out])[0].argmax(axis=1)
    recalls = [metrics.per_class_recall(truth, found, len(reference.labels)) for found in (before, after)]
    return Parity(
        metrics.accuracy(truth, before),
        metrics.accuracy(truth, after),
        float((before == after).mean()),
        float(np.nanmax(recalls[0] - recalls[1])),
        len(held_out),
    )


def _located(run: Run, photos: Path | None) -> Dataset:
    dataset = (
        run.dataset if photos is None else Dataset(photos, run.dataset.paths, run.dataset.labels, run.dataset.splits)
    )
    missing = next((path for path in dataset.files() if not path.exists()), None)
    if missing is not None:
        raise InputError(f"the run's photos are gone ({missing}): say where they are now with --photos DIR")
    return dataset


def _training(dataset: Dataset) -> Dataset:
    return dataset.take(dataset.rows("train"))


def _photos(dataset: Dataset, rows: list[int], run: Run) -> npt.NDArray[np.uint8]:
    files = _training(dataset).take(rows).files()
    prepared = progress(prepare_files(files, run.spec.preprocessing), len(files), "calibration photos")
    return np.stack([photo for _, photo in prepared if not isinstance(photo, PhotoError)])


def _backbone(model: bytes, run: Run) -> Backbone:
    interpreter = TFLiteInterpreter(model, threads=2)
    transform = CodeTransform(interpreter.output.zero_point, interpreter.output.shape[1])
    return Backbone(interpreter, run.spec.preprocessing, transform, hashlib.sha256(model).hexdigest())


def _evidence(dataset: Dataset, raw: Int8, backbone: Backbone, seed: int) -> Evidence:
    train, holdout = dataset.rows("train"), _holdout_rows(dataset, seed)
    codes = backbone.codes(raw)
    labels = [dataset.labels[row] for row in train]
    return gather(
        statistics_of(codes[train], labels, backbone.digest, backbone.runtime),
        codes[holdout],
        [dataset.labels[row] for row in holdout],
        codes[:0],
        (),
        backbone.runtime,
        origin=backbone.transform.origin,
    )


def _holdout_rows(dataset: Dataset, seed: int) -> list[int]:
    """Up to 100 held-out photos a class, drawn with the seed, in the dataset's order."""
    rows = np.array(dataset.rows("val", "test"), np.intp)
    rows = np.random.default_rng(seed).permutation(rows)
    kept: dict[str, list[int]] = {}
    for row in rows:
        kept.setdefault(dataset.labels[row], []).append(int(row))
    return sorted(row for of_class in kept.values() for row in of_class[:HOLDOUT_PER_CLASS])


def _content(
    model: bytes, head: Head, evidence: Evidence, dataset: Dataset, raw: Int8, backbone: Backbone, run: Run
) -> Content:
    held_out = dataset.rows("val", "test")
    check = [held_out[row] for row in balanced(dataset.take(held_out), CHECK_PHOTOS, run.seed)]
    files = dataset.take(check).files()
    photos = [photo for _, photo in prepare_files(files, run.spec.preprocessing) if not isinstance(photo, PhotoError)]
    told = head.predict(backbone.codes(raw[check]))[0]
    labels = tuple(head.labels[row.argmax()] if head.labels else "" for row in told)
    holdout = _holdout_rows(dataset, run.seed) if head.labels else []
    seen = (fingerprint(path.read_bytes()) for path in _training(dataset).files()) if head.labels else ()
    return Content(
        model,
        evidence.factory,
        (raw[holdout], tuple(dataset.labels[row] for row in holdout)),
        frozenset(seen),
        (np.stack(photos), raw[check], labels),
    )
