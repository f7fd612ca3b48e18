"""Region: the part of a frame that counts, as shares of its sides, so that it holds for frames of any size."""

from __future__ import annotations

import numpy as np

from .errors import InputError
from .photos import Image

UNIT = 10_000
"""The sides of a frame, in the units of a region."""

Region = tuple[int, int, int, int]
"""(x, y, width, height), in ten-thousandths of a frame's width and height."""


def check_region(region: Region) -> Region:
    """The region, if it lies inside the frame and is not empty; raises InputError otherwise."""
    x, y, width, height = region
    if min(x, y) < 0 or min(width, height) < 1 or x + width > UNIT or y + height > UNIT:
        raise InputError(
            f"the region must lie inside the frame, got x {share(x)}, y {share(y)}, width {share(width)}, "
            f"height {share(height)} of it"
        )
    return region


def cut(frame: Image, region: Region | None) -> Image:
    """That part of a frame, at least one pixel a side; None is the whole of it. No copy."""
    left, top, right, bottom = pixels(frame, region)
    return frame[top:bottom, left:right]


def pixels(frame: Image, region: Region | None) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a region of a frame, every pixel that it touches."""
    rows, columns = frame.shape[:2]
    if region is None:
        return 0, 0, columns, rows
    x, y, width, height = region
    return (
        x * columns // UNIT,
        y * rows // UNIT,
        -(-(x + width) * columns // UNIT),
        -(-(y + height) * rows // UNIT),
    )


def parse_region(text: str, frame_width: int | None = None, frame_height: int | None = None) -> Region:
    """``X,Y,W,H`` in pixels of a frame of that size, or in shares of it such as ``0.25,0,0.5,1`` → a region.

    Without a size, only shares can be meant.

    Raises:
        InputError: it is no such text, or not inside the frame.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not np.isfinite(numbers).all():
        raise InputError(f"expected a region X,Y,W,H, in pixels or in shares of the frame, got {text[:60]!r}")
    x, y, width, height = numbers
    if max(numbers) > 1 and (frame_width is None or frame_height is None):
        raise InputError(
            f"expected a region in shares of the frame, such as 0.25,0,0.5,1, got {text[:60]!r}: pixels are "
            "counted in a photo, and none is given here"
        )
    if max(numbers) > 1 and frame_width is not None and frame_height is not None:
        if x < 0 or y < 0 or width < 1 or height < 1 or x + width > frame_width or y + height > frame_height:
            raise InputError(
                f"the region {text} is not inside the frame, which has {frame_width} x {frame_height} pixels"
            )
        x, width, y, height = x / frame_width, width / frame_width, y / frame_height, height / frame_height
    left, top = round(x * UNIT), round(y * UNIT)
    region = left, top, round((x + width) * UNIT) - left, round((y + height) * UNIT) - top
    return check_region(region)


def region_of(shares: object) -> Region:
    """``[x, y, width, height]``, shares of the frame from 0 to 1, as JSON has them → a region.

    Raises:
        InputError: they are no such list, or what they say is not inside the frame.
    """
    if (
        not isinstance(shares, list)
        or len(shares) != 4
        or not all(type(each) in (int, float) and 0 <= each <= 1 for each in shares)
    ):
        raise InputError("region must be [x, y, width, height], shares of the frame from 0 to 1")
    x, y, width, height = (round(each * UNIT) for each in shares)
    if x + width in (UNIT + 1, UNIT + 2):  # by rounding
        width = UNIT - x
    if y + height in (UNIT + 1, UNIT + 2):
        height = UNIT - y
    return check_region((x, y, width, height))


def share(number: int) -> str:
    """A number of a region, as a share: 2500 → ``0.25``."""
    return f"{number / UNIT:.4f}".rstrip("0").rstrip(".")


def in_words(region: Region) -> str:
    """``0.25,0,0.5,1``, as options take it."""
    return ",".join(share(number) for number in region)
