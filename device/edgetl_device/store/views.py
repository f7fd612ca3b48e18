"""How frames are looked at: the view that was chosen on this device, and the one each sample was taught with."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence

from .database import Database
from .grouped import listed


class Views:
    """The part of the store that keeps them.

    A sample that was taught as the bundle looks at frames has no row, so a device on which nothing was chosen has none.

    Args:
        database: of the store.
        may_write: raises StorageError where the disk is read-only.
    """

    def __init__(self, database: Database, may_write: Callable[[], None]) -> None:
        self._database = database
        self._may_write = may_write

    @property
    def chosen(self) -> str | None:
        """The view in use, as JSON; None where frames are looked at as the bundle says."""
        return next((str(view) for (view,) in self._database.rows("SELECT view FROM chosen_view")), None)

    def choose(self, view: str | None) -> None:
        """Look at frames like this from now on, durably."""
        self._may_write()
        if view == self.chosen:
            return
        with self._database.transaction():
            self._database.delete("chosen_view", "1")
            if view is not None:
                self._database.insert("chosen_view", view=view)
            self._database.log_event("view", {"view": view})

    def note(self, ids: Sequence[int], view: str) -> None:
        """Note with which view samples were taught, in the caller's transaction; empty is the bundle's own."""
        for number in ids if view else ():
            self._database.insert("taught_view", sample=number, view=view)

    def note_place(self, ids: Sequence[int], camera: str, region: str) -> None:
        """Note before which camera, and in which region of it, samples were taught; durably."""
        if not camera and not region:
            return
        self._may_write()
        with self._database.transaction():
            self._noted_place(ids, camera, region)

    def place_of(self, ids: Sequence[int]) -> list[tuple[str, str]]:
        """Camera and region that samples were taught with, in the order of the ids; empty where they have no name."""
        query = "SELECT sample, camera, region FROM taught_in WHERE sample IN (SELECT value FROM json_each(?))"
        rows = self._database.rows(query, (listed(ids),))
        known = {number: (camera, region) for number, camera, region in rows}
        return [known.get(number, ("", "")) for number in ids]

    def move(self, ids: Mapping[int, int]) -> None:
        """Samples get other ids: note of the new ones what was noted of the old, in the caller's transaction."""
        old = list(ids)
        for number, view, place in zip(old, self.of(old), self.place_of(old), strict=True):
            self.note([ids[number]], view)
            if any(place):
                self._noted_place([ids[number]], *place)

    def _noted_place(self, ids: Sequence[int], camera: str, region: str) -> None:
        for number in ids:
            self._database.delete("taught_in", "sample = ?", (number,))
            self._database.insert("taught_in", sample=number, camera=camera, region=region)

    def of(self, ids: Sequence[int]) -> list[str]:
        """The views that samples were taught with, in the order of the ids."""
        query = "SELECT sample, view FROM taught_view WHERE sample IN (SELECT value FROM json_each(?))"
        known = dict(self._database.rows(query, (listed(ids),)))
        return [known.get(number, "") for number in ids]

    def counts(self, backbone: str) -> dict[str, dict[str, int]]:
        """View → label → how many samples of a backbone were taught with it.

        Samples that are labelled in groups alone go by one of these, such as ``dim (light)``.
        """
        query = (
            "SELECT coalesce(view, ''), iif(label <> '', label, (SELECT grouped.label || ' (' || name || ')' "
            "FROM grouped WHERE grouped.sample = samples.id ORDER BY name LIMIT 1)), count(*) "
            "FROM samples LEFT JOIN taught_view ON taught_view.sample = id "
            "WHERE backbone = ? GROUP BY 1, 2 ORDER BY 1, 2"
        )
        found: dict[str, dict[str, int]] = {}
        for view, label, count in self._database.rows(query, (backbone,)):
            found.setdefault(view, {})[label] = int(count)
        return found

    def taught_otherwise(self, backbone: str, views: Collection[str]) -> list[int]:
        """The samples of a backbone that were taught with none of these views, oldest first."""
        query = (
            "SELECT id FROM samples LEFT JOIN taught_view ON sample = id "
            "WHERE backbone = ? AND coalesce(view, '') NOT IN (SELECT value FROM json_each(?)) ORDER BY id"
        )
        return [int(number) for (number,) in self._database.rows(query, (backbone, json.dumps(sorted(views))))]
