"""Photo files → pixels, a few ahead of whoever needs them, never all at once."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import PhotoError
from edgetl_device.photos import decoded, photo_file
from edgetl_device.preprocess import Preprocessing

from .hashes import Hashes, difference_hash

T = TypeVar("T")
R = TypeVar("R")

Pixels = npt.NDArray[np.uint8]

DIGEST_BYTES = 16
_AHEAD = 32  # items prepared ahead: enough to keep a network busy, few enough to stay small


@dataclass(frozen=True, eq=False)
class Shot:
    """One photo file.

    Args:
        digest: the first 16 bytes of its SHA-256.
        photos: the photo, (s, s, 3) uint8 RGB, once for each preprocessing asked for; empty where none was needed.
        hash: (16,) difference hash of the first of them.
        remark: what decoding did to it that a person should know, or nothing.
    """

    digest: bytes
    photos: tuple[Pixels, ...]
    hash: Hashes
    remark: str = ""


def shots(
    files: Iterable[Path], preprocessings: tuple[Preprocessing, ...], known: Callable[[bytes], bool] = lambda _: False
) -> Iterator[Shot | PhotoError]:
    """Files in order, read and decoded in other threads; what ``known`` says of a digest is not decoded."""

    def load(path: Path) -> Shot | PhotoError:
        try:
            with photo_file(path) as data:
                return shot(path, data)
        except PhotoError as error:
            return PhotoError(str(error))  # without its traceback, which would keep the photo in memory

    def shot(path: Path, data: bytes) -> Shot:
        digest = hashlib.sha256(data).digest()[:DIGEST_BYTES]
        if known(digest):
            return Shot(digest, (), np.zeros(0, np.uint8))
        try:
            with decoded(data) as photo:
                photos = tuple(preprocessing(photo.image) for preprocessing in preprocessings)
        except PhotoError as error:
            raise PhotoError(f"{path}: {error}") from None
        return Shot(digest, photos, difference_hash(photos[0]), photo.remark)

    return ahead(load, files)


def ahead(
    function: Callable[[T], R], items: Iterable[T], depth: int = _AHEAD, workers: int | None = None
) -> Iterator[R]:
    """The results of a function, in order, computed a few ahead in other threads."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(workers or max(1, min(16, cores - 1)), thread_name_prefix="ahead") as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items; the last may be shorter."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
