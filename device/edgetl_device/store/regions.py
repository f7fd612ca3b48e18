"""What is looked at of each named camera, and the regions that are recognised by themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .database import Database


@dataclass(frozen=True)
class RegionRow:
    """A region of a camera.

    Args:
        camera: its name; empty for an only one.
        name: of the region; empty for what is looked at where the camera has no named region.
        view: as JSON.
        asks: the group of labels that it is bound to; empty for the labels without a group.
    """

    camera: str
    name: str
    view: str
    asks: str = ""


class Regions:
    """The part of the store that keeps them.

    Args:
        database: of the store.
        may_write: raises StorageError where the disk is read-only.
    """

    def __init__(self, database: Database, may_write: Callable[[], None]) -> None:
        self._database = database
        self._may_write = may_write

    def rows(self) -> tuple[RegionRow, ...]:
        """All of them, in the order in which they were made."""
        query = "SELECT camera, name, view, asks FROM regions ORDER BY rowid"
        return tuple(RegionRow(*map(str, row)) for row in self._database.rows(query))

    def keep(self, row: RegionRow) -> None:
        """Keep a region, in the place of the one of its name; durably."""
        self._may_write()
        if row in self.rows():
            return
        with self._database.transaction():
            values = (row.view, row.asks, row.camera, row.name)
            if not self._database.update("regions", "view = ?, asks = ?", "camera = ? AND name = ?", values):
                self._database.insert("regions", camera=row.camera, name=row.name, view=row.view, asks=row.asks)
            self._database.log_event("region", {"camera": row.camera, "region": row.name, "view": row.view})

    def rename(self, camera: str, name: str, new: str) -> None:
        """Give a region another name; samples that were taught in it go with it."""
        self._may_write()
        with self._database.transaction():
            self._database.update("regions", "name = ?", "camera = ? AND name = ?", (new, camera, name))
            self._database.update("taught_in", "region = ?", "camera = ? AND region = ?", (new, camera, name))
            self._database.log_event("region", {"camera": camera, "region": new, "before": name})

    def remove(self, camera: str, name: str) -> None:
        """Look at a region no more."""
        self._may_write()
        with self._database.transaction():
            self._database.delete("regions", "camera = ? AND name = ?", (camera, name))
            self._database.log_event("region", {"camera": camera, "region": name, "view": None})
