"""AppLooking: how a running app looks at frames."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from ..home_view import HomeView
from ..photos import Image
from ..view import View
from .app_samples import AppSamples
from .inspecting import Inspecting
from .pipeline import Pipeline


class AppLooking(AppSamples):
    """The part of an app that chooses what counts; methods may be called from any thread."""

    pipeline: Pipeline
    inspecting: Inspecting

    def view(self) -> dict[str, Any]:
        """How frames are looked at, and what was taught with another view."""
        with self._lock:
            view = self._opened.view
            return view.to_json() | {"described": view.describe(), "problem": self.pipeline.view_problem}

    def taught_otherwise(self) -> list[int]:
        """The samples that were taught with another view than the one in use; raises InputError where none was."""
        with self._lock:
            found = self._opened.view.other_ids()
        if not found:
            raise InputError("all samples were taught with the view in use: nothing to forget")
        return found

    @property
    def looks(self) -> HomeView:
        """The view as the home keeps it; what changes it there is noticed within a second."""
        return self._opened.view

    def choose_view(self, view: View | None) -> None:
        """Look at frames with a view from now on; None as the bundle says. Raises InputError as HomeView.choose."""
        with self._lock:
            self._opened.view.choose(view)
            self._look_again()

    def remember_empty(self, photo: Image) -> None:
        """Keep a frame, (any, any, 3) uint8 BGR, as the empty scene; raises StorageError."""
        with self._lock:
            self._opened.view.remember_empty(photo)
            self._look_again()

    def _look_again(self) -> None:
        if self._opened.look_again():
            self.inspecting.refresh()
            self._swap()
