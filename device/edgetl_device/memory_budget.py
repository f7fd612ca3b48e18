"""Memory that several threads share: who would take too much waits for the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class MemoryBudget:
    """At most so many bytes at once.

    Args:
        total: bytes; who asks for more than that is let in alone.

    >>> budget = MemoryBudget(1000)
    >>> with budget.taken(600):
    ...     budget.free
    400
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._taken = 0
        self._changed = threading.Condition()

    @property
    def free(self) -> int:
        """Bytes that nobody has."""
        return self._total - self._taken

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """While the block runs, ``size`` bytes are the caller's; it begins once they are there. Blocks do not nest."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + size <= self._total)
            self._taken += size
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()
