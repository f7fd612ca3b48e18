"""What conversion needs of a float model, wherever it came from: a RUN, or a classifier in a file."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.console import note, progress
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.inference.backbone import prepare_files
from edgetl_device.photo_folders import reasons
from edgetl_device.preprocess import RESIZES, Preprocessing

from ..data.datasets import Dataset, find_all
from ..training.train import Run, check_classes, fit_float_head, float_codes, open_run
from .keras_files import name_outputs, open_classifier, read_labels
from .resize_search import find_preprocessing
from .tflite_files import TFLiteClassifier, is_tflite, open_tflite, own_head

HELD_OUT = 0.2  # of the photos of each class, where no val or test folder says otherwise


@dataclass(frozen=True, eq=False)
class FloatModel:
    """A float backbone, the photos it is converted with, and the float pipeline it is held against.

    Args:
        dataset: readable photos with their split.
        preprocessing: frame → the backbone's input size.
        scale: what the uint8 values 0 and 255 stand for at the backbone's input.
        backbone: (n, h, w, 3) float32 → (n, d) float32; a Keras model or any function of TensorFlow.
        keras: the same as a Keras 2 model for TFMOT, or InputError with the reason why there is none.
        reference: rows of the dataset → the labels that the float pipeline gives them.
        describes: what the manifest says of the backbone: its ``name``, and its ``alpha`` where it came from a RUN.
        training: what the manifest says of training.
        seed: of calibration, holdout and fine-tuning.
        created: UTC time, ISO 8601.
        caution: what to think of first where the bundle is worse than the float pipeline; may be empty.
        ready: the ``.tflite`` backbone of a model that is converted already; None where it is to be converted.
    """

    dataset: Dataset
    preprocessing: Preprocessing
    scale: tuple[float, float]
    backbone: Any
    keras: Callable[[], Any]
    reference: Callable[[Sequence[int]], list[str]]
    describes: dict[str, Any]
    training: dict[str, Any]
    seed: int
    created: str
    caution: str = ""
    ready: bytes | None = None


def run_source(run: Run, photos: Path | None = None) -> FloatModel:
    """A RUN of ``edgetl train``; ``photos`` is where its photos are now, if they moved.

    Raises:
        InputError: the run's photos or files are gone.
    """
    data = run.dataset
    dataset = data if photos is None else Dataset(photos, data.paths, data.labels, data.splits)
    missing = next((path for path in dataset.files() if not path.exists()), None)
    if missing is not None:
        raise InputError(f"the run's photos are gone ({missing}): say where they are now with --photos DIR")
    model = run.model()

    def reference(rows: Sequence[int]) -> list[str]:
        values, train = run.float_embeddings(), dataset.rows("train")
        head = fit_float_head(values[train], tuple(dataset.labels[row] for row in train))
        return [head.labels[index] for index in head.scores(float_codes(values[list(rows)])).argmax(axis=1)]

    return FloatModel(
        dataset,
        run.spec.preprocessing,
        run.spec.input_range,
        model,
        lambda: model,
        reference,
        asdict(run.spec) | {"weights": Path(run.spec.weights).name},
        {"strategy": run.strategy, "photos": len(dataset), "seed": run.seed, "accuracy": run.accuracy},
        run.seed,
        run.created,
    )


def open_source(
    path: Path,
    photos: tuple[Path, ...] | None = None,
    labels: Path | None = None,
    scale: tuple[float, float] | None = None,
    seed: int | None = None,
    resize: str | None = None,
) -> FloatModel:
    """A RUN, or a Keras image classifier in a file or folder.

    Args:
        photos: where the run's photos are now; of a classifier, the photos to convert with, one folder a class.
        labels: of a classifier, a file with the label of each output; else the sorted folders of ``photos``.
        scale: of a classifier: what pixels 0 and 255 became in training, where it does not scale itself.
        seed: instead of the run's, or of 0.
        resize: of a classifier: one of :data:`~edgetl_device.preprocess.RESIZES`; None to find out.

    Raises:
        InputError: it is neither, or something is missing that it needs.
    """
    if path.is_dir() and not (path / "saved_model.pb").is_file():
        unused = [
            name
            for name, value in (("--labels", labels), ("--scale", scale), ("--resize", resize))
            if value is not None
        ]
        if unused:
            raise InputError(f"{unused[0]} describes a model file, and {path} is a RUN, which knows: leave it out")
        if photos is not None and len(photos) > 1:
            raise InputError(f"{path} is a RUN, whose photos lie in one folder: give that one with --photos")
        source = run_source(open_run(path), None if photos is None else photos[0])
        return source if seed is None else replace(source, seed=seed)
    if is_tflite(path):
        return tflite_source(path, photos, labels, scale, seed or 0, resize)
    return classifier_source(path, photos, labels, scale, seed or 0, resize)


def as_keras_numbers(dataset: Dataset) -> tuple[str, ...]:
    """The classes in the order of their folders' names as the disk has them, which is how Keras numbers outputs.

    A Mac writes accents as letters of their own: there ``épine`` comes before ``rose``, as a label it comes after.
    """
    folders: dict[str, str] = {}
    for path, label in zip(dataset.paths, dataset.labels, strict=True):
        for part in path.parts[:-1]:
            if part != label and unicodedata.normalize("NFC", part).strip() == label:
                folders[label] = part
    return tuple(sorted(dataset.classes, key=lambda label: folders.get(label, label)))


def classifier_source(
    path: Path,
    photos: tuple[Path, ...] | None,
    labels: Path | None,
    scale: tuple[float, float] | None,
    seed: int,
    resize: str | None = None,
) -> FloatModel:
    """A Keras image classifier; its own last Dense layer is the float pipeline that the bundle is held against.

    The bundle's head is solved from the statistics of ``photos``, as every head is: so it can be retrained on the
    device, which a Dense layer without the statistics behind it could not.
    """
    named, dataset = _asked(path, photos, labels, seed, resize)
    model = open_classifier(path, scale)
    outputs = name_outputs(model.classes, named, as_keras_numbers(dataset), path)
    dataset = _readable(dataset, model.preprocessing)
    preprocessing = find_preprocessing(model, dataset, outputs) if resize is None else (
        replace(model.preprocessing, resize=resize)
    )  # fmt: skip
    known = [index for index, label in enumerate(outputs) if label in dataset.classes]
    if len(known) < len(outputs):
        note(f"{len(outputs) - len(known)} of {len(outputs)} labels have no photos and are left out")

    def reference(rows: Sequence[int]) -> list[str]:
        return answers_of(model.scorer(), dataset.take(rows), preprocessing, outputs, known)

    return FloatModel(
        dataset,
        preprocessing,
        model.parts.scale,
        model.parts.backbone,
        model.keras,
        reference,
        {"name": path.name, "image_size": preprocessing.height, "weights": "its own"},
        {"strategy": "given", "photos": len(dataset), "seed": seed},
        seed,
        datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds"),
        _caution(path, photos),
    )


def tflite_source(
    path: Path,
    photos: tuple[Path, ...] | None,
    labels: Path | None,
    scale: tuple[float, float] | None,
    seed: int,
    resize: str | None = None,
) -> FloatModel:
    """A classifier that is a ``.tflite`` file already: its weights stay as they are, its last layer is left out.

    Where its labels are those of the photos, its own answers are what the bundle is held against. Otherwise it is a
    backbone and no more, and a head on its embeddings as they are takes their place.
    """
    named, dataset = _asked(path, photos, labels, seed, resize)
    model = open_tflite(path, scale)
    outputs = _outputs(model, named, dataset, path)
    dataset = _readable(dataset, model.preprocessing)
    preprocessing = model.preprocessing if resize is None else replace(model.preprocessing, resize=resize)
    caution = ""
    if outputs is not None:
        if resize is None:
            preprocessing = find_preprocessing(model, dataset, outputs)
        known = [index for index, label in enumerate(outputs) if label in dataset.classes]
        caution = _caution(path, photos)

    def reference(rows: Sequence[int]) -> list[str]:
        if outputs is None:
            return own_head(replace(model, preprocessing=preprocessing), dataset)(rows)
        return answers_of(model.scorer(), dataset.take(rows), preprocessing, outputs, known)

    def no_keras() -> Any:
        raise InputError(
            f"{path} is converted already: only a Keras model can be fine-tuned (--qat, --prune, --cluster)"
        )

    return FloatModel(
        dataset,
        preprocessing,
        (0.0, 255.0),
        None,
        no_keras,
        reference,
        {"name": path.name, "image_size": preprocessing.height, "weights": "its own"},
        {"strategy": "given", "photos": len(dataset), "seed": seed},
        seed,
        datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds"),
        caution,
        model.backbone,
    )


def answers_of(
    score: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]],
    dataset: Dataset,
    preprocessing: Preprocessing,
    outputs: Sequence[str],
    known: Sequence[int],
) -> list[str]:
    """What a classifier says of photos, among its ``known`` outputs."""
    answers = []
    for _, photo in prepare_files(dataset.files(), preprocessing):
        if isinstance(photo, PhotoError):
            raise photo
        scores = score(photo)
        answers.append(outputs[max(known, key=lambda index: scores[index])])
    return answers


def _asked(
    path: Path, photos: tuple[Path, ...] | None, labels: Path | None, seed: int, resize: str | None
) -> tuple[tuple[str, ...] | None, Dataset]:
    """The labels and photos that are given with a model; raises InputError where something is missing or wrong."""
    if not path.exists():
        raise InputError(f"no such RUN, file or folder: {path}")
    if photos is None:
        raise InputError(
            f"{path} is a model without photos: give some of each class with --photos DIR. They calibrate the "
            "integers, the head is fitted on them, and some are held out to check the result"
        )
    if resize is not None and resize not in RESIZES:
        raise InputError(f"--resize must be one of {', '.join(RESIZES)}, got {resize!r}")
    named = None if labels is None else read_labels(labels)
    return named, find_all(photos, HELD_OUT, seed)


def _caution(path: Path, photos: tuple[Path, ...] | None) -> str:
    folder = photos[0] if photos else "a folder"
    return (
        f"If {path.name} was trained on some of these photos it knows their answers, which the bundle cannot: put "
        f"photos it has never seen into {folder}/val, and the others into {folder}/train."
    )


def _outputs(
    model: TFLiteClassifier, named: tuple[str, ...] | None, dataset: Dataset, path: Path
) -> tuple[str, ...] | None:
    """The label of each output, or None where the photos are of other classes."""
    if named is not None:
        return name_outputs(model.classes, named, dataset.classes, path)
    if model.labels is not None and len(model.labels) == model.classes and set(dataset.classes) <= set(model.labels):
        return model.labels
    if model.labels is None and model.classes == len(dataset.classes):
        return dataset.classes  # sorted, as Keras numbers them
    note(f"{path.name} is used as a backbone: its classes are not those of the photos, so its own answers do not count")
    return None


def _readable(dataset: Dataset, preprocessing: Preprocessing) -> Dataset:
    files = dataset.files()
    rows = []
    for reason, count in reasons(dataset.unused).items():
        note(f"skipped: {count} × {reason}")
    for row, (_, photo) in enumerate(progress(prepare_files(files, preprocessing), len(files), "reading photos")):
        if isinstance(photo, PhotoError):
            note(f"skipped: {photo}")
        else:
            rows.append(row)
    readable = dataset.take(rows)
    check_classes(dataset, readable)
    return readable
