"""Any Keras image classifier in a file or folder → its backbone, its head and what it makes of pixels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError
from edgetl_device.files import read_bounded
from edgetl_device.labels import check_label
from edgetl_device.preprocess import Preprocessing

from .. import tf
from ..training.embeddings import to_float
from .flattening import flat_classifier_backbone
from .keras_loading import EXPECTED, freeze_keras, load_keras
from .saved_models import load_saved_model
from .splitting import Split, split

_NUMBERED = re.compile(r"(\d{1,20})\s*[:\s]\s*(\S.*)")
_MOSTLY = 0.9
_MAX_LABELS_BYTES = 1 << 20  # more than the names of 20,000 classes take


@dataclass(frozen=True, eq=False)
class KerasClassifier:
    """An image classifier, split where its embedding is.

    Args:
        parts: backbone and head.
        preprocessing: frame → its input size.
        classes: how many labels it tells apart.
        keras: gives the backbone as a Keras 2 model for TFMOT, or raises InputError with the reason why not.
    """

    parts: Split
    preprocessing: Preprocessing
    classes: int
    keras: Callable[[], Any]

    def scorer(self) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
        """Preprocessed photo (h, w, 3) uint8 RGB → (classes,) scores."""
        return lambda photo: self.scores(to_float(photo[None], self.parts.scale)[0])

    def scores(self, photo: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(h, w, 3) float32 in the backbone's range → (classes,) scores, larger is more probable."""
        embedding = np.asarray(self.parts.backbone(tf.load().constant(photo[None])))[0]
        logits = np.asarray(embedding @ self.parts.weights + self.parts.bias, np.float32)
        return np.array([0, logits[0]], np.float32) if len(logits) == 1 else logits


def open_classifier(path: Path, scale: tuple[float, float] | None = None, verbose: bool = False) -> KerasClassifier:
    """Load a classifier; code inside the file is never run.

    Args:
        scale: what pixels 0 and 255 became before the model saw them; None to find the scaling inside it.

    Raises:
        InputError: it cannot be loaded, or is no image classifier that can be split; the message says why.
    """
    if not path.exists():
        raise InputError(f"no such file or folder: {path}; {EXPECTED}")
    major = 0
    if path.is_dir():
        frozen, size = load_saved_model(path)
        keras = _no_keras(f"{path} is a SavedModel")
    else:
        frozen, size, major = freeze_keras(path)
        keras = _no_keras(f"{path} was saved by Keras 3")
    try:
        with tf.quiet(verbose):
            parts = split(frozen, scale)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    outputs = len(parts.bias)
    if parts.activation == "sigmoid" and outputs > 1:
        raise InputError(
            f"{path} ends in {outputs} sigmoids, so it gives a photo several labels at once; "
            "edgetl tells classes apart, one label a photo: train it with softmax"
        )
    if outputs == 1 and parts.activation == "softmax":
        raise InputError(f"{path} has one output with softmax, which is always 1: it cannot tell anything apart")
    if major == 2:
        keras = _flat(parts, path, verbose)
    return KerasClassifier(parts, Preprocessing(*size), max(outputs, 2), keras)


def read_labels(path: Path, used: Collection[str] | None = None) -> tuple[str, ...]:
    """A labels file → labels in the order of the model's outputs: one a line, or numbered, ``0 cat`` or ``0:cat``.

    Args:
        used: the labels that count, those of the photos: the others may be longer than a label, or be there twice, as
            in ImageNet's lists; None where all count.

    Raises:
        InputError: it cannot be read, holds a label twice, or numbers them with gaps.
    """
    try:
        return parse_labels(read_bounded(path, _MAX_LABELS_BYTES), str(path), used)
    except OSError as error:
        raise InputError(f"cannot read the labels in {path}: {error}") from None


def parse_labels(data: bytes, path: str, used: Collection[str] | None = None) -> tuple[str, ...]:
    """The bytes of a labels file, as :func:`read_labels`; ``path`` is its name in messages."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read the labels in {path}: {error}") from None
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    matches = [(number, _NUMBERED.fullmatch(line)) for number, line in lines]
    numbered = {int(match[1]): (number, match[2]) for number, match in matches if match}
    # "10 cent", "20 cent": where nothing else tells them apart, the numbers belong to the labels
    different = len({label for _, label in numbered.values()})
    in_order = sorted(numbered) == list(range(len(lines)))
    enough = _MOSTLY * len(lines) if in_order else len(lines)  # ImageNet's numbered lists have two cranes
    if lines and all(match for _, match in matches) and different >= enough:
        if not in_order:
            raise InputError(
                f"{path} numbers its labels, but not 0 to {len(lines) - 1}, each once; if the numbers are part of the "
                "labels, write 0: before the first line and so on"
            )
        lines = [numbered[index] for index in range(len(lines))]
    labels = tuple(_label(line, f"{path} line {number}", used) for number, line in lines)
    _refuse_twice(labels, path, labels if used is None else used)
    return labels


def _refuse_twice(labels: Sequence[str], path: str, among: Collection[str]) -> None:
    twice = next((label for label, count in Counter(labels).items() if count > 1 and label in among), None)
    if twice is not None:
        raise InputError(f"{path} holds {twice!r} twice: each output needs a label of its own")


def _label(line: str, place: str, used: Collection[str] | None) -> str:
    try:
        return check_label(line)
    except InputError as error:
        if used is None:
            raise InputError(f"{place}: {error}") from None
        return line  # none of those that count, which are labels


def parse_scale(text: str) -> tuple[float, float]:
    """``-1,1`` → (−1, 1); raises InputError on anything else."""
    with suppress(ValueError):
        low, high = (float(part) for part in text.split(","))
        if np.isfinite([low, high]).all() and low < high:
            return low, high
    raise InputError(f"--scale is what pixels 0 and 255 became in training, such as -1,1 or 0,1, got {text!r}")


def parsed_scale(text: str | None) -> tuple[float, float] | None:
    """As :func:`parse_scale`; None stays None."""
    return None if text is None else parse_scale(text)


def check_names(labels: Sequence[str], folders: Sequence[str], path: Path) -> None:
    """Raise InputError where photos have no label in a file, or one is there twice; asks no model."""
    _refuse_twice(labels, str(path), labels)
    if len(labels) < len(folders):
        raise InputError(
            f"{path} holds {len(labels)} label{'s' * (len(labels) != 1)}, the photos have {len(folders)} folders: it "
            "needs a line for each output of the model"
        )
    _refuse_strange(labels, folders)


def _refuse_strange(labels: Sequence[str], folders: Sequence[str]) -> None:
    strange = sorted(set(folders) - set(labels))
    if strange:
        raise InputError(
            f"the photos have a class {strange[0]!r} that the model does not know; new classes are taught on the "
            "device, with `edgetl-device learn`, or with `edgetl train`"
        )


def name_outputs(classes: int, labels: Sequence[str] | None, folders: Sequence[str], path: Path) -> tuple[str, ...]:
    """The label of each output: as given, or the sorted photo folders, as Keras numbers them.

    Raises:
        InputError: there are more or fewer than outputs, or a folder is none of the labels.
    """
    if labels is None:
        if len(folders) != classes:
            raise InputError(
                f"{path} tells {classes} classes apart, the photos have {len(folders)} folders: "
                "say which output is which with --labels FILE"
            )
        return tuple(folders)
    if len(labels) != classes:
        raise InputError(f"{path} tells {classes} classes apart, the labels file has {len(labels)}")
    _refuse_strange(labels, folders)
    return tuple(labels)


def needs_keras2(what: str) -> InputError:
    """Of compression, where ``what`` says why it cannot be."""
    return InputError(
        f"--qat, --prune and --cluster need a Keras 2 model (TFMOT takes no other), and {what}: "
        "leave them out, or train with `edgetl train`"
    )


def _no_keras(what: str) -> Callable[[], Any]:
    def refuse() -> Any:
        raise needs_keras2(what)

    return refuse


def _flat(parts: Split, path: Path, verbose: bool) -> Callable[[], Any]:
    def keras() -> Any:
        model = load_keras(path, verbose)
        if parts.scaled_inside or model.input_shape[-1] == 1:
            raise InputError(
                f"--qat, --prune and --cluster: {path} resizes photos, turns them to grey, or scales each channel on "
                "its own; TFMOT rejects that"
            )
        flat = flat_classifier_backbone(model)
        low, high = parts.scale
        batch = np.random.default_rng(0).uniform(low, high, (1, *flat.input_shape[1:])).astype(np.float32)
        one, other = np.asarray(flat(batch, training=False)), np.asarray(parts.backbone(tf.load().constant(batch)))
        if one.shape != other.shape or np.abs(one - other).max() > 1e-3 * max(float(np.abs(other).max()), 1e-6):
            raise InputError(f"--qat, --prune and --cluster: {path} cannot be flattened for TFMOT")
        return flat

    return keras
