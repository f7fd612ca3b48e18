"""Looking: how frames are prepared for a backbone, as its bundle says or with a view that was chosen on the device."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .empty_scene import Box, EmptyScene
from .errors import PhotoError
from .photos import Image
from .preprocess import Preprocessing
from .region import in_words
from .view import View

Shares = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Looking:
    """What of a frame counts, and how it becomes the backbone's input.

    Args:
        preprocessing: of the bundle; without a view it is all that is done.
        view: chosen on the device.
        empty: the empty scene, for a view that zooms; None where none is remembered.

    Example:
        >>> Looking(Preprocessing(96, 96), View((0, 0, 5000, 10000)))(np.zeros((480, 640, 3), np.uint8)).shape
        (96, 96, 3)
    """

    preprocessing: Preprocessing
    view: View | None = None
    empty: EmptyScene | None = None

    def __call__(self, frame: Image) -> npt.NDArray[np.uint8]:
        """(any, any, 3) uint8 BGR → (height, width, 3) uint8 RGB.

        Raises:
            PhotoError: a view that zooms has no empty scene of this shape.
        """
        return self.look(frame)[0]

    def look(self, frame: Image) -> tuple[npt.NDArray[np.uint8], Shares]:
        """The photo of a call, and (x, y, width, height) of what is in it, as shares of the frame; raises as a call."""
        size, (left, top, right, bottom) = self.preprocessing, self.part(frame)
        if self.view is None:
            photo = size(frame)
        else:
            photo = self.view.drawn(frame[top:bottom, left:right], size.height, size.width)
        rows, columns = frame.shape[:2]
        return photo, (left / columns, top / rows, (right - left) / columns, (bottom - top) / rows)

    def part(self, frame: Image) -> Box:
        """(left, top, right, bottom) of what is looked at, pixels; raises as a call."""
        return self.preprocessing.part(frame) if self.view is None else self.view.part(frame, self.empty)

    def shown(self, frame: Image) -> Image:
        """What a picture of a sample shows: of a view that was chosen what it looks at, otherwise the frame."""
        if self.view is None:
            return frame
        left, top, right, bottom = self.part(frame)
        return frame[top:bottom, left:right]

    def anyhow(self, frame: Image) -> tuple[npt.NDArray[np.uint8], Shares, str | None]:
        """As :meth:`look`, and of the whole region where that cannot be done; then also what is in the way."""
        try:
            return (*self.look(frame), None)
        except PhotoError as error:
            whole = Looking(self.preprocessing, None if self.view is None else View(self.view.region))
            return (*whole.look(frame), str(error))

    @property
    def key(self) -> str:
        """What samples remember of it: the view as JSON; empty where frames are looked at as the bundle says."""
        return view_key(self.view, self.preprocessing)

    def describe(self) -> str:
        """For a person, in a few words."""
        return self.view.describe() if self.view is not None else described(self.preprocessing)


def view_key(view: View | None, preprocessing: Preprocessing) -> str:
    """See :attr:`Looking.key`."""
    own = View(preprocessing.region) if preprocessing.resize == "stretch" else None
    return "" if view is None or view == own else json.dumps(view.to_json(), sort_keys=True, separators=(",", ":"))


def described(preprocessing: Preprocessing) -> str:
    """How a bundle looks at frames, in a few words."""
    frame = "the frame" if preprocessing.region is None else f"the region {in_words(preprocessing.region)} of the frame"
    if preprocessing.resize == "crop":
        shape = "square" if preprocessing.height == preprocessing.width else "part"
        return f"the largest {shape} in the middle of {frame}"
    return "the whole frame" if preprocessing.region is None else frame
