"""One function for each core, each in a thread with state of its own, such as an interpreter.

Threads suffice: reading, decoding, resizing and the interpreter run outside of Python's lock. So nothing is left behind
when the program is killed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import chain
from typing import TypeVar

from edgetl_device.inference.thread_count import cores

from ..data.streaming import ahead, batched

T = TypeVar("T")
R = TypeVar("R")

_TOGETHER = 16  # items handed to a thread at once: handing over takes a tenth of a millisecond
_AHEAD = 16  # of these for each thread, so that none waits while a head is asked about hundreds of embeddings
_MOST = 16
_MOST_MEMORY = 1 << 30  # bytes of all copies of a model together
_COPIES = 3  # of its weights that an interpreter holds, at most: as they are, packed for the kernels, and activations


def on_every_core(make: Callable[[], Callable[[T], R]], items: Iterable[T], workers: int) -> Iterator[R]:
    """The results of a function, in the order of its items, computed a few ahead.

    Args:
        make: gives each thread its own function; called in that thread.
        workers: how many threads; the results are the same for any number.
    """
    own = threading.local()

    def compute(part: list[T]) -> list[R]:
        if not hasattr(own, "function"):
            own.function = make()
        return [own.function(item) for item in part]

    return chain.from_iterable(ahead(compute, batched(items, _TOGETHER), _AHEAD * workers, workers))


def one_blas_thread() -> AbstractContextManager[object]:
    """While the block runs NumPy multiplies matrices in one thread: the cores are taken, and more would wait for them.

    On two busy cores two threads took six times the CPU time of one.
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")  # type: ignore[no-any-return]


def worker_count(model_bytes: int) -> int:
    """How many copies of a model to run at once: one a core, fewer where they would not fit in a gigabyte."""
    return max(1, min(cores(), _MOST, _MOST_MEMORY // (_COPIES * max(model_bytes, 1))))
