"""Photos → embeddings, through the float backbone or the converted one; unreadable photos are named, not fatal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.backbone import Backbone, prepare_files
from edgetl_device.console import progress
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.preprocess import Preprocessing

from . import tf

BATCH = 32


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings of the photos that could be read.

    Args:
        values: (n, d), float32 of the float backbone or int8 of the converted one.
        rows: n indices into the files that were given.
        skipped: what is wrong with each of the others.
    """

    values: npt.NDArray[Any]
    rows: tuple[int, ...]
    skipped: tuple[str, ...]


def embed_float(
    model: Any, files: Sequence[Path], preprocessing: Preprocessing, scale: tuple[float, float]
) -> Embedded:
    """Photo files → (n, d) float32 through a Keras model.

    Args:
        scale: what the uint8 values 0 and 255 stand for at the model's input.
    """
    rows: list[int] = []
    skipped: list[str] = []
    chunks: list[npt.NDArray[np.float32]] = []
    call = tf.load().function(lambda batch: model(batch, training=False), reduce_retracing=True)

    def flush(photos: list[npt.NDArray[np.uint8]]) -> None:
        if photos:
            chunks.append(np.asarray(call(to_float(np.stack(photos), scale))))
            photos.clear()

    waiting: list[npt.NDArray[np.uint8]] = []
    for row, photo in enumerate(_photos(prepare_files(files, preprocessing), len(files))):
        if isinstance(photo, PhotoError):
            skipped.append(str(photo))
            continue
        rows.append(row)
        waiting.append(photo)
        if len(waiting) == BATCH:
            flush(waiting)
    flush(waiting)
    return _embedded(chunks, rows, skipped)


def embed_device(backbone: Backbone, files: Sequence[Path]) -> Embedded:
    """Photo files → (n, d) int8 through the converted backbone, with the device's runtime."""
    rows: list[int] = []
    skipped: list[str] = []
    chunks = []
    for row, raw in enumerate(_photos(backbone.embed_files(files), len(files))):
        if isinstance(raw, PhotoError):
            skipped.append(str(raw))
            continue
        rows.append(row)
        chunks.append(raw[None])
    return _embedded(chunks, rows, skipped)


def to_float(photos: npt.NDArray[np.uint8], scale: tuple[float, float]) -> npt.NDArray[np.float32]:
    """(n, h, w, 3) uint8 → float32 between the two ends of ``scale``."""
    low, high = scale
    return photos.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low)


def _photos(pairs: Iterable[tuple[Path, Any]], total: int) -> Iterator[Any]:
    for _, value in progress(pairs, total, "embedding photos"):
        yield value


def _embedded(chunks: list[Any], rows: list[int], skipped: list[str]) -> Embedded:
    if not chunks:
        raise InputError(f"none of {len(skipped)} photos could be read, for example {skipped[0]}")
    return Embedded(np.concatenate(chunks), tuple(rows), tuple(skipped))
