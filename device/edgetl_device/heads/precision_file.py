"""The factory's solved precision in a file: starting up then needs neither the Gram matrix nor a solve.

What is kept is derived from the bundle alone, never from device samples: forgetting has nothing to do here. The file is
verified whole before it is used and mapped into memory; a file that is missing, damaged, of another bundle or another
version of the rule is ignored, and the statistics are solved again.
"""

from __future__ import annotations

import hashlib
import io
import mmap
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .precision import Precision
from .scatter import FEW_SAMPLES, LEAST_REST, PRIOR_FREEDOM, REST_SHARE, VARIANCE_FLOOR
from .symmetric import Symmetric, row_strips

_MAGIC = (
    f"edgetl precision 3 {REST_SHARE} {FEW_SAMPLES} {LEAST_REST} {PRIOR_FREEDOM} {VARIANCE_FLOOR}".encode()
)  # whatever changes the solution
_DIGEST_BYTES = 32
_BLOCK = 1 << 16


def precision_bytes(precision: Precision, source: bytes) -> bytes:
    """A solved precision, without updates, and the digest of the statistics it was solved from → a file's content."""
    body = b"".join(
        (
            np.array([precision.samples, len(precision.base)], "<i8").tobytes(),
            precision.diagonal.astype("<f8").tobytes(),
            precision.penalty.astype("<f8").tobytes(),
            *(strip.astype("<f4").tobytes() for strip in precision.base.strips),
        )
    )
    return _seal(body, source) + body


def read_precision(path: Path, source: bytes, dimension: int) -> Precision | None:
    """The precision that was solved from statistics of digest ``source``, or None where the file does not hold it."""
    shapes = [(rows.stop - rows.start, dimension - rows.start) for rows in row_strips(dimension)]
    size = _DIGEST_BYTES + 16 + 2 * 8 * dimension + 4 * sum(rows * columns for rows, columns in shapes)
    try:
        with path.open("rb", buffering=0) as stream:
            if os.fstat(stream.fileno()).st_size != size or stream.read(_DIGEST_BYTES) != _seal_of(stream, source):
                return None
            body = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))[_DIGEST_BYTES:]
            stream.seek(_DIGEST_BYTES)
            first = stream.read(start := 16 + 16 * dimension)  # and no page is touched before a strip is needed
    except (OSError, ValueError):
        return None
    samples, features = np.frombuffer(first, "<i8", 2)
    diagonal, penalty = np.frombuffer(first, "<f8", 2 * dimension, 16).reshape(2, dimension)
    if features != dimension:
        return None
    strips = []
    for rows, columns in shapes:
        strips.append(np.frombuffer(body, "<f4", rows * columns, start).reshape(rows, columns))
        start += strips[-1].nbytes
    return Precision(Symmetric(tuple(strips)), np.zeros((0, dimension), np.float32), diagonal, penalty, int(samples))


def _seal(body: bytes, source: bytes) -> bytes:
    return _seal_of(io.BytesIO(body), source)


def _seal_of(stream: BinaryIO | io.RawIOBase, source: bytes) -> bytes:
    """Of the rest of a file: read bit by bit, as pages of a mapping that were touched would count as memory."""
    digest = hashlib.sha256(_MAGIC + source)
    while block := stream.read(_BLOCK):
        digest.update(block)
    return digest.digest()
