"""How a home looks at frames: the view that was chosen, the empty scene, and what was taught with which view."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from .bundle.bundle import Bundle
from .empty_scene import MAX_BYTES, NO_EMPTY_SCENE, EmptyScene
from .errors import EdgetlError, InputError
from .files import read_bounded, write_atomically
from .home import Home
from .looking import Looking, described, view_key
from .photos import Image
from .region import UNIT
from .store.regions import RegionRow
from .store.store import Store
from .view import View

log = logging.getLogger("edgetl.view")

MOST_NAMED = 3  # labels in a warning


class HomeView:
    """The view of one home, its store and its bundle.

    Args:
        home: whose folder keeps the empty scene.
        store: keeps the view.
        bundle: says how frames are looked at where no view was chosen.
        camera: the name of the one that is meant; empty for an only one, and for photos.
    """

    def __init__(self, home: Home, store: Store, bundle: Bundle, camera: str = "") -> None:
        self._home, self._store, self.bundle, self.camera = home, store, bundle, camera
        self._preprocessing = bundle.preprocessing

    @property
    def chosen(self) -> View | None:
        """The view in use; None where frames are looked at as the bundle says."""
        text = self._store.views.chosen if not self.camera else self._row
        return None if text is None else View.from_json(json.loads(text))

    @property
    def state(self) -> tuple[str | None, int]:
        """Changes whenever frames are looked at in another way, by this process or another."""
        path = self._home.empty_scene_of(self.camera)
        text = self._store.views.chosen if not self.camera else self._row
        return text, path.stat().st_mtime_ns if path.exists() else 0

    def empty(self) -> EmptyScene | None:
        """The empty scene; None where none is remembered, or what was is damaged."""
        path = self._home.empty_scene_of(self.camera)
        if not path.exists():
            return None
        try:
            return EmptyScene.from_bytes(read_bounded(path, MAX_BYTES))
        except (OSError, EdgetlError) as error:
            log.warning("%s cannot be used (%s): remember the empty scene again", path, error)
            return None

    def looking(self) -> Looking:
        """How frames are prepared."""
        return self.looking_with(self.chosen)

    def looking_with(self, view: View | None) -> Looking:
        """As :meth:`looking`, with another view."""
        return Looking(self._preprocessing, view, self.empty() if view is not None and view.zoom else None)

    def choose(self, view: View | None) -> None:
        """Look at frames like this from now on; None as the bundle says.

        Raises:
            InputError: it zooms, and no empty scene is remembered.
            StorageError: that cannot be written.
        """
        self.check(view)
        if not self.camera:
            self._store.views.choose(None if view is None else written(view))
        elif view is None:
            self._store.regions.remove(self.camera, "")
        else:
            self._store.regions.keep(RegionRow(self.camera, "", written(view)))

    def check(self, view: View | None) -> None:
        """Raise InputError where a view zooms, and no empty scene is remembered."""
        if view is not None and view.zoom and self.empty() is None:
            raise InputError(NO_EMPTY_SCENE)

    def remember_empty(self, frame: Image) -> None:
        """Keep what a frame, (any, any, 3) uint8 BGR, shows as the empty scene; raises StorageError."""
        with self._home.lock():
            write_atomically(self._home.empty_scene_of(self.camera), EmptyScene.of(frame).to_bytes(), private=True)

    def others(self, view: View | None) -> dict[str, int]:
        """Label → how many samples were taught with another view than this one, and no region's; sorted."""
        keys, counts = self._keys(view), dict[str, int]()
        for taught, labels in self._store.views.counts(self.bundle.backbone_digest).items():
            if taught not in keys:
                for label, count in labels.items():
                    counts[label] = counts.get(label, 0) + count
        return dict(sorted(counts.items()))

    def other_ids(self) -> list[int]:
        """The samples that were taught with another view than those in use."""
        return self._store.views.taught_otherwise(self.bundle.backbone_digest, self._keys(self.chosen))

    def _keys(self, view: View | None) -> set[str]:
        """The views in use, this one in place of the camera's; not that of an only camera that has named regions."""
        rows = [row for row in self._store.regions.rows() if row.name or row.camera != self.camera]
        keys = {view_key(View.from_json(json.loads(row.view)), self._preprocessing) for row in rows}
        replaced = any(row.name and row.camera == self.camera for row in rows)
        return keys if replaced else keys | {view_key(view, self._preprocessing)}

    @property
    def _row(self) -> str | None:
        """As JSON, what was chosen for a camera that has a name."""
        return next(
            (row.view for row in self._store.regions.rows() if (row.camera, row.name) == (self.camera, "")), None
        )

    def to_json(self) -> dict[str, Any]:
        """What ``edgetl-device view --json`` and REST tell."""
        chosen, scene = self.chosen, self.empty()
        area = self._preprocessing.region if chosen is None else chosen.region
        return {
            "chosen": chosen is not None,
            "region": None if area is None else [each / UNIT for each in area],
            "find": chosen is not None and chosen.zoom,
            "empty_scene": None if scene is None else [scene.width, scene.height],
            "others": self.others(chosen),
        }

    def describe(self) -> str:
        """For a person, in a few words."""
        return self.looking().describe() if self.chosen is not None else described(self._preprocessing)


def written(view: View) -> str:
    """As the store keeps it."""
    return json.dumps(view.to_json(), sort_keys=True)


def warning(others: Mapping[str, int]) -> str | None:
    """What to say of samples that were taught with another view; None where there are none."""
    if not others:
        return None
    total, names = sum(others.values()), [f"{count} of {label}" for label, count in others.items()]
    some = ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more labels" if names[MOST_NAMED:] else "")
    return (
        f"{total} sample{'s' if total != 1 else ''} ({some}) {'were' if total != 1 else 'was'} taught with another "
        "view, and still count: teach them again as they are seen now, then `edgetl-device forget --other-view`"
    )
