"""Records of photos on disk, activations and embeddings: found by the content of a photo's file, locked while in use.

A file of records is named after everything else that they depend on: the weights, the size of the input, the recipe of
the views. So a folder that grew costs only what is new, and a second training nothing. What was written before a kill
counts.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import StorageError
from edgetl_device.region import Region

from ..data.hashes import BYTES as HASH_BYTES
from ..data.hashes import Hashes
from ..data.streaming import DIGEST_BYTES, Shot
from . import augmentation

_FORMAT = 2  # difference hashes by whole numbers
_ENTRY = DIGEST_BYTES + HASH_BYTES
_SPARE = 1 << 30  # bytes left free on the disk
DEFAULT_LIMIT = 4 << 30  # bytes on disk for all records


@dataclass(frozen=True)
class CacheKey:
    """What is cached of each photo.

    Args:
        image_size: side of the backbone's input, pixels.
        views: how many random views beside the plain photo.
        seed: of the views.
        region: the part of the photos that counts, or None.
    """

    image_size: int
    views: int
    seed: int
    version: int = augmentation.VERSION
    region: Region | None = None


@dataclass(eq=False)
class RecordFile:
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
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers; the file is named after it."""
        return np.dtype(self.path.suffix[1:])

    @property
    def record_bytes(self) -> int:
        """Size of one photo's record."""
        return (1 + self.views) * int(np.prod(self.shape)) * self.dtype.itemsize

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

    def append(self, items: Sequence[Shot], values: npt.NDArray[np.floating]) -> None:
        """Records first, then their index: a cut between the two loses records, never mixes them up."""
        with self.path.open("ab") as stream:
            stream.write(np.ascontiguousarray(values, self.dtype).tobytes())
        with self.index.open("ab") as stream:
            stream.write(b"".join(shot.digest + shot.hash.tobytes() for shot in items))
        for shot in items:
            self.hashes[shot.digest] = shot.hash
            self.rows[shot.digest] = len(self.rows)


def cache_folder() -> Path:
    """``EDGETL_CACHE``, or the user's cache folder."""
    base = os.environ.get("EDGETL_CACHE")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgetl"


def mapped(stream: BinaryIO, cache: RecordFile) -> npt.NDArray[Any]:
    """The records of an open file. The mapping keeps a descriptor of it, and with that the lock that it is in use."""
    shape = (len(cache.rows), 1 + cache.views, *cache.shape)
    if not cache.rows:  # nothing cannot be mapped
        return np.zeros(shape, cache.dtype)
    return np.memmap(stream, cache.dtype, "r", shape=shape)


def cache_key(lower: Any, recipe: CacheKey) -> str:
    """What the records of a network depend on, but for the photos."""
    described = {name: value for name, value in asdict(recipe).items() if name != "region" or value is not None}
    digest = hashlib.sha256(json.dumps([_FORMAT, described, lower.output_shape[1:]]).encode())
    for layer in lower.layers:
        layout = {name: value for name, value in layer.get_config().items() if name != "name"}
        digest.update((type(layer).__name__ + json.dumps(layout, sort_keys=True, default=str)).encode())
        for weight in layer.get_weights():
            digest.update(str(weight.shape).encode() + np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:32]


def _make_room(folder: Path, cache: RecordFile, photos: int, limit: int) -> None:
    needed = photos * cache.record_bytes
    others = {path: path.stat() for path in folder.glob("*.float??") if path != cache.path}
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
def opened(cache: RecordFile, photos: int, limit: int) -> Iterator[BinaryIO]:
    """A cache for one training that fills it, and room for its records; the open file is locked against deletion.

    Raises:
        StorageError: the disk is full.
        OSError: the cache cannot be written.
    """
    folder = cache.path.parent
    with _filled_by_one(folder, cache.path.stem), _in_use(cache.path) as stream:
        cache.load_index()
        cache.path.touch()
        _make_room(folder, cache, photos, limit)
        yield stream


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
