"""Activations where the frozen part of a backbone ends, kept on disk: nothing frozen is computed twice.

A record (:mod:`.records`) is one photo: its activations as the device would see it and for a few random views, float16.

float16 halves disk and reading; its error, 2⁻¹¹ of a value, is a tenth of what int8 quantization does later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from edgetl_device.console import progress
from edgetl_device.errors import PhotoError, StorageError

from .. import tf
from ..backbones.backbone_spec import BackboneSpec
from ..data.hashes import BYTES as HASH_BYTES
from ..data.hashes import Hashes
from ..data.streaming import Shot, batched, shots
from . import augmentation
from .records import DEFAULT_LIMIT, CacheKey, RecordFile, cache_folder, cache_key, mapped, opened

Activations = npt.NDArray[np.float16]

_BATCH = 32
_LARGEST = 65504.0  # of float16; ReLU networks stay far below


@dataclass(frozen=True, eq=False)
class CachedPhotos:
    """The records of a dataset's photos; while this object lives no other training deletes them.

    Args:
        values: (stored, 1 + views, …) float16, mapped from the cache's file; the mapping holds the lock on it.
        records: (m,) record number of each readable photo.
        rows: m indices into the files that were asked for.
        skipped: what is wrong with each of the others.
        hashes: (m, 16) difference hashes.
        path: of the cache's file.
        digests: of the readable photos, m of them.
        recipe: of the records.
        remarks: what was done in decoding to photos that were not in the cache yet → to how many.
    """

    values: Activations
    records: npt.NDArray[np.intp]
    rows: tuple[int, ...]
    skipped: tuple[str, ...]
    hashes: Hashes
    path: Path
    digests: tuple[bytes, ...]
    recipe: CacheKey
    remarks: Mapping[str, int] = field(default_factory=dict)

    def mirrored(self) -> npt.NDArray[np.bool_]:
        """(m, 1 + views): which views are mirror images; the plain photo, number 0, is none."""
        views = [augmentation.mirrored(_draws(self.recipe, view, self.digests)) for view in range(self.views)]
        return np.stack([np.zeros(len(self.digests), np.bool_), *views], axis=1)

    @property
    def views(self) -> int:
        """How many random views there are of each photo, beside the plain one."""
        return int(self.values.shape[1]) - 1

    def read(self, rows: npt.NDArray[np.intp], views: npt.NDArray[np.intp] | int = 0) -> Activations:
        """Photos (n,), numbered as ``records``, and view numbers (n,), 0 the plain photo → (n, …) float16."""
        return np.asarray(self.values[self.records[rows], views])


def fits(shape: tuple[int, ...], views: int, photos: int, limit: int) -> bool:
    """Whether the records of so many photos stay below the limit, in bytes."""
    return (1 + views) * int(np.prod(shape)) * 2 * photos <= limit


def fill(
    files: Sequence[Path], lower: Any, recipe: CacheKey, limit: int = DEFAULT_LIMIT, folder: Path | None = None
) -> CachedPhotos:
    """Pass every photo that is not known yet through the frozen network, and keep its activations.

    Args:
        files: the photos.
        lower: Keras model, (n, s, s, 3) float32 in [−1, 1] → (n, *shape) float32.
        limit: bytes on disk; records of other networks are deleted, the longest unused first, to stay below it,
            unless a training uses them.

    Raises:
        StorageError: the disk is full, or the cache cannot be written.
    """
    folder = folder or cache_folder() / "boundary"
    shape = tuple(int(size) for size in lower.output_shape[1:])
    cache = RecordFile(folder / f"{cache_key(lower, recipe)}.float16", shape, recipe.views)
    try:
        with opened(cache, len(files), limit) as stream:
            return _fill(cache, stream, files, lower, recipe)
    except OSError as error:
        raise StorageError(
            f"cannot write the cache in {folder}: {error.strerror or error}; EDGETL_CACHE says where it is, "
            "and --cache-limit 0 goes without"
        ) from error


def _fill(cache: RecordFile, stream: BinaryIO, files: Sequence[Path], lower: Any, recipe: CacheKey) -> CachedPhotos:
    tensorflow = tf.load()
    size, wide = recipe.image_size, augmentation.wide_size(recipe.image_size)

    def frozen(images: Any) -> Any:
        return _half(lower(images, training=False))

    plain = tensorflow.function(lambda photos: frozen(augmentation.whole(photos)), reduce_retracing=True)
    varied = tensorflow.function(
        lambda photos, draws: frozen(augmentation.random_views(photos, draws, size)), reduce_retracing=True
    )
    seen = BackboneSpec(image_size=size, region=recipe.region).preprocessing
    sizes = (seen, *((replace(seen, height=wide, width=wide),) if recipe.views else ()))
    digests: list[bytes] = []
    rows, skipped = [], []
    remarks = Counter[str]()
    waiting: dict[bytes, Shot] = {}

    def flush() -> None:
        if waiting:
            batch = list(waiting.values())
            views = [plain(np.stack([shot.photos[0] for shot in batch])).numpy()]
            for view in range(recipe.views):
                draws = _draws(recipe, view, [shot.digest for shot in batch])
                views.append(varied(np.stack([shot.photos[1] for shot in batch]), draws).numpy())
            cache.append(batch, np.stack(views, axis=1))
            waiting.clear()

    decoded = shots(files, sizes, lambda digest: digest in cache.rows)
    for row, shot in enumerate(progress(decoded, len(files), "frozen part, once")):
        if isinstance(shot, PhotoError):
            skipped.append(str(shot))
            continue
        rows.append(row)
        digests.append(shot.digest)
        if shot.remark:
            remarks[shot.remark] += 1
        if shot.photos and shot.digest not in cache.rows:
            waiting[shot.digest] = shot
        if len(waiting) == _BATCH:
            flush()
    flush()
    records = np.array([cache.rows[digest] for digest in digests], np.intp)
    hashes = np.array([cache.hashes[digest] for digest in digests], np.uint8).reshape(-1, HASH_BYTES)
    values = mapped(stream, cache)
    return CachedPhotos(
        values, records, tuple(rows), tuple(skipped), hashes, cache.path, tuple(digests), recipe, remarks
    )


def _draws(recipe: CacheKey, view: int, digests: Sequence[bytes]) -> npt.NDArray[np.float32]:
    """What makes a view of each photo."""
    return augmentation.draw([(recipe.seed, view, *digest) for digest in digests])


def batches_of(cached: CachedPhotos, upper: Any, size: int = 256) -> Iterator[npt.NDArray[np.float32]]:
    """The rest of the network on the plain photos, in order: (≤ size, d) float32 at a time."""
    call = tf.load().function(lambda values: upper(values, training=False), reduce_retracing=True)
    for rows in batched(range(len(cached.records)), size):
        yield np.asarray(call(cached.read(np.array(rows)).astype(np.float32)))


def _half(values: Any) -> Any:
    tensorflow = tf.load()
    return tensorflow.cast(tensorflow.clip_by_value(values, -_LARGEST, _LARGEST), tensorflow.float16)
