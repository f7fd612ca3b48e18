"""Activations where the frozen part of a backbone ends, kept on disk: nothing frozen is computed twice.

A record is one photo: its activations as the device would see it and for a few random views, float16. Records are found
by the content of the photo file, and a file of records by everything else that they depend on: the frozen weights, the
size of the input, the recipe of the views. So a folder that grew costs only what is new, and a second training nothing.

float16 halves disk and reading; its error, 2⁻¹¹ of a value, is a tenth of what int8 quantization does later.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from edgetl_device.console import progress
from edgetl_device.errors import PhotoError, StorageError
from edgetl_device.preprocess import Preprocessing

from .. import tf
from ..data.duplicates import BYTES as HASH_BYTES
from ..data.duplicates import Hashes
from ..data.streaming import DIGEST_BYTES, Shot, batched, shots
from . import augmentation

Activations = npt.NDArray[np.float16]

DEFAULT_LIMIT = 4 << 30  # bytes on disk for all records
_FORMAT = 1
_ENTRY = DIGEST_BYTES + HASH_BYTES
_BATCH = 32
_SPARE = 1 << 30  # bytes left free on the disk
_LARGEST = 65504.0  # of float16; ReLU networks stay far below


@dataclass(frozen=True)
class CacheKey:
    """What is cached of each photo.

    Args:
        image_size: side of the backbone's input, pixels.
        views: how many random views beside the plain photo.
        seed: of the views.
    """

    image_size: int
    views: int
    seed: int
    version: int = augmentation.VERSION


@dataclass(eq=False)
class ActivationCache:
    """Records of one frozen network and recipe.

    Args:
        path: of the records; their index lies beside it.
        shape: of the activations of one view, without batch.
        views: how many random views a record holds.
        rows: digest of a photo → number of its record.
        hashes: digest of a photo → its difference hash, (16,) uint8.
    """

    path: Path
    shape: tuple[int, ...]
    views: int
    rows: dict[bytes, int] = field(default_factory=dict)
    hashes: dict[bytes, Hashes] = field(default_factory=dict)

    @property
    def record_bytes(self) -> int:
        """Size of one photo's record."""
        return (1 + self.views) * int(np.prod(self.shape)) * 2

    @property
    def index(self) -> Path:
        """The file that says which photo each record is of."""
        return self.path.with_suffix(".index")

    def load_index(self) -> None:
        """Read what is there; a record whose index entry was never written does not count."""
        data = self.index.read_bytes() if self.index.exists() else b""
        stored = self.path.stat().st_size // self.record_bytes if self.path.exists() else 0
        count = min(len(data) // _ENTRY, stored)
        for target, entry in ((self.path, self.record_bytes), (self.index, _ENTRY)):
            with target.open("ab") as stream:
                stream.truncate(count * entry)
        entries = np.frombuffer(data, np.uint8, count * _ENTRY).reshape(-1, _ENTRY)
        for row, item in enumerate(entries):
            digest = item[:DIGEST_BYTES].tobytes()
            self.rows[digest], self.hashes[digest] = row, item[DIGEST_BYTES:]

    def append(self, items: Sequence[Shot], values: Activations) -> None:
        """Records first, then their index: a cut between the two loses records, never mixes them up."""
        with self.path.open("ab") as stream:
            stream.write(np.ascontiguousarray(values, np.float16).tobytes())
        with self.index.open("ab") as stream:
            stream.write(b"".join(shot.digest + shot.hash.tobytes() for shot in items))
        for shot in items:
            self.hashes[shot.digest] = shot.hash
            self.rows[shot.digest] = len(self.rows)


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
        remarks: what was done in decoding to photos that were not in the cache yet → to how many.
    """

    values: Activations
    records: npt.NDArray[np.intp]
    rows: tuple[int, ...]
    skipped: tuple[str, ...]
    hashes: Hashes
    path: Path
    remarks: Mapping[str, int] = field(default_factory=dict)

    @property
    def views(self) -> int:
        """How many random views there are of each photo, beside the plain one."""
        return int(self.values.shape[1]) - 1

    def read(self, rows: npt.NDArray[np.intp], views: npt.NDArray[np.intp] | int = 0) -> Activations:
        """Photos (n,), numbered as ``records``, and view numbers (n,), 0 the plain photo → (n, …) float16."""
        return np.asarray(self.values[self.records[rows], views])


def cache_folder() -> Path:
    """``EDGETL_CACHE``, or the user's cache folder."""
    base = os.environ.get("EDGETL_CACHE")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgetl"


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
    cache = ActivationCache(folder / f"{_key(lower, recipe)}.float16", shape, recipe.views)
    try:
        with _filled_by_one(folder, cache.path.stem), _in_use(cache.path) as stream:
            cache.load_index()
            cache.path.touch()
            _make_room(folder, cache, len(files), limit)
            return _fill(cache, stream, files, lower, recipe)
    except OSError as error:
        raise StorageError(
            f"cannot write the cache in {folder}: {error.strerror or error}; EDGETL_CACHE says where it is, "
            "and --cache-limit 0 goes without"
        ) from error


def _fill(
    cache: ActivationCache, stream: BinaryIO, files: Sequence[Path], lower: Any, recipe: CacheKey
) -> CachedPhotos:
    tensorflow = tf.load()
    size, wide = recipe.image_size, augmentation.wide_size(recipe.image_size)

    def frozen(images: Any) -> Any:
        return _half(lower(images, training=False))

    plain = tensorflow.function(lambda photos: frozen(augmentation.whole(photos)), reduce_retracing=True)
    varied = tensorflow.function(
        lambda photos, draws: frozen(augmentation.random_views(photos, draws, size)), reduce_retracing=True
    )
    sizes = (Preprocessing(size, size), *((Preprocessing(wide, wide),) if recipe.views else ()))
    digests: list[bytes] = []
    rows, skipped = [], []
    remarks = Counter[str]()
    waiting: dict[bytes, Shot] = {}

    def flush() -> None:
        if waiting:
            batch = list(waiting.values())
            views = [plain(np.stack([shot.photos[0] for shot in batch])).numpy()]
            for view in range(recipe.views):
                draws = augmentation.draw([(recipe.seed, view, *shot.digest) for shot in batch])
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
    return CachedPhotos(_mapped(stream, cache), records, tuple(rows), tuple(skipped), hashes, cache.path, remarks)


def _mapped(stream: BinaryIO, cache: ActivationCache) -> Activations:
    """The records of an open file. The mapping keeps a descriptor of it, and with that the lock that it is in use."""
    shape = (len(cache.rows), 1 + cache.views, *cache.shape)
    if not cache.rows:  # nothing cannot be mapped
        return np.zeros(shape, np.float16)
    return np.memmap(stream, np.float16, "r", shape=shape)


def batches_of(cached: CachedPhotos, upper: Any, size: int = 256) -> Iterator[npt.NDArray[np.float32]]:
    """The rest of the network on the plain photos, in order: (≤ size, d) float32 at a time."""
    call = tf.load().function(lambda values: upper(values, training=False), reduce_retracing=True)
    for rows in batched(range(len(cached.records)), size):
        yield np.asarray(call(cached.read(np.array(rows)).astype(np.float32)))


def _half(values: Any) -> Any:
    tensorflow = tf.load()
    return tensorflow.cast(tensorflow.clip_by_value(values, -_LARGEST, _LARGEST), tensorflow.float16)


def _key(lower: Any, recipe: CacheKey) -> str:
    digest = hashlib.sha256(json.dumps([_FORMAT, asdict(recipe), lower.output_shape[1:]]).encode())
    for layer in lower.layers:
        digest.update(type(layer).__name__.encode())
        for weight in layer.get_weights():
            digest.update(str(weight.shape).encode() + np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:32]


def _make_room(folder: Path, cache: ActivationCache, photos: int, limit: int) -> None:
    needed = photos * cache.record_bytes
    others = {path: path.stat() for path in folder.glob("*.float16") if path != cache.path}
    used = sum(status.st_size for status in others.values())
    free = shutil.disk_usage(folder).free + cache.path.stat().st_size - _SPARE
    for path in sorted(others, key=lambda path: others[path].st_mtime):
        if used + needed <= limit and needed <= free:
            return
        if _deleted(path):
            used, free = used - others[path].st_size, free + others[path].st_size
    if needed > free:
        raise StorageError(
            f"the cache of {photos} photos needs {needed / 1e9:.1f} GB and {folder} has {max(free, 0) / 1e9:.1f} GB "
            "to spare: free some, set EDGETL_CACHE to another disk, or go without, with --cache-limit 0"
        )


def _deleted(path: Path) -> bool:
    """Delete a cache, unless somebody uses it; whether it is gone."""
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_at(path, stream):
                return False  # somebody else deleted it, and began another
            # The index first: while the records are there under their name, nobody begins a new index.
            path.with_suffix(".index").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        pass
    return True


@contextmanager
def _in_use(path: Path) -> Iterator[BinaryIO]:
    """The records, open and locked against deletion; the lock ends with the last descriptor or mapping of it."""
    while True:
        with path.open("a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)
            if _is_at(path, stream):
                yield stream
                return
        # Deleted between opening and locking: begin another file.


def _is_at(path: Path, stream: IO[bytes]) -> bool:
    """Whether an open file is still the one of this name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


@contextmanager
def _filled_by_one(folder: Path, name: str) -> Iterator[None]:
    """One training fills a cache at a time; another waits and finds it filled. The lock's file stays for ever."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
