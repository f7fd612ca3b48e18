"""A classifier in a ``.tflite`` file, or in Teachable Machine's zip of one → a backbone that is converted already."""

from __future__ import annotations

import logging
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgetl_device.codes import MAX_DIMENSION
from edgetl_device.errors import CheckFailedError, InputError
from edgetl_device.files import read_bounded
from edgetl_device.inference.backbone_trial import try_backbone
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.preprocess import Preprocessing

from ..data.datasets import Dataset
from ..embedding.embed import FileEmbedder, embed_files
from ..embedding.workers import worker_count
from ..tflite.repoint import Layout, layout, repointed
from ..training.float_head import fit_float_head, float_codes
from .keras_files import parse_labels
from .model_kinds import model_kind

log = logging.getLogger("edgetl.models")

MOST_BYTES = 1 << 30
_MEMBER_BYTES = 256 << 20  # as of a bundle; Teachable Machine's are below 10 MB
_TIMES = 20  # that a member may be larger than the zip; weights hardly shrink
_LABELS_BYTES = 1 << 20
_TEACHABLE = (-1.0, 1.0)  # what pixels are in Teachable Machine's float files, which do not say
_UNREADABLE = (OSError, ValueError, LookupError, RuntimeError, EOFError, zlib.error, struct.error, zipfile.BadZipFile)
"""What :mod:`zipfile` raises on damaged, encrypted and newer archives."""
_NOISE = 2  # photos of noise in the trial

Photo = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class TFLiteClassifier:
    """A classifier, as a backbone and as it was.

    Args:
        backbone: ``.tflite`` that takes pixels and gives (1, d) int8 or float32.
        whole: the same that gives the classifier's own scores; None where it has none.
        labels: that come with it as they are written, in the order of its outputs; None where none do.
        classes: how many outputs it has; 0 where it ends in its embedding.
    """

    backbone: bytes
    whole: bytes | None
    preprocessing: Preprocessing
    labels: tuple[str, ...] | None
    classes: int

    def scorer(self) -> Callable[[Photo], npt.NDArray[np.float32]]:
        """Preprocessed photo (h, w, 3) uint8 RGB → (classes,) scores, by the classifier as it was."""
        if self.whole is None:
            raise InputError("a file that ends in its embedding has no scores")
        interpreter = TFLiteInterpreter(self.whole)
        return lambda photo: np.asarray(interpreter(photo), np.float32)


def is_tflite(path: Path) -> bool:
    """Whether a file is a ``.tflite`` file or a zip with one, by its content; a bundle is none."""
    return model_kind(path) == "a .tflite file"


def open_tflite(path: Path, scale: tuple[float, float] | None = None) -> TFLiteClassifier:
    """Read a classifier and try it out, in a process of its own.

    Args:
        scale: what pixels 0 and 255 became before the model saw them; None where the file tells, and for integer inputs
            that take pixels as they are.

    Raises:
        InputError: it is no image classifier, does not say how its pixels are scaled, or crashes.
    """
    data, labels, teachable = _read(path)
    try:
        found = layout(data)
        if found.features > MAX_DIMENSION:
            raise InputError(f"its last layer takes {found.features:,} features, edgetl up to {MAX_DIMENSION:,}")
        scale = _scale(found, scale, teachable)
        backbone = repointed(data, found.embedding, scale)
        whole = None if found.classes is None else repointed(data, found.output, scale)
        noise = np.random.default_rng(0).integers(0, 256, (_NOISE, found.height, found.width, 3)).astype(np.uint8)
        for each in filter(None, (backbone, whole)):
            try_backbone(each, noise)
    except (InputError, CheckFailedError) as error:
        raise InputError(f"{path}: {error}") from None
    return TFLiteClassifier(backbone, whole, Preprocessing(found.height, found.width), labels, found.classes or 0)


def own_head(model: TFLiteClassifier, dataset: Dataset) -> Callable[[Sequence[int]], list[str]]:
    """What a head says that is fitted on the backbone's embeddings as they are: rows of the dataset → labels."""

    def embed(rows: Sequence[int]) -> npt.NDArray[np.float32]:
        files = dataset.take(list(rows)).files()
        count = worker_count(len(model.backbone))
        photos = embed_files(files, model.preprocessing, FileEmbedder(lambda: model.backbone), count)
        values = np.stack([photo.value for photo in photos if not isinstance(photo, Exception)])
        zero = TFLiteInterpreter(model.backbone).output.zero_point if values.dtype == np.int8 else 0
        return values.astype(np.float32) - np.float32(zero)

    def reference(rows: Sequence[int]) -> list[str]:
        train = dataset.rows("train")
        head = fit_float_head(embed(train), [dataset.labels[row] for row in train])
        return [head.labels[index] for index in head.scores(float_codes(embed(rows))).argmax(axis=1)]

    return reference


def created(path: Path) -> str:
    """When a file was written: UTC, ISO 8601."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")


def _scale(found: Layout, asked: tuple[float, float] | None, teachable: bool) -> tuple[float, float] | None:
    if asked is not None or found.is_own or found.input != "FLOAT32":
        return asked
    if teachable:
        return _TEACHABLE
    raise InputError(
        "it takes floats and does not say what pixels became in its training: give --scale MIN,MAX, such as -1,1 or 0,1"
    )


def _read(path: Path) -> tuple[bytes, tuple[str, ...] | None, bool]:
    """The model, the labels that come with it, and whether it is Teachable Machine's."""
    try:
        data = read_bounded(path, MOST_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    teachable = data[:2] == b"PK"
    names = _members(path, ".txt")  # of metadata, they lie in a zip archive behind the model
    labels = _labels(data, names[0]) if len(names) == 1 else None
    if teachable:
        models = _members(path, ".tflite")
        if len(models) != 1:
            raise InputError(f"{path}: it holds {len(models)} .tflite files ({', '.join(models)[:100]}), expected one")
        data = _member(data, models[0], _MEMBER_BYTES, path)
    return data, labels, teachable


def _members(path: Path, suffix: str) -> list[str]:
    with suppress(*_UNREADABLE), zipfile.ZipFile(path) as archive:
        return [name for name in archive.namelist() if name.lower().endswith(suffix)]
    return []


def _member(data: bytes, name: str, most: int, path: Path) -> bytes:
    most = min(most, _TIMES * len(data) + (1 << 20))
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InputError(f"{path}: its {name!r} is packed in an unusual way: zip it again without options")
            with archive.open(name) as stream:
                content = stream.read(most + 1)
    except _UNREADABLE as error:
        raise InputError(f"{path}: its {name!r} cannot be read ({error})") from None
    if len(content) > most:
        raise InputError(f"{path}: its {name!r} unpacks to more than {most:,} bytes")
    return content


def _labels(data: bytes, name: str) -> tuple[str, ...] | None:
    try:
        return parse_labels(_member(data, name, _LABELS_BYTES, Path(name)), name, ())  # which count is not known yet
    except InputError as error:
        log.info("the labels that come with the model are not used: %s", error)
        return None
