"""What inspection knows: the photos that the version in use has learned, and the inspector solved from them."""

from __future__ import annotations

import json
import threading

from ..inference.backbone import Backbone
from ..store.inspected import ASIDE, InspectedRow
from ..store.store import Store
from ..view import View
from .inspector import InspectionSample, Inspector, solve_inspector
from .lesson import sizes_of, split_maps
from .versions import InspectionVersions

LEAST = 5  # good photos before anything is judged: from fewer, no threshold can be known
UNIT = 10_000  # in which the share of false alarms is kept


class Known:
    """The photos of one backbone in a store.

    Args:
        store: of the home.
        backbone: of its bundle.

    Attributes:
        versions: which lessons are used.
        solved: the inspector as of the last :meth:`inspector`; None before there are :data:`LEAST` good photos.
    """

    def __init__(self, store: Store, backbone: Backbone) -> None:
        self._photos = store.inspected
        self._backbone = backbone
        self._lock = threading.RLock()
        self._revision: int | None = None
        self.solved: Inspector | None = None
        self.versions = InspectionVersions(store, backbone.digest)

    @property
    def view(self) -> View | None:
        """How photos are looked at; None before that was chosen."""
        setting = self._photos.setting(self._backbone.digest)
        return None if setting is None else View.from_json(json.loads(setting.view))

    @property
    def target(self) -> float:
        """Share of good photos that may be flagged."""
        setting = self._photos.setting(self._backbone.digest)
        return 0.05 if setting is None else setting.target / UNIT

    def rows(self) -> list[InspectedRow]:
        """All photos that are stored, oldest first."""
        return self._photos.rows(self._backbone.digest)

    def used(self) -> list[InspectedRow]:
        """Those that the version in use knows."""
        last = self.versions.last_photo
        return [row for row in self.rows() if _is_used(row, last)]

    def samples(self, last_photo: int | None) -> list[InspectionSample]:
        """Those that are used of the photos up to one; None for all that are stored."""
        stored = self._photos.read(self._backbone.digest, sizes_of(self._backbone)[1])
        return [
            InspectionSample(split_maps(values, self._backbone), str(row.burst), row.verdict, str(row.id))
            for row, values in stored
            if _is_used(row, last_photo)
        ]

    @property
    def revision(self) -> int:
        """Changes whenever what is known changes, by this process or another."""
        return self._photos.revision(self._backbone.digest) << 32 | (self.versions.active or 0)

    def inspector(self) -> Inspector | None:
        """The inspector of what is known now; None before there are :data:`LEAST` good photos."""
        with self._lock:
            revision = self.revision
            if self._revision != revision:
                self.solved = self._solve(self.versions.last_photo)
                self._revision = revision
            return self.solved

    def note(self, what: str) -> None:
        """A version of all that is stored, in use from now on.

        Args:
            what: was done, for a person.
        """
        with self._lock:
            rows = self.rows()
            inspector = self._solve(None)
            self.versions.add(what, rows[-1].id if rows else 0, inspector)
            self.solved, self._revision = inspector, self.revision

    def note_before(self) -> None:
        """Write a version down of what was taught before there were any, so that one can go back to it."""
        rows = self.rows()
        if rows and self.versions.active is None:
            self.versions.add("taught before versions were kept", rows[-1].id, self.inspector())

    def _solve(self, last_photo: int | None) -> Inspector | None:
        samples = self.samples(last_photo)
        if sum(sample.kind != "bad" for sample in samples) < LEAST:
            return None
        return solve_inspector(samples, self.target)


def _is_used(row: InspectedRow, last_photo: int | None) -> bool:
    return row.verdict != ASIDE and (last_photo is None or row.id <= last_photo)
