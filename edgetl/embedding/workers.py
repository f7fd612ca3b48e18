"""How many cores to embed on, and how many threads to multiply matrices in beside that."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, suppress

from edgetl_device.inference.thread_count import cores
from edgetl_device.photos import MAX_DECODED

_MOST = 16
_MOST_MEMORY = 1 << 30  # bytes of all copies of a model together
_COPIES = 3  # of its weights that an interpreter holds, at most: as they are, packed for the kernels, and activations


def one_blas_thread() -> AbstractContextManager[object]:
    """While the block runs NumPy multiplies matrices in one thread: the cores are taken, and more would wait for them.

    On two busy cores two threads took six times the CPU time of one.
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")  # type: ignore[no-any-return]


def worker_count(model_bytes: int) -> int:
    """How many copies of a model to run at once: one a core, fewer where they would not fit in a gigabyte.

    Each may be decoding as large a photo as is read, which has to fit too.
    """
    fitting = _MOST_MEMORY // (_COPIES * max(model_bytes, 1))
    return max(1, min(cores(), _MOST, fitting, _memory_bytes() // MAX_DECODED))


def _memory_bytes() -> int:
    """Of this machine."""
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return _MOST * MAX_DECODED
