"""The empty scene: what a camera sees where nothing is there, and so what is there, and where.

A frame is compared with the picture of the empty scene, both shrunk. Light that has become brighter or darker as a
whole is taken out channel by channel; what then differs by more than noise does, in the largest connected piece, is the
thing. All of it is done in integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .arrays import pack, unpack
from .errors import InputError, PhotoError
from .photos import Image
from .preprocess import halved, resized

Box = tuple[int, int, int, int]
"""(left, top, right, bottom), pixels."""

NO_EMPTY_SCENE = (
    "no empty scene is remembered, so nothing can be found against it: `edgetl-device view --empty PHOTO`, or "
    "Remember the empty scene on the page"
)

_SIDE = 320  # pixels: what differs is looked for in frames of at most this
MAX_BYTES = 1 << 20  # of a serialised one
_MAX_FRAME = 1 << 16  # pixels a side
_SHAPE = 1.02  # by which a frame's aspect ratio may differ from the empty scene's
_CONTRAST = 24  # levels by which a thing differs at least; noise and compression stay below
_SMALLEST = 400  # of a frame's pixels, one: anything smaller is dirt
_GAP = 24  # of the shorter side, one: pieces of a thing that are no farther apart belong together
_MARGIN = 20  # per cent more than the thing
_NEAREST = 8  # of the shorter side, one: no closer is looked


@dataclass(frozen=True, eq=False)
class EmptyScene:
    """What a camera sees where nothing is there.

    Args:
        picture: (at most 320, at most 320, 3) uint8 BGR.
        width, height: of the frame that it was made of, pixels.

    Example:
        >>> scene = EmptyScene.of(np.full((480, 640, 3), 90, np.uint8))
        >>> frame = np.full((480, 640, 3), 90, np.uint8)
        >>> frame[200:260, 300:360] = 200
        >>> scene.find(frame, (0, 0, 640, 480))
        (294, 194, 366, 266)
    """

    picture: Image
    width: int
    height: int

    @classmethod
    def of(cls, frame: Image) -> EmptyScene:
        """(any, any, 3) uint8 BGR; raises PhotoError where it is larger than any camera's."""
        if max(frame.shape[:2]) > _MAX_FRAME:
            raise PhotoError(
                f"expected an empty scene of at most {_MAX_FRAME} pixels a side, "
                f"got {frame.shape[1]} x {frame.shape[0]}"
            )
        return cls(_shrunk(frame), frame.shape[1], frame.shape[0])

    def find(self, frame: Image, within: Box) -> Box | None:
        """The square around what differs most, inside a part of the frame; None where nothing does.

        Where the part is narrower than the square, so is what is found.

        Args:
            frame: (any, any, 3) uint8 BGR.
            within: where to look.

        Raises:
            PhotoError: the frame has another shape than the empty scene.
        """
        height, width = frame.shape[:2]
        if not 1 / _SHAPE <= width * self.height / (height * self.width) <= _SHAPE:
            raise PhotoError(
                f"a frame of {width} x {height} pixels has another shape than the empty scene, "
                f"{self.width} x {self.height}: remember the empty scene again"
            )
        rows, columns = self.picture.shape[:2]
        small = resized(_shrunk(frame), (columns, rows))
        left, top, right, bottom = (
            within[0] * columns // width,
            within[1] * rows // height,
            -(-within[2] * columns // width),
            -(-within[3] * rows // height),
        )
        found = _largest(_difference(small, self.picture)[top:bottom, left:right], rows * columns)
        if found is None:
            return None
        x, y, across, down = found
        x, across = (left + x) * width // columns, across * width // columns
        y, down = (top + y) * height // rows, down * height // rows
        return _square((x, y, across, down), within)

    def to_bytes(self) -> bytes:
        """A deterministic serialisation, in which nothing is lost."""
        return pack({"picture": self.picture, "frame": np.array([self.width, self.height], np.int64)})

    @classmethod
    def from_bytes(cls, data: bytes) -> EmptyScene:
        """The inverse of :meth:`to_bytes`; raises InputError on anything else."""
        arrays = unpack(data, {"picture", "frame"})
        picture, frame = arrays["picture"], arrays["frame"]
        sound = picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3 and 0 not in picture.shape
        if not sound or max(picture.shape) > _SIDE or frame.dtype != np.int64 or frame.shape != (2,):
            raise InputError("no empty scene")
        width, height = frame.tolist()
        if not (0 < width <= _MAX_FRAME and 0 < height <= _MAX_FRAME):
            raise InputError("no empty scene: a frame of no size")
        return cls(picture, width, height)


def _shrunk(frame: Image) -> Image:
    """Halved until it is small."""
    while max(frame.shape[:2]) > _SIDE and min(frame.shape[:2]) >= 2:
        frame = halved(frame, 2, 2)
    if max(frame.shape[:2]) > _SIDE:  # a strip
        frame = resized(frame, (min(frame.shape[1], _SIDE), min(frame.shape[0], _SIDE)))
    return frame


def _difference(frame: Image, empty: Image) -> npt.NDArray[np.uint8]:
    """How far each pixel is from the empty scene, the largest of the three channels, whatever the light as a whole."""
    change = frame.astype(np.int16) - empty
    flat = change.reshape(-1, 3)
    light = np.sort(flat, axis=0)[len(flat) // 2]
    return np.asarray(np.minimum(np.abs(change - light).max(axis=2), 255), np.uint8)


def _largest(difference: npt.NDArray[np.uint8], pixels: int) -> tuple[int, int, int, int] | None:
    """(x, y, width, height) of the largest piece that differs, of a frame of so many pixels; None where none does."""
    mask = np.asarray(difference > _CONTRAST, np.uint8)
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)
    gap = max(1, min(mask.shape) // _GAP)
    joined = cv2.dilate(mask, np.ones((2 * gap + 1, 2 * gap + 1), np.uint8))
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    areas = np.bincount(labels[mask > 0], minlength=count)
    if not areas.size or int(areas.max()) * _SMALLEST < pixels:
        return None
    rows, columns = np.nonzero((labels == int(areas.argmax())) & (mask > 0))
    x, y = int(columns.min()), int(rows.min())
    return x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y


def _square(thing: tuple[int, int, int, int], within: Box) -> Box:
    """A square with a margin around (x, y, width, height), moved so that it lies within; smaller where it must be."""
    x, y, width, height = thing
    left, top, right, bottom = within
    nearest = max(1, min(right - left, bottom - top) // _NEAREST)
    side = max(max(width, height) * (100 + _MARGIN) // 100, nearest)
    across, down = min(side, right - left), min(side, bottom - top)
    first = min(max(x + (width - across) // 2, left), right - across)
    upper = min(max(y + (height - down) // 2, top), bottom - down)
    return first, upper, first + across, upper + down
