"""How much a store may hold, and what gives way."""

from __future__ import annotations

import logging

from ..errors import StorageError
from .database import Database

log = logging.getLogger("edgetl.store")

MAX_SAMPLES = 200_000
MAX_BYTES = 256 << 20


class Budget:
    """The part of the store that keeps it within its budget; its methods run in the caller's transaction.

    Frames for review go first, then thumbnails, the oldest before the others; beyond the budget learning refuses, for
    an evicted sample could never be forgotten exactly.

    Args:
        database: of the store.
        max_samples, max_bytes: the budget.
    """

    def __init__(self, database: Database, max_samples: int, max_bytes: int) -> None:
        self._database = database
        self.max_samples, self.max_bytes = max_samples, max_bytes

    def has_room(self, size_bytes: int) -> bool:
        """Whether so many more fit in without anything giving way."""
        return self._database.size_bytes() + size_bytes <= self.max_bytes

    def make_room(self, samples: int, size_bytes: int) -> None:
        """Within the budget for so many more, if need be without old thumbnails; else StorageError."""
        count = self._database.state().samples
        if self._database.size_bytes() + size_bytes > self.max_bytes:
            self._database.run("DELETE FROM review")
        excess = self._database.size_bytes() + size_bytes - self.max_bytes
        if excess > 0 and count + samples <= self.max_samples and (dropped := self._drop_thumbnails(excess)):
            log.warning("the store is full: %d old thumbnails were dropped to make room for samples", dropped)
        held = self._database.size_bytes()
        if count + samples > self.max_samples or held + size_bytes > self.max_bytes:
            raise StorageError(
                f"the store is full ({count} samples, {held / 1e6:.0f} MB; at most {self.max_samples} and "
                f"{self.max_bytes / 1e6:.0f} MB): make room with `edgetl-device forget --label L` or "
                "`edgetl-device inspect forget`; nothing was stored"
            )

    def _drop_thumbnails(self, excess_bytes: int) -> int:
        """Delete the oldest until so many bytes are free; whole pages count, so a tenth more. → how many."""
        before, dropped = self._database.size_bytes(), 0
        oldest = "SELECT sample FROM thumbnails ORDER BY sample LIMIT 64"
        while before - self._database.size_bytes() < excess_bytes:
            gone = self._database.run(f"DELETE FROM thumbnails WHERE sample IN ({oldest})")
            if not gone:
                break
            dropped += gone
        if dropped:
            self._database.log_event("thumbnails dropped", {"thumbnails": dropped})
        return dropped
