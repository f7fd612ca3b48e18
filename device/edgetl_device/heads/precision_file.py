"""The factory's solved precision in a file: starting up then needs neither the Gram matrix nor a solve.

What is kept is derived from the bundle alone, never from device samples: forgetting has nothing to do here. The file is
verified whole before it is used and mapped into memory; a file that is missing, damaged, of another bundle or another
version of the rule is ignored, and the statistics are solved again.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from pathlib import Path

import numpy as np

from .precision import Precision
from .scatter import FEW_SAMPLES, LEAST_REST, PRIOR_FREEDOM, REST_SHARE, VARIANCE_FLOOR

_MAGIC = (
    f"edgetl precision 2 {REST_SHARE} {FEW_SAMPLES} {LEAST_REST} {PRIOR_FREEDOM} {VARIANCE_FLOOR}".encode()
)  # whatever changes the solution
_DIGEST_BYTES = 32


def precision_bytes(precision: Precision, source: bytes) -> bytes:
    """A solved precision, without updates, and the digest of the statistics it was solved from → a file's content."""
    body = b"".join(
        (
            np.array([precision.samples, len(precision.base)], "<i8").tobytes(),
            precision.diagonal.astype("<f8").tobytes(),
            precision.penalty.astype("<f8").tobytes(),
            precision.base.astype("<f4").tobytes(),
        )
    )
    return _seal(body, source) + body


def read_precision(path: Path, source: bytes, dimension: int) -> Precision | None:
    """The precision that was solved from statistics of digest ``source``, or None where the file does not hold it."""
    size = _DIGEST_BYTES + 16 + 2 * 8 * dimension + 4 * dimension**2
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size != size:
                return None
            content = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError):
        return None
    body = content[_DIGEST_BYTES:]
    if content[:_DIGEST_BYTES] != _seal(body, source):
        return None
    samples, features = np.frombuffer(body, "<i8", 2)
    diagonal, penalty = np.frombuffer(body, "<f8", 2 * dimension, 16).reshape(2, dimension)
    base = np.frombuffer(body, "<f4", dimension**2, 16 + 16 * dimension).reshape(dimension, dimension)
    if features != dimension:
        return None
    return Precision(base, np.zeros((0, dimension), np.float32), diagonal, penalty, int(samples))


def _seal(body: bytes | memoryview, source: bytes) -> bytes:
    digest = hashlib.sha256(_MAGIC + source)
    digest.update(body)
    return digest.digest()
