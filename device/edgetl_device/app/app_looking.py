"""AppLooking: which views of its cameras a running app recognises, and how it looks at them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from ..home_regions import NamedRegion
from ..home_view import HomeView
from ..photos import Image
from ..view import View
from ..view_names import UNNAMED, ViewName
from .answers import Watched
from .app_samples import AppSamples
from .inspecting import Inspecting
from .pipeline import Pipeline


class AppLooking(AppSamples):
    """The part of an app that chooses what counts; methods may be called from any thread.

    Attributes:
        cameras: their names; an only one may have an empty name.
    """

    pipeline: Pipeline
    inspecting: Inspecting
    cameras: tuple[str, ...]

    def camera_named(self, name: str | None = None) -> str:
        """The camera of that name, or the only one; raises InputError where it is not clear which is meant."""
        if name is None and len(self.cameras) == 1:
            return self.cameras[0]
        if name is None or name not in self.cameras:
            asked = "say which camera is meant" if name is None else f"no camera {name[:40]!r}"
            raise InputError(f"{asked}: {', '.join(filter(None, self.cameras)) or 'the only one has no name'}")
        return name

    def view_named(self, camera: str | None = None, region: str | None = None) -> Watched:
        """The view of these names, or the only one; raises InputError where it is not clear which is meant."""
        mine = None if camera is None and len(self.cameras) > 1 else self.camera_named(camera)
        views = [view for view in self.pipeline.views if mine is None or view.name.camera == mine]
        found = [view for view in views if region is None or view.name.region == region]
        if len(found) == 1:
            return found[0]
        names = ", ".join(view.name.shown for view in views if view.name != UNNAMED) or "the only one has no name"
        raise InputError(f"{'say which view is meant' if found or region is None else 'no such view'}: {names}")

    # the whole of a camera ---------------------------------------------------------------------------------------

    def view(self, camera: str | None = None) -> dict[str, Any]:
        """How frames of a camera are looked at where it has no named regions, and what was taught with other views."""
        name = self.camera_named(camera)
        with self._lock:
            look = self._opened.regions.look(name)
            told = look.to_json() | {"described": look.describe(), "problem": self.pipeline.view_problem}
            if self.cameras != ("",):
                told["others"] = self._opened.regions.others(self.cameras)
            return told

    def taught_otherwise(self) -> list[int]:
        """The samples that were taught with another view than those in use; raises InputError where none was."""
        with self._lock:
            found = self._opened.regions.other_ids(self.cameras)
        if not found:
            raise InputError("all samples were taught with the view in use: nothing to forget")
        return found

    def looks(self, camera: str | None = None) -> HomeView:
        """The view of a camera as the home keeps it; what changes it there is noticed within a second."""
        return self._opened.regions.look(self.camera_named(camera))

    def choose_view(self, view: View | None, camera: str | None = None) -> None:
        """Look at a camera's frames with a view from now on; None as the bundle says. Raises InputError."""
        name = self.camera_named(camera)
        with self._lock:
            self._opened.regions.look(name).choose(view)
            self._look_again()

    def remember_empty(self, photo: Image, camera: str | None = None) -> None:
        """Keep a frame of a camera, (any, any, 3) uint8 BGR, as its empty scene; raises StorageError."""
        name = self.camera_named(camera)
        with self._lock:
            self._opened.regions.look(name).remember_empty(photo)
            self._look_again()

    # named regions -----------------------------------------------------------------------------------------------

    def regions(self) -> list[NamedRegion]:
        """Those of the cameras that run, in the order in which they were made."""
        with self._lock:
            return [each for each in self._opened.regions.listed() if each.name.camera in self.cameras]

    def taught_with_others(self) -> Mapping[str, int]:
        """Label → how many samples were taught with a view that is not in use."""
        with self._lock:
            return self._opened.regions.others(self.cameras)

    def choose_region(self, region: NamedRegion) -> NamedRegion:
        """Recognise a region from now on, in the place of the one of its name; → as it is kept. Raises InputError."""
        self.camera_named(region.name.camera)
        with self._lock:
            kept = self._opened.regions.choose(region)
            self._look_again()
            return kept

    def rename_region(self, name: ViewName, new: str) -> ViewName:
        """Give a region another name, and the samples that were taught in it; raises InputError."""
        with self._lock:
            renamed = self._opened.regions.rename(name, new)
            self._look_again()
            return renamed

    def remove_region(self, name: ViewName) -> None:
        """Recognise a region no more; what was taught in it stays. Raises InputError."""
        with self._lock:
            self._opened.regions.remove(name)
            self._look_again()

    # inside ------------------------------------------------------------------------------------------------------

    def _watched(self) -> list[Watched]:
        return [Watched(*each) for each in self._opened.regions.watched(self.cameras)]

    def _look_again(self) -> None:
        if self._opened.look_again():
            self.inspecting.refresh()
        self._swap()
