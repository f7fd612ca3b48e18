"""Photo files → embeddings: read, decoded, preprocessed and embedded on every core, in order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.console import progress
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.inference.backbone import Backbone
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.photos import decoded, photo_file
from edgetl_device.preprocess import Preprocessing

from ..data.duplicates import Hashes, difference_hash
from .workers import on_every_core, worker_count

Embedder = Callable[[npt.NDArray[np.uint8]], npt.NDArray[Any]]
"""(h, w, 3) uint8 RGB preprocessed photo → (d,) embedding."""


@dataclass(frozen=True, eq=False)
class EmbeddedPhoto:
    """One photo file.

    Args:
        digest: its SHA-256, 32 bytes, or 16 where TensorFlow embedded it.
        value: (d,) embedding, int8 or float32; empty where its digest was known.
        hash: (16,) difference hash; empty where none was asked for.
        remark: what decoding did to the photo that a person should know, or nothing.
    """

    digest: bytes
    value: npt.NDArray[Any]
    hash: Hashes
    remark: str = ""


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings of the photos that could be read.

    Args:
        values: (n, d), float32 of the float backbone or int8 of the converted one.
        rows: n indices into the files that were asked for.
        skipped: what is wrong with each of the others.
        digests: SHA-256 of each of the n files.
    """

    values: npt.NDArray[Any]
    rows: tuple[int, ...]
    skipped: tuple[str, ...]
    digests: tuple[bytes, ...] = ()


def embed_files(
    files: Iterable[Path],
    preprocessing: Preprocessing,
    make: Callable[[], Embedder],
    workers: int,
    *,
    known: Callable[[bytes], bool] = lambda _: False,
    hashed: bool = False,
) -> Iterator[EmbeddedPhoto | PhotoError]:
    """Photo files in order; what cannot be read is a PhotoError in its place.

    Args:
        make: gives each worker its own embedder.
        workers: how many cores; the embeddings are the same for any number.
        known: of a file's SHA-256, whether its photo need not be embedded.
        hashed: also compute difference hashes, for near-copies.
    """
    nothing = np.zeros(0, np.uint8)

    def worker() -> Callable[[Path], EmbeddedPhoto | PhotoError]:
        embedder = make()

        def embed(path: Path) -> EmbeddedPhoto | PhotoError:
            try:
                with photo_file(path) as data:
                    digest = hashlib.sha256(data).digest()
                    if known(digest):
                        return EmbeddedPhoto(digest, nothing, nothing)
                    prepared, remark = _prepared(path, data, preprocessing)
            except PhotoError as error:
                return PhotoError(str(error))  # without its traceback, which would keep the photo in memory
            return EmbeddedPhoto(digest, embedder(prepared), difference_hash(prepared) if hashed else nothing, remark)

        return embed

    return on_every_core(worker, files, workers)


def _prepared(path: Path, data: bytes, preprocessing: Preprocessing) -> tuple[npt.NDArray[np.uint8], str]:
    try:
        with decoded(data) as photo:
            return preprocessing(photo.image), photo.remark
    except PhotoError as error:
        raise PhotoError(f"{path}: {error}") from None


def embed_with(
    backbone: Backbone, files: Iterable[Path], workers: int | None = None
) -> Iterator[EmbeddedPhoto | PhotoError]:
    """Photo files → raw int8 embeddings (d,) of a converted backbone, with the device's runtime and code."""
    interpreter = backbone.interpreter
    size = interpreter.model_bytes if isinstance(interpreter, TFLiteInterpreter) else None
    if size is None:
        return embed_files(files, backbone.preprocessing, lambda: backbone.embed_photo, 1)

    def make() -> Embedder:
        return (backbone.another() or backbone).embed_photo

    return embed_files(files, backbone.preprocessing, make, workers or worker_count(size))


def embed_device(backbone: Backbone, files: Sequence[Path], workers: int | None = None) -> Embedded:
    """As :func:`embed_with`, all of them in one array (n, d) int8.

    Raises:
        InputError: no photo could be read.
    """
    values, rows, digests = [], [], []
    skipped: list[str] = []
    for row, photo in enumerate(progress(embed_with(backbone, files, workers), len(files), "embedding photos")):
        if isinstance(photo, PhotoError):
            skipped.append(str(photo))
            continue
        rows.append(row)
        values.append(photo.value)
        digests.append(photo.digest)
    if not rows:
        raise InputError(f"none of {len(skipped)} photos could be read, for example {skipped[0]}")
    return Embedded(np.stack(values), tuple(rows), tuple(skipped), tuple(digests))
