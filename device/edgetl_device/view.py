"""View: which part of a frame counts, and how it is laid before the backbone.

The whole frame, a region of it, the part that lies in it: found against the background, turned until its long axis
lies across, and cut out; or what differs most from the empty scene, enlarged. A view is fixed when a device is taught,
and goes with everything learned.

Everything is integer arithmetic, down to the sampling: shrinking and enlarging is ``INTER_LINEAR_EXACT``, turning takes
whole pixels of an enlarged cut-out. So every machine gives the same bytes, whatever its processor and version of
OpenCV; ``make test-pi`` compares.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .empty_scene import NO_EMPTY_SCENE, EmptyScene
from .errors import InputError, PhotoError
from .part_pose import Pose, pose_of
from .photos import Image
from .preprocess import Preprocessing, halved, resized
from .region import UNIT, Region, check_region, cut, in_words, parse_region, pixels

__all__ = ["UNIT", "View", "parse_region"]

_VERSION = 1  # of what `photo` computes
_ZOOM_VERSION = 2  # where it finds what differs from the empty scene


@dataclass(frozen=True)
class View:
    """What is looked at.

    Args:
        region: (x, y, width, height) of the part of the frame that counts, in ten-thousandths of its width and height;
            None is the whole frame. It is stretched to the backbone's size, so no border is cut off.
        find_part: find the one part that stands out from the background, and lay it across, in the middle, as large as
            fits.
        turned: teach each photo in its eight turns and mirrors, for parts that lie in any of them and for surfaces.
        zoom: find what differs most from the empty scene, and enlarge a square around it.

    Example:
        >>> View(region=(0, 0, 5000, 10000)).photo(np.zeros((480, 640, 3), np.uint8), 224, 224).shape
        (224, 224, 3)
    """

    region: Region | None = None
    find_part: bool = False
    turned: bool = False
    zoom: bool = False

    def __post_init__(self) -> None:
        if self.region is not None:
            check_region(self.region)
        if self.find_part and self.zoom:
            raise InputError("a part is found on its background, or by the empty scene: choose one")

    @property
    def digest(self) -> str:
        """SHA-256 of :meth:`to_json`, hex: the same for views that give the same photos."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def photo(self, frame: Image, height: int, width: int, empty: EmptyScene | None = None) -> npt.NDArray[np.uint8]:
        """(any, any, 3) uint8 BGR frame → (height, width, 3) uint8 RGB, contiguous, as a backbone takes it.

        Args:
            empty: the empty scene, for a view that zooms.

        Raises:
            PhotoError: no part stands out from the background, or no empty scene of this shape is known.
        """
        left, top, right, bottom = self.part(frame, empty)
        return self.drawn(frame[top:bottom, left:right], height, width)

    def drawn(self, shown: Image, height: int, width: int) -> npt.NDArray[np.uint8]:
        """What :meth:`part` says, (any, any, 3) uint8 BGR → the photo; raises PhotoError as :meth:`photo`."""
        pose = pose_of(shown) if self.find_part else None
        if pose is None:
            return Preprocessing(height, width, "stretch")(shown)
        return np.asarray(cv2.cvtColor(_posed(shown, pose, height, width), cv2.COLOR_BGR2RGB), np.uint8)

    def part(self, frame: Image, empty: EmptyScene | None = None) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of what is looked at in a frame, pixels: the region, or what zooming found in it.

        Where nothing differs from the empty scene, it is the region. A part on its background is found in it later.

        Raises:
            PhotoError: no empty scene of this shape is known, for a view that zooms.
        """
        box = pixels(frame, self.region)
        if not self.zoom:
            return box
        if empty is None:
            raise PhotoError(NO_EMPTY_SCENE)
        return empty.find(frame, box) or box

    def cut(self, frame: Image) -> Image:
        """The region of a frame, at least one pixel a side; no copy."""
        return cut(frame, self.region)

    def turns(self, photo: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
        """A prepared photo as it is taught: itself, and, where :attr:`turned`, its turns and mirrors after it.

        Eight of a square photo, four of another.
        """
        if not self.turned:
            return [photo]
        step = 1 if photo.shape[0] == photo.shape[1] else 2
        turned = [np.rot90(photo, quarter) for quarter in range(0, 4, step)]
        return [np.ascontiguousarray(each) for each in (*turned, *(each[:, ::-1] for each in turned))]

    def to_json(self) -> dict[str, Any]:
        """What is kept of it."""
        region = None if self.region is None else list(self.region)
        known = {"version": _VERSION, "region": region, "find_part": self.find_part, "turned": self.turned}
        return known | {"version": _ZOOM_VERSION, "zoom": True} if self.zoom else known

    @classmethod
    def from_json(cls, value: Any) -> View:
        """The inverse of :meth:`to_json`; raises InputError on anything else."""
        keys = {"version", "region", "find_part", "turned"}
        if not isinstance(value, dict) or set(value) not in (keys, {*keys, "zoom"}):
            raise InputError("a view must hold version, region, find_part and turned")
        zoom = value.get("zoom", False)
        if value["version"] != (_ZOOM_VERSION if zoom else _VERSION) or (zoom is not True and "zoom" in value):
            raise InputError(f"view version {value['version']!r} is not known: update edgetl-device")
        region = value["region"]
        if region is not None and not (
            isinstance(region, list) and len(region) == 4 and all(type(number) is int for number in region)
        ):
            raise InputError("the region of a view must be four integers")
        if type(value["find_part"]) is not bool or type(value["turned"]) is not bool:
            raise InputError("find_part and turned of a view must be true or false")
        return cls(None if region is None else tuple(region), value["find_part"], value["turned"], zoom)

    def describe(self) -> str:
        """For a person, in a few words."""
        where = "the whole frame" if self.region is None else f"the region {in_words(self.region)} of the frame"
        found = "the part found in " * self.find_part + "what differs from the empty scene in " * self.zoom
        return found + where + ", turned and mirrored" * self.turned


def _posed(frame: Image, pose: Pose, height: int, width: int) -> Image:
    """The rectangle around a found part, turned and drawn to the photo's sides → (height, width, 3) BGR.

    The cut-out is brought to 1.5 to 4 times the size that is asked for, by halving or by doubling, then whole pixels of
    it are taken on the turned grid of twice that size, and 2 × 2 of them averaged.
    """
    wanted = 2 * max(height, width)
    x, y, length, breadth = pose.x, pose.y, pose.length, pose.breadth
    while min(length, breadth) >= 2 * wanted and min(frame.shape[:2]) >= 2:
        frame, x, y, length, breadth = halved(frame, 2, 2), x // 2, y // 2, length // 2, breadth // 2
    reach = max(length, breadth) * 3 // 4 + 2  # half the diagonal of the square around, rounded up
    cut = _around(frame, x, y, reach)
    while max(length, breadth) < wanted * 3 // 4:
        cut, length, breadth = resized(cut, (2 * cut.shape[1], 2 * cut.shape[0])), 2 * length, 2 * breadth
    grid_y, grid_x = _grid(pose, (2 * height, 2 * width), (length, breadth), cut.shape[:2])
    maps = np.stack([grid_x, grid_y], axis=-1).astype(np.int16)
    taken = cv2.remap(cut, maps, np.empty((0, 0), np.uint16), cv2.INTER_NEAREST)
    return halved(np.asarray(taken, np.uint8), 2, 2)


def _around(frame: Image, x: int, y: int, reach: int) -> Image:
    """The square of 2 · ``reach`` pixels a side around a place; what lies outside the frame continues its border."""
    rows, columns = frame.shape[:2]
    x, y = min(max(x, 0), columns - 1), min(max(y, 0), rows - 1)
    top, left, bottom, right = y - reach, x - reach, y + reach, x + reach
    inside = frame[max(top, 0) : bottom, max(left, 0) : right]
    edges = max(-top, 0), max(bottom - rows, 0), max(-left, 0), max(right - columns, 0)
    return np.asarray(cv2.copyMakeBorder(inside, *edges, cv2.BORDER_REPLICATE), np.uint8)


def _grid(
    pose: Pose, size: tuple[int, int], sides: tuple[int, int], shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The pixel (rows, columns) of a cut-out at each place of a turned grid of ``size``; its sides in the cut-out."""
    rows, columns = size
    # Middles of places from the middle of the grid, in 1 / (2 · size) of its side; then steps of 1 / 65536 pixel.
    parts = [
        (2 * np.arange(places, dtype=np.int64) + 1 - places) * (side << 16) // (2 * places)
        for places, side in zip((columns, rows), sides, strict=True)
    ]
    across, down = ((part * pose.cosine // pose.one).astype(np.int32) for part in parts)
    rising, leaning = ((part * pose.sine // pose.one).astype(np.int32) for part in parts)
    x = ((shape[1] << 15) + across[None, :] - leaning[:, None]) >> 16
    y = ((shape[0] << 15) + rising[None, :] + down[:, None]) >> 16
    return np.clip(y, 0, shape[0] - 1), np.clip(x, 0, shape[1] - 1)
