"""Photo files → embeddings: read, decoded, preprocessed and embedded on every core, in order."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.console import progress
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.inference.backbone import Backbone
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.preprocess import Preprocessing

from .crew import embed_on_cores
from .photo import EmbeddedPhoto, Embedder, FileEmbedder, PhotoEmbedder
from .workers import worker_count

__all__ = ["Embedded", "EmbeddedPhoto", "Embedder", "FileEmbedder", "embed_device", "embed_files", "embed_with"]


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
    embedder: Embedder,
    workers: int = 1,
    *,
    known: Container[bytes] = (),
    hashed: bool = False,
) -> Iterator[EmbeddedPhoto | PhotoError]:
    """Photo files in order; what cannot be read is a PhotoError in its place.

    Args:
        embedder: a :class:`FileEmbedder` for more than one core.
        workers: how many cores; the embeddings are the same for any number.
        known: the first 16 bytes of the SHA-256 of files that need not be embedded.
        hashed: also compute difference hashes, for near-copies.
    """
    return embed_on_cores(PhotoEmbedder(preprocessing, embedder, known, hashed), files, workers)


def embed_with(
    backbone: Backbone, files: Iterable[Path], workers: int | None = None
) -> Iterator[EmbeddedPhoto | PhotoError]:
    """Photo files → raw int8 embeddings (d,) of a converted backbone, with the device's runtime and code."""
    interpreter = backbone.interpreter
    if not isinstance(interpreter, TFLiteInterpreter) or interpreter.made_of is None:
        return embed_files(files, backbone.preprocessing, backbone.embed_photo)
    model, runtime = interpreter.made_of
    quantization = None if backbone.scale is None else (backbone.scale, backbone.transform.zero_point)
    embedder = FileEmbedder(lambda: model, runtime, quantization, interpreter)
    return embed_files(files, backbone.preprocessing, embedder, workers or worker_count(len(model)))


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
