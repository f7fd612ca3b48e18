"""How many good and bad parts a camera has seen since its shift began."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .database import Database


@dataclass(frozen=True)
class Shift:
    """Counts of parts.

    Args:
        since: when it began, UTC, ISO 8601.
        good, bad: how many parts.
    """

    since: str
    good: int
    bad: int


class Shifts:
    """The part of the store that keeps them, one for each camera.

    Args:
        database: of the store.
        may_write: raises StorageError where the disk is read-only.
    """

    def __init__(self, database: Database, may_write: Callable[[], None]) -> None:
        self._database = database
        self._may_write = may_write

    def of(self, camera: str) -> Shift | None:
        """What was kept last of a camera's shift; None where nothing was."""
        rows = self._database.rows("SELECT since, good, bad FROM shifts WHERE camera = ?", (camera,))
        return next((Shift(*row) for row in rows), None)

    def keep(self, camera: str, shift: Shift) -> None:
        """Write it down: rarely, SD cards wear."""
        self._may_write()
        with self._database.transaction():
            self._database.delete("shifts", "camera = ?", (camera,))
            self._database.insert("shifts", camera=camera, since=shift.since, good=shift.good, bad=shift.bad)
