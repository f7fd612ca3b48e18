"""Preprocessing: a camera frame of any size → exactly the bytes the backbone takes.

It stops at uint8. Scaling to the backbone's range ([-1, 1] for MobileNetV2) belongs to the exported file, so the device
feeds raw pixels and there is nothing to get wrong. The same bytes come out on x86-64 and arm64: resizing is
``INTER_LINEAR_EXACT``, integer arithmetic by definition. ``INTER_LINEAR`` and ``INTER_AREA`` have other kernels on
arm64 and differ there by one level, halving included (OpenCV 5.0; `make test-pi` compares).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .errors import InputError
from .photos import Image
from .region import Region, check_region, cut, pixels

RESIZES = ("crop", "stretch", "letterbox")
"""How a frame of another aspect ratio becomes the backbone's: its sides are cut off, its aspect ratio is given up, or
black bars are added, as Keras and TensorFlow do."""

MAX_SIZE = 1024  # pixels a side; every published classification backbone is far below


_IN_MANIFEST = {"crop": "shorter-side-centre-crop", "stretch": "stretch", "letterbox": "letterbox"}


@dataclass(frozen=True)
class Preprocessing:
    """Centre crop to the target's aspect ratio (or stretch, or fit between black bars), shrink, BGR → RGB.

    The crop comes first, so a 1 × 8000 strip costs no more than a square. Large photos are halved (the mean of 2 × 2
    pixels) while they are at least twice the target and then resized once, so they do not alias.

    Args:
        height, width: size of the backbone's input, pixels.
        resize: one of :data:`RESIZES`.
        region: the part of the frame that counts; it is cut out first. None is all of it.

    Example:
        >>> Preprocessing(96, 96, "stretch")(np.zeros((480, 640, 3), np.uint8)).shape
        (96, 96, 3)
    """

    height: int
    width: int
    resize: str = "crop"
    region: Region | None = None

    def __post_init__(self) -> None:
        if self.resize not in RESIZES:
            raise InputError(f"resize must be one of {', '.join(RESIZES)}, got {self.resize!r}")
        if not (1 <= self.height <= MAX_SIZE and 1 <= self.width <= MAX_SIZE):
            raise InputError(f"image size must be 1 to {MAX_SIZE} pixels a side, got {self.height}x{self.width}")
        if self.region is not None:
            check_region(self.region)

    def __call__(self, frame: Image) -> npt.NDArray[np.uint8]:
        """(any, any, 3) uint8 BGR → (height, width, 3) uint8 RGB, contiguous."""
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
            raise InputError(f"a frame must be (height, width, 3) uint8, got {frame.shape} {frame.dtype}")
        frame = cut(frame, self.region)
        if self.resize == "letterbox":
            inner = self._inner(frame)
            top, left = (self.height - inner[0]) // 2, (self.width - inner[1]) // 2
            canvas = np.zeros((self.height, self.width, 3), np.uint8)
            canvas[top : top + inner[0], left : left + inner[1]] = _shrunk(frame, *inner)
        else:
            canvas = _shrunk(self._crop(frame) if self.resize == "crop" else frame, self.height, self.width)
        return np.asarray(cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB), np.uint8)

    def part(self, frame: Image) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of what of a frame is looked at, pixels."""
        left, top, right, bottom = pixels(frame, self.region)
        if self.resize != "crop":
            return left, top, right, bottom
        height, width = self._crop_size(bottom - top, right - left)
        left, top = left + (right - left - width) // 2, top + (bottom - top - height) // 2
        return left, top, left + width, top + height

    def _inner(self, frame: Image) -> tuple[int, int]:
        """(height, width) of the whole frame in its own aspect ratio, as large as fits, at least one pixel a side."""
        height, width = frame.shape[:2]
        if height * self.width > width * self.height:
            return self.height, max(1, min(self.width, round(width * self.height / height)))
        return max(1, min(self.height, round(height * self.width / width))), self.width

    def _crop(self, frame: Image) -> Image:
        """The largest centred rectangle of the target's aspect ratio, at least one pixel a side."""
        height, width = frame.shape[:2]
        crop_height, crop_width = self._crop_size(height, width)
        top, left = (height - crop_height) // 2, (width - crop_width) // 2
        return frame[top : top + crop_height, left : left + crop_width]

    def _crop_size(self, height: int, width: int) -> tuple[int, int]:
        crop_height = max(1, min(height, round(width * self.height / self.width)))
        return crop_height, max(1, min(width, round(height * self.width / self.height)))

    def to_json(self) -> dict[str, Any]:
        """What the manifest holds."""
        known = {"height": self.height, "width": self.width, "resize": _IN_MANIFEST[self.resize], "color": "RGB"}
        return known if self.region is None else known | {"region": list(self.region)}

    @classmethod
    def from_json(cls, value: Any) -> Preprocessing:
        """The inverse of :meth:`to_json`; raises InputError on anything else."""
        if not isinstance(value, dict) or not all(type(value.get(k)) is int for k in ("height", "width")):
            raise InputError("preprocessing must hold integer height and width")
        resize = next((name for name, text in _IN_MANIFEST.items() if text == value.get("resize")), "crop")
        region = value.get("region")
        if region is not None and not (
            isinstance(region, list) and len(region) == 4 and all(type(number) is int for number in region)
        ):
            raise InputError("the region of preprocessing must be four integers")
        known = cls(value["height"], value["width"], resize, None if region is None else tuple(region))
        if value != known.to_json():
            raise InputError(f"preprocessing must be {known.to_json()}, got {value}; update edgetl-device")
        return known


def _shrunk(frame: Image, height: int, width: int) -> Image:
    """A frame of any size → (height, width, 3), halved first while it is at least twice as large."""
    while frame.shape[0] >= 2 * height and frame.shape[1] >= 2 * width:
        frame = halved(frame, 2, 2)
    while frame.shape[0] >= 2 * height:
        frame = halved(frame, 2, 1)
    while frame.shape[1] >= 2 * width:
        frame = halved(frame, 1, 2)
    return frame if frame.shape[:2] == (height, width) else resized(frame, (width, height))


def halved(frame: Image, rows: int, columns: int) -> Image:
    """Each output pixel the mean of exactly ``rows`` × ``columns`` input pixels; an odd row or column is dropped."""
    height, width = frame.shape[0] // rows, frame.shape[1] // columns
    return resized(frame[: rows * height, : columns * width], (width, height))


def resized(frame: Image, size: tuple[int, int]) -> Image:
    """A frame → one of ``size`` (width, height), between pixels linearly, in integers.

    OpenCV has no vector code for three channels but for halving: a fourth takes a quarter less time, the same bytes.
    """
    (height, width), (wide, high) = frame.shape[:2], size
    if height <= high or width <= wide or height % high == 0 or width % wide == 0:
        return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR_EXACT), np.uint8)
    four = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2BGRA), size, interpolation=cv2.INTER_LINEAR_EXACT)
    return np.asarray(cv2.cvtColor(four, cv2.COLOR_BGRA2BGR), np.uint8)
