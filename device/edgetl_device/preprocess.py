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

MAX_SIZE = 1024  # pixels a side; every published classification backbone is far below


@dataclass(frozen=True)
class Preprocessing:
    """Centre crop to the target's aspect ratio, shrink, BGR → RGB.

    The crop comes first, so a 1 × 8000 strip costs no more than a square. Large photos are halved (the mean of 2 × 2
    pixels) while they are at least twice the target and then resized once, so they do not alias.

    Args:
        height, width: size of the backbone's input, pixels.
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        if not (1 <= self.height <= MAX_SIZE and 1 <= self.width <= MAX_SIZE):
            raise InputError(f"image size must be 1 to {MAX_SIZE} pixels a side, got {self.height}x{self.width}")

    def __call__(self, frame: Image) -> npt.NDArray[np.uint8]:
        """(any, any, 3) uint8 BGR → (height, width, 3) uint8 RGB, contiguous."""
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
            raise InputError(f"a frame must be (height, width, 3) uint8, got {frame.shape} {frame.dtype}")
        frame = self._crop(frame)
        while frame.shape[0] >= 2 * self.height and frame.shape[1] >= 2 * self.width:
            half = (frame.shape[1] // 2, frame.shape[0] // 2)
            # Even sizes make every output pixel the mean of exactly 2 × 2 input pixels.
            frame = _resize(frame[: 2 * half[1], : 2 * half[0]], half)
        if frame.shape[:2] != (self.height, self.width):
            frame = _resize(frame, (self.width, self.height))
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)

    def _crop(self, frame: Image) -> Image:
        """The largest centred rectangle of the target's aspect ratio, at least one pixel a side."""
        height, width = frame.shape[:2]
        crop_height = max(1, min(height, round(width * self.height / self.width)))
        crop_width = max(1, min(width, round(height * self.width / self.height)))
        top, left = (height - crop_height) // 2, (width - crop_width) // 2
        return frame[top : top + crop_height, left : left + crop_width]

    def to_json(self) -> dict[str, Any]:
        """What the manifest holds."""
        return {"height": self.height, "width": self.width, "resize": "shorter-side-centre-crop", "color": "RGB"}

    @classmethod
    def from_json(cls, value: Any) -> Preprocessing:
        """The inverse of :meth:`to_json`; raises InputError on anything else."""
        if not isinstance(value, dict) or not all(type(value.get(k)) is int for k in ("height", "width")):
            raise InputError("preprocessing must hold integer height and width")
        known = cls(value["height"], value["width"])
        if value != known.to_json():
            raise InputError(f"preprocessing must be {known.to_json()}, got {value}; update edgetl-device")
        return known


def _resize(frame: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR_EXACT), np.uint8)
