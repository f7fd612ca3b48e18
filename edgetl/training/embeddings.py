"""Photos → embeddings, through the float backbone or the converted one; unreadable photos are named, not fatal."""

from __future__ import annotations

import io
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from edgetl_device.console import progress
from edgetl_device.errors import InputError, PhotoError, StorageError
from edgetl_device.inference.backbone import prepare_files
from edgetl_device.preprocess import Preprocessing

from .. import tf
from ..backbones.backbone import BackboneSpec
from ..data.hashes import Hashes
from ..data.streaming import DIGEST_BYTES, Shot, batched
from ..embedding.embed import Embedded, EmbeddedPhoto
from ..embedding.float_backbone import embed_float_files
from .records import DEFAULT_LIMIT, CacheKey, RecordFile, cache_folder, cache_key, mapped, opened

log = logging.getLogger("edgetl.embeddings")

BATCH = 32
_NONE: Mapping[bytes, Hashes] = MappingProxyType({})
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
    """Photo files → a ``.npy`` file of (m, d) float32 through a Keras model; memory does not grow with the photos.

    Raises:
        InputError: no photo can be read.
    """
    read = _Read()
    photos = read.whole(embed_float_files(model, files, spec.preprocessing, spec.input_range), len(files))
    chunks = (np.stack([photo.value for _, photo in batch]) for batch in batched(photos, BATCH))
    write_rows(path, chunks, len(files), model.output_shape[1])
    return read.written(path)


def embed_once(
    model: Any, files: Sequence[Path], spec: BackboneSpec, path: Path, limit: int = DEFAULT_LIMIT
) -> Written:
    """As :func:`embed_to_file`; embeddings are kept in the cache, and those that are there are not computed again.

    So an interrupted training goes on where it was, and a folder that grew costs what is new. Where the cache cannot be
    written, or would grow beyond the limit, all photos are embedded.

    Args:
        limit: bytes on disk for the records of all trainings; 0 goes without.
    """
    key = cache_key(model, CacheKey(spec.image_size, 0, 0, region=spec.region))
    cache = RecordFile(cache_folder() / "boundary" / f"{key}e.float32", (int(model.output_shape[1]),), 0)
    with ExitStack() as stack:
        try:
            if len(files) * cache.record_bytes > limit:
                raise StorageError(f"{len(files)} embeddings are more than {limit} bytes")
            stream = stack.enter_context(opened(cache, len(files), limit))
        except (OSError, StorageError) as error:
            log.info("embeddings are not cached: %s", error)
            return embed_to_file(model, files, spec, path)
        return _embed_once(model, files, spec, path, cache, stream)


def _embed_once(
    model: Any, files: Sequence[Path], spec: BackboneSpec, path: Path, cache: RecordFile, stream: BinaryIO
) -> Written:
    read, order, waiting = _Read(), list[bytes](), dict[bytes, tuple[Shot, npt.NDArray[np.float32]]]()

    def flush() -> None:
        if waiting:
            shots = [shot for shot, _ in waiting.values()]
            cache.append(shots, np.stack([value for _, value in waiting.values()]))
            waiting.clear()

    photos = embed_float_files(
        model, files, spec.preprocessing, spec.input_range,
        cache.rows, len(files) - len(cache.rows),
    )  # fmt: skip
    for digest, photo in read.whole(photos, len(files), cache.hashes):
        order.append(digest)
        if photo.value.size and digest not in cache.rows:
            waiting[digest] = Shot(digest, (), photo.hash), photo.value
        if len(waiting) == BATCH:
            flush()
    flush()
    values, records = mapped(stream, cache), [cache.rows[digest] for digest in order]
    write_rows(path, (values[rows, 0] for rows in batched(records, 4 * BATCH)), len(files), model.output_shape[1])
    return read.written(path)


class _Read:
    """What became of photos as they come by."""

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._skipped: list[str] = []
        self._hashes = bytearray()
        self._remarks = Counter[str]()

    def whole(
        self,
        photos: Iterable[EmbeddedPhoto | PhotoError],
        total: int,
        hashes: Mapping[bytes, Hashes] = MappingProxyType({}),
    ) -> Iterator[tuple[bytes, EmbeddedPhoto]]:
        """Those that could be read, with the beginning of their digest, which ``hashes`` go by."""
        for row, photo in enumerate(progress(photos, total, "embedding photos")):
            if isinstance(photo, PhotoError):
                self._skipped.append(str(photo))
                continue
            digest = photo.digest[:DIGEST_BYTES]
            self._rows.append(row)
            self._hashes += (photo.hash if photo.hash.size else hashes[digest]).tobytes()
            if photo.remark:
                self._remarks[photo.remark] += 1
            yield digest, photo

    def written(self, path: Path) -> Written:
        """What the file holds; raises InputError, and removes it, if that is nothing."""
        rows, skipped = tuple(self._rows), tuple(self._skipped)
        if not rows:
            path.unlink()
            raise InputError(f"none of {len(skipped)} photos could be read, for example {skipped[0]}")
        return Written(
            rows, skipped, np.frombuffer(bytes(self._hashes), np.uint8).reshape(len(rows), -1), self._remarks
        )


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
