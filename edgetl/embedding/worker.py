"""A process that embeds photo files for another one, and how the two speak.

    python -m edgetl.embedding.worker SETUP TASKS RESULTS PARENT

Numbers are file descriptors: of a file with the backbone and what to do, of a pipe of tasks, and of one of results. A
task is the paths of a few photos, its result what :func:`result_of` says. The process ends when its tasks do, which is
so too when the other one was killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from edgetl_device.child_process import end_with
from edgetl_device.errors import PhotoError
from edgetl_device.preprocess import Preprocessing

from ..data.hashes import BYTES as HASH_BYTES
from .messages import receive, send
from .photo import DIGEST_BYTES, NOTHING, EmbeddedPhoto, FileEmbedder, PhotoEmbedder

EMBEDDED, KNOWN, BAD = range(3)
_SHA256_BYTES = 32


def setup_of(work: PhotoEmbedder, embedder: FileEmbedder, known: Sequence[bytes]) -> bytes:
    """What a worker has to know."""
    model = embedder.model()
    header = {
        "preprocessing": work.preprocessing.to_json(),
        "runtime": embedder.runtime,
        "quantization": embedder.quantization,
        "hashed": work.hashed,
        "model_bytes": len(model),
    }
    return json.dumps(header).encode() + b"\n" + model + b"".join(known)


def work_of(setup: bytes) -> PhotoEmbedder:
    """The inverse of :func:`setup_of`."""
    start = setup.index(b"\n") + 1
    header = json.loads(setup[: start - 1])
    end = start + header["model_bytes"]
    model, quantization = setup[start:end], header["quantization"]
    known = frozenset(setup[at : at + DIGEST_BYTES] for at in range(end, len(setup), DIGEST_BYTES))
    embedder = FileEmbedder(lambda: model, header["runtime"], tuple(quantization) if quantization else None)
    return PhotoEmbedder(Preprocessing.from_json(header["preprocessing"]), embedder, known, header["hashed"])


def task_of(paths: Sequence[Path]) -> bytes:
    """A message; no path holds a zero byte."""
    return b"\0".join(map(os.fsencode, paths))


def result_of(photos: Sequence[EmbeddedPhoto | PhotoError]) -> bytes:
    """A message: what became of each, then SHA-256, hashes and embeddings of those that have them, then JSON."""
    read = [photo for photo in photos if not isinstance(photo, PhotoError)]
    said = {
        number: str(photo) if isinstance(photo, PhotoError) else photo.remark
        for number, photo in enumerate(photos)
        if isinstance(photo, PhotoError) or photo.remark
    }
    states = bytes(BAD if isinstance(each, PhotoError) else EMBEDDED if each.value.size else KNOWN for each in photos)
    columns: list[Any] = [states, *(each.digest for each in read)]
    columns += (each.hash for each in read)  # nothing of those that have none
    columns += (each.value for each in read)
    if said:
        columns.append(json.dumps(said).encode())
    return b"".join(columns)


def photos_of(message: bytes, value: np.dtype[Any], count: int, hashed: bool) -> list[EmbeddedPhoto | PhotoError]:
    """The inverse of :func:`result_of`; embeddings are views of the message.

    Args:
        value: of one embedding.
    """
    embedded = message.count(EMBEDDED, 0, count)
    hash_start = count + _SHA256_BYTES * (count - message.count(BAD, 0, count))
    start = hash_start + HASH_BYTES * embedded * hashed
    hashes = np.frombuffer(message, np.uint8, HASH_BYTES * embedded * hashed, hash_start).reshape(-1, HASH_BYTES)
    values = iter(np.frombuffer(message, value, embedded, start))
    of_each = iter(hashes) if hashed else repeat(NOTHING)
    text = message[start + embedded * value.itemsize :]
    said = json.loads(text) if text else {}
    photos, at = list[EmbeddedPhoto | PhotoError](), count
    for number, state in enumerate(message[:count]):
        remark = said.get(str(number), "") if said else ""
        if state == BAD:
            photos.append(PhotoError(remark))
            continue
        digest, at = message[at : at + _SHA256_BYTES], at + _SHA256_BYTES
        if state == KNOWN:
            photos.append(EmbeddedPhoto(digest, NOTHING, NOTHING))
        else:
            photos.append(EmbeddedPhoto(digest, next(values), next(of_each), remark))
    return photos


def main(setup: int, tasks: int, results: int, parent: int) -> int:
    """Embed until there are no more tasks."""
    end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other process, which ends this one
    work = work_of(os.pread(setup, os.fstat(setup).st_size, 0))
    try:
        while True:
            paths = [Path(os.fsdecode(path)) for path in receive(tasks).split(b"\0")]
            send(results, result_of(work(paths)))
    except (EOFError, BrokenPipeError):
        return 0


if __name__ == "__main__":
    code = main(*map(int, sys.argv[1:]))
    os._exit(code)  # nothing is left to do, and to take Python down takes longer than a few photos
