"""The named regions of a home: parts of a camera's frames that are recognised by themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .bundle.bundle import Bundle
from .errors import InputError
from .home import Home
from .home_view import HomeView, written
from .labels import check_group, similar_label
from .looking import Looking
from .region import UNIT
from .store.regions import RegionRow
from .store.store import Store
from .view import View
from .view_names import MAX_REGIONS, ViewName, check_name


@dataclass(frozen=True)
class NamedRegion:
    """A region that is recognised by itself.

    Args:
        name: of its camera and itself.
        view: what is looked at.
        group: the group of labels that it asks about; None for the labels without a group.
    """

    name: ViewName
    view: View
    group: str | None = None

    def to_json(self) -> dict[str, Any]:
        """What REST tells."""
        area = self.view.region or (0, 0, UNIT, UNIT)
        return {
            "camera": self.name.camera or None,
            "region": self.name.region,
            "area": [each / UNIT for each in area],
            "find": self.view.zoom,
            "group": self.group,
        }


class HomeRegions:
    """The regions of one home, its store and its bundle.

    A camera that has none is looked at as :class:`~edgetl_device.home_view.HomeView` says.

    Args:
        home: whose folder keeps empty scenes.
        store: keeps the regions.
        bundle: says how photos are prepared.
    """

    def __init__(self, home: Home, store: Store, bundle: Bundle) -> None:
        self._home, self._store, self._bundle = home, store, bundle

    def listed(self, camera: str | None = None) -> list[NamedRegion]:
        """Those of a camera, or all, in the order in which they were made."""
        return [
            NamedRegion(ViewName(row.camera, row.name), View.from_json(json.loads(row.view)), row.asks or None)
            for row in self._store.regions.rows()
            if row.name and camera in (None, row.camera)
        ]

    def state(self, cameras: Iterable[str]) -> tuple[object, ...]:
        """Changes whenever these cameras are looked at in another way, by this process or another."""
        return self._store.regions.rows(), tuple(self.look(camera).state for camera in cameras)

    def look(self, camera: str) -> HomeView:
        """How the frames of a camera are looked at where it has no named regions."""
        return HomeView(self._home, self._store, self._bundle, camera)

    def watched(self, cameras: Iterable[str]) -> list[tuple[ViewName, Looking, str | None]]:
        """What is recognised of cameras: name, how frames are prepared, and the group that is asked."""
        found: list[tuple[ViewName, Looking, str | None]] = []
        for camera in cameras:
            look, named = self.look(camera), self.listed(camera)
            found += [(each.name, look.looking_with(each.view), each.group) for each in named]
            if not named:
                found.append((ViewName(camera), look.looking(), None))
        return found

    def keys(self, cameras: Iterable[str]) -> set[str]:
        """The views in use, as samples remember them: those of cameras that run, and of all regions that are kept."""
        looking = [looking for _, looking, _ in self.watched(cameras)]
        kept = [self.look("").looking_with(View.from_json(json.loads(row.view))) for row in self._store.regions.rows()]
        return {each.key for each in (*looking, *kept)}

    def others(self, cameras: Iterable[str]) -> dict[str, int]:
        """Label → how many samples were taught with a view that is not in use; sorted."""
        keys, counts = self.keys(cameras), dict[str, int]()
        for taught, labels in self._store.views.counts(self._bundle.backbone_digest).items():
            for label, count in labels.items() if taught not in keys else ():
                counts[label] = counts.get(label, 0) + count
        return dict(sorted(counts.items()))

    def other_ids(self, cameras: Iterable[str]) -> list[int]:
        """The samples that were taught with a view that is not in use."""
        return self._store.views.taught_otherwise(self._bundle.backbone_digest, self.keys(cameras))

    def choose(self, region: NamedRegion) -> NamedRegion:
        """Keep a region, in the place of the one of its name; → as it is kept.

        Raises:
            InputError: it or its group cannot be called so, there are too many, or it zooms without an empty scene.
            StorageError: that cannot be written.
        """
        name = ViewName(
            check_name(region.name.camera, "camera") if region.name.camera else "",
            check_name(region.name.region, "region"),
        )
        group = None if region.group is None else check_group(region.group)
        self.look(name.camera).check(region.view)
        known = self.listed()
        if len(known) >= MAX_REGIONS and all(each.name != name for each in known):
            raise InputError(f"expected at most {MAX_REGIONS} regions: remove one first")
        self._store.regions.keep(RegionRow(*name, written(region.view), group or ""))
        return NamedRegion(name, region.view, group)

    def rename(self, name: ViewName, new: str) -> ViewName:
        """Give a region another name; what was taught in it goes with it. Raises InputError and StorageError."""
        self.known(name)
        renamed = ViewName(name.camera, check_name(new, "region"))
        if renamed != name:
            if any(each.name == renamed for each in self.listed()):
                raise InputError(f"there is a region {renamed.shown} already")
            self._store.regions.rename(*name, renamed.region)
        return renamed

    def remove(self, name: ViewName) -> None:
        """Look at a region no more; what was taught in it stays. Raises InputError and StorageError."""
        self.known(name)
        self._store.regions.remove(*name)

    def known(self, name: ViewName) -> NamedRegion:
        """The region of that name; raises InputError where there is none."""
        regions = self.listed()
        for each in regions:
            if each.name == name:
                return each
        meant = similar_label(name.region, [each.name.region for each in regions])
        question = f"did you mean {meant}? " if meant else ""
        names = ", ".join(each.name.shown for each in regions) or "none yet"
        raise InputError(f"no region {name.shown!r}: {question}known regions: {names}")
