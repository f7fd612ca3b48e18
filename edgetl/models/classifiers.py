"""An image classifier in a file or folder, with photos → a float model, as conversion takes it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from ..training.train import check_classes
from .float_model import FloatModel, OwnHead
from .keras_files import KerasClassifier, check_names, name_outputs, open_classifier, read_labels
from .resize_search import Classifier, find_preprocessing
from .tflite_files import TFLiteClassifier, open_tflite, own_head

HELD_OUT = 0.2  # of the photos of each class, where no val or test folder says otherwise

Rows = Sequence[int]
Score = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Given:
    """What the user says of a classifier.

    Args:
        path: of the file or folder.
        photos: to convert with, one folder a class.
        labels: a file with the label of each output; None where the sorted folders of ``photos`` are those.
        scale: what pixels 0 and 255 became in training, where it does not scale itself.
        seed: of the split and of what follows.
        resize: one of :data:`~edgetl_device.preprocess.RESIZES`; None to find out.
    """

    path: Path
    photos: tuple[Path, ...] | None
    labels: Path | None = None
    scale: tuple[float, float] | None = None
    seed: int = 0
    resize: str | None = None


def keras_source(given: Given) -> FloatModel:
    """A Keras image classifier; its own last Dense layer is the float pipeline that the bundle is held against.

    The bundle's head is solved from the statistics of ``photos``, as every head is: so it can be retrained on the
    device, which a Dense layer without the statistics behind it could not.
    """
    named, dataset = _asked(given)
    if named is not None and given.labels is not None:  # told before the model is loaded, which takes long
        check_names(named, dataset.classes, given.labels)
    model = open_classifier(given.path, given.scale)
    outputs = name_outputs(model.classes, named, as_keras_numbers(dataset), given.path)
    dataset, preprocessing = _prepared(given, model, dataset, outputs)
    known = [index for index, label in enumerate(outputs) if label in dataset.classes]
    if len(known) < len(outputs):
        note(f"{len(outputs) - len(known)} of {len(outputs)} labels have no photos and are left out")

    def answers(rows: Rows, among: Sequence[int] = known) -> list[str]:
        return answers_of(model.scorer(), dataset.take(rows), preprocessing, outputs, among)

    def of_all(rows: Rows) -> list[str]:
        return answers(rows, range(len(outputs)))

    return replace(
        _source(given, dataset, preprocessing, answers, model.keras),
        scale=model.parts.scale,
        backbone=model.parts.backbone,
        caution=_caution(given),
        own=OwnHead(*_two_columns(model), outputs, of_all),
    )


def tflite_source(given: Given) -> FloatModel:
    """A classifier that is a ``.tflite`` file already: its weights stay as they are, its last layer is left out.

    Where its labels are those of the photos, its own answers are what the bundle is held against. Otherwise it is a
    backbone and no more, and a head on its embeddings as they are takes their place.
    """
    named, dataset = _asked(given)
    model = open_tflite(given.path, given.scale)
    outputs = _outputs(model, named, dataset, given.path)
    dataset, preprocessing = _prepared(given, model, dataset, outputs)
    if outputs is None:
        answers = own_head(replace(model, preprocessing=preprocessing), dataset)
    else:
        known = [index for index, label in enumerate(outputs) if label in dataset.classes]

        def answers(rows: Rows) -> list[str]:
            return answers_of(model.scorer(), dataset.take(rows), preprocessing, outputs, known)

    def no_keras() -> Any:
        raise InputError(
            f"{given.path} is converted already: only a Keras model can be fine-tuned (--qat, --prune, --cluster)"
        )

    source = _source(given, dataset, preprocessing, answers, no_keras)
    return replace(source, caution="" if outputs is None else _caution(given), ready=model.backbone)


def _source(
    given: Given,
    dataset: Dataset,
    preprocessing: Preprocessing,
    answers: Callable[[Rows], list[str]],
    keras: Callable[[], Any],
) -> FloatModel:
    """What float models of every kind of file share; pixels are fed as they are."""
    return FloatModel(
        dataset,
        preprocessing,
        (0.0, 255.0),
        None,
        keras,
        answers,
        {"name": given.path.name, "image_size": preprocessing.height, "weights": "its own"},
        {"strategy": "given", "photos": len(dataset), "seed": given.seed},
        given.seed,
        datetime.fromtimestamp(given.path.stat().st_mtime, UTC).isoformat(timespec="seconds"),
    )


def _prepared(
    given: Given, model: Classifier, dataset: Dataset, outputs: Sequence[str] | None
) -> tuple[Dataset, Preprocessing]:
    """The photos that can be read, and how they are resized; ``outputs`` None: the model does not know their labels."""
    dataset = _readable(dataset, model.preprocessing)
    if given.resize is not None:
        return dataset, replace(model.preprocessing, resize=given.resize)
    return dataset, model.preprocessing if outputs is None else find_preprocessing(model, dataset, outputs)


def _two_columns(model: KerasClassifier) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Weights and bias of the last layer; of one sigmoid, those of the softmax that gives the same probabilities."""
    weights, bias = model.parts.weights, model.parts.bias
    if len(bias) > 1:
        return weights, bias
    return np.hstack([np.zeros_like(weights), weights]), np.concatenate([np.zeros_like(bias), bias])


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


def answers_of(
    score: Score, dataset: Dataset, preprocessing: Preprocessing, outputs: Sequence[str], known: Sequence[int]
) -> list[str]:
    """What a classifier says of photos, among its ``known`` outputs."""
    answers = []
    for _, photo in prepare_files(dataset.files(), preprocessing):
        if isinstance(photo, PhotoError):
            raise photo
        scores = score(photo)
        answers.append(outputs[max(known, key=lambda index: scores[index])])
    return answers


def _asked(given: Given) -> tuple[tuple[str, ...] | None, Dataset]:
    """The labels and photos that are given with a model; raises InputError where something is missing or wrong."""
    if not given.path.exists():
        raise InputError(f"no such RUN, file or folder: {given.path}")
    if given.photos is None:
        raise InputError(
            f"{given.path} is a model without photos: give some of each class with --photos PHOTOS. They calibrate the "
            "integers, the head is fitted on them, and some are held out to check the result"
        )
    if given.resize is not None and given.resize not in RESIZES:
        raise InputError(f"--resize must be one of {', '.join(RESIZES)}, got {given.resize!r}")
    dataset = find_all(given.photos, HELD_OUT, given.seed)
    return None if given.labels is None else read_labels(given.labels, dataset.classes), dataset


def _caution(given: Given) -> str:
    folder = given.photos[0] if given.photos else "a folder"
    return (
        f"If {given.path.name} was trained on some of these photos it knows their answers, which the bundle cannot: "
        f"put photos it has never seen into {folder}/val, and the others into {folder}/train."
    )


def _outputs(
    model: TFLiteClassifier, named: tuple[str, ...] | None, dataset: Dataset, path: Path
) -> tuple[str, ...] | None:
    """The label of each output, or None where the photos are of other classes."""
    classes = set(dataset.classes)
    if named is not None:
        if strange := sorted(classes - set(named) if model.classes == len(named) and classes & set(named) else ()):
            alone = "" if model.classes == len(classes) else "; without --labels the model serves as a backbone alone"
            raise InputError(
                f"the photos have a class {strange[0]!r} that the model does not know: leave out its photos, or "
                f"correct the labels{alone}"
            )
        if model.classes and (len(named) != model.classes or classes & set(named)):
            return name_outputs(model.classes, named, dataset.classes, path)
    elif model.labels is not None:
        if len(model.labels) == model.classes and all(model.labels.count(label) == 1 for label in classes):
            return model.labels
    elif model.classes == len(dataset.classes):
        return dataset.classes  # sorted, as Keras numbers them
    why = "its classes are not those of the photos, so its own answers do not count"
    note(f"{path.name} is used as a backbone: {why if model.classes else 'it ends in its embedding'}")
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
