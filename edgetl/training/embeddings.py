"""Photos → embeddings, through the float backbone or the converted one; unreadable photos are named, not fatal."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.console import progress
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.inference.backbone import prepare_files
from edgetl_device.preprocess import Preprocessing

from .. import tf
from ..backbones.backbone import BackboneSpec
from ..data.duplicates import Hashes
from ..data.streaming import batched, shots
from ..embedding.embed import Embedded

BATCH = 32
_HEADER_BYTES = 128  # of a .npy file


@dataclass(frozen=True, eq=False)
class Written:
    """Which photos' embeddings a file holds.

    Args:
        rows: m indices into the files that were asked for.
        skipped: what is wrong with each of the others.
        hashes: (m, 16) difference hashes.
        remarks: what was done to photos in decoding → to how many.
    """

    rows: tuple[int, ...]
    skipped: tuple[str, ...]
    hashes: Hashes
    remarks: Mapping[str, int] = field(default_factory=dict)


def embed_to_file(model: Any, files: Sequence[Path], spec: BackboneSpec, path: Path) -> Written:
    """Photo files → a ``.npy`` file of (m, d) float32 through a Keras model; memory does not grow with the photos."""
    rows: list[int] = []
    skipped: list[str] = []
    hashes = bytearray()
    remarks = Counter[str]()
    call = tf.load().function(
        lambda photos: model(tf.load().cast(photos, "float32") / 127.5 - 1.0, training=False), reduce_retracing=True
    )

    def readable() -> Iterator[npt.NDArray[np.uint8]]:
        decoded = shots(files, (spec.preprocessing,))
        for row, shot in enumerate(progress(decoded, len(files), "embedding photos")):
            if isinstance(shot, PhotoError):
                skipped.append(str(shot))
                continue
            rows.append(row)
            hashes.extend(shot.hash.tobytes())
            if shot.remark:
                remarks[shot.remark] += 1
            yield shot.photos[0]

    chunks = (np.asarray(call(np.stack(photos))) for photos in batched(readable(), BATCH))
    write_rows(path, chunks, len(files), model.output_shape[1])
    if not rows:
        path.unlink()
        raise InputError(f"none of {len(skipped)} photos could be read, for example {skipped[0]}")
    return Written(tuple(rows), tuple(skipped), np.frombuffer(bytes(hashes), np.uint8).reshape(len(rows), -1), remarks)


def write_rows(path: Path, chunks: Iterable[npt.NDArray[np.float32]], expected: int, dimension: int = 0) -> None:
    """Blocks of rows → one ``.npy`` file, (m, d) float32, block by block.

    Args:
        expected: at most so many rows.
        dimension: d, where it is not to be read off the first block.
    """
    count = 0
    with path.open("wb") as stream:
        for chunk in chunks:
            if not stream.tell():
                dimension = chunk.shape[1]
                stream.write(_header(expected, dimension))
            stream.write(np.ascontiguousarray(chunk, np.float32).tobytes())
            count += len(chunk)
        stream.seek(0)
        stream.write(_header(count, dimension))


def read_rows(path: Path, count: int) -> npt.NDArray[np.float32]:
    """What :func:`write_rows` wrote of ``count`` photos → (count, d) float32, mapped from the file, not read.

    Raises:
        ValueError: the file holds anything else.
        OSError: it cannot be read.
    """
    if not path.is_file():
        raise ValueError("it is not there")
    values, rest = divmod(path.stat().st_size - _HEADER_BYTES, 4)
    with path.open("rb") as stream:
        header = stream.read(_HEADER_BYTES)
    if rest or count < 1 or values < count or header != _header(count, values // count):
        raise ValueError(f"it does not hold the embeddings of {count} photos")
    return np.memmap(path, np.float32, "r", _HEADER_BYTES, (count, values // count))


def _header(rows: int, dimension: int) -> bytes:
    """Of a ``.npy`` file; its padding makes it as long for any number of rows up to 10¹⁸."""
    stream = io.BytesIO()
    description = {"descr": "<f4", "fortran_order": False, "shape": (rows, dimension)}
    np.lib.format.write_array_header_1_0(stream, description)
    assert len(stream.getvalue()) == _HEADER_BYTES, "room for other row counts"
    return stream.getvalue()


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
