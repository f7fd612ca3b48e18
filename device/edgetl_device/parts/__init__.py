"""The built-in world: rendered photos of machine parts, and a camera that watches them.

Everything comes from code and a seed: geometry, light, finish, bench, lens and sensor. Kind decides the shape
alone; finish, size, place, bench and light are drawn independently of it, so only shapes tell kinds apart.

    >>> photo = render("gear", light="dim", seed=7)
    >>> photo.shape, photo.dtype
    ((224, 224, 3), dtype('uint8'))

The same seed gives the same bytes with the same versions of NumPy and OpenCV.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from . import conveyor
from .damage import DEFECTS, write_line
from .light import LIGHTS as _LIGHTS
from .scene import photo
from .shapes import BUILDERS
from .table import EMPTY, write_table

__all__ = [
    "DEFECTS",
    "EMPTY",
    "KINDS",
    "LIGHTS",
    "photos",
    "render",
    "render_background",
    "stream",
    "write_damaged",
    "write_photos",
    "write_small",
]

KINDS: tuple[str, ...] = tuple(sorted(BUILDERS))
LIGHTS: tuple[str, ...] = tuple(_LIGHTS)

_SMALLEST = 32


def render(kind: str, *, light: str = "normal", size: int = 224, seed: int = 0) -> NDArray[np.uint8]:
    """One photo of one part: (size, size, 3) uint8 BGR, as OpenCV gives frames.

    The same seed under another light shows the same part in the same place.

    Raises `InputError` for an unknown kind or light, a size below 32 pixels or a negative seed.
    """
    _check((kind,), light, (size, size), seed)
    return photo(kind, light, size, (seed,))


def render_background(*, light: str = "normal", size: int = 224, seed: int = 0) -> NDArray[np.uint8]:
    """One photo of a bench without a part, perhaps with litter: (size, size, 3) uint8 BGR."""
    _check((), light, (size, size), seed)
    return photo(None, light, size, (seed,))


def photos(
    kinds: Sequence[str] = KINDS, per_class: int = 60, light: str = "normal", size: int = 224, seed: int = 0
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """`per_class` photos of each kind, kind by kind: (kind, (size, size, 3) uint8 BGR).

    Photo i of a kind is the same whatever the other kinds and `per_class` are. Raises as `render` does, at
    the call.
    """
    _check(kinds, light, (size, size), seed)
    return ((kind, photo(kind, light, size, (seed, i))) for kind in kinds for i in range(per_class))


def write_photos(
    folder: Path,
    *,
    kinds: Sequence[str] = KINDS,
    per_class: int = 60,
    light: str = "normal",
    size: int = 224,
    seed: int = 0,
) -> int:
    """Write `photos` as a folder per class, `folder/kind/kind-0000.jpg`; returns how many were written.

    Files of the same name are replaced. Raises as `render` does, and `OSError` where it cannot write.
    """
    written = 0
    for kind, picture in photos(kinds, per_class, light, size, seed):
        path = folder / kind / f"{kind}-{written % per_class:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
        written += 1
    return written


def write_damaged(
    folder: Path, *, kind: str = "gear", per_class: int = 60, light: str = "normal", size: int = 224, seed: int = 0
) -> int:
    """Write good and damaged parts of one kind under one camera, to try visual inspection with; → how many photos.

    `train/good` holds `per_class` of them, `test/good` and `test/chip`, `test/scratch` and `test/stain` a third of that
    each; `masks` shows where the defects are. Raises as `render` does, and `OSError` where it cannot write.
    """
    _check((kind,), light, (size, size), seed)
    return write_line(folder, kind, per_class, light, size, seed)


def write_small(
    folder: Path,
    *,
    kinds: Sequence[str] = KINDS,
    per_class: int = 60,
    light: str = "normal",
    size: int = 480,
    seed: int = 0,
) -> int:
    """Write small parts that lie anywhere on one table, and the table without any; returns how many photos of parts.

    A part takes about a quarter of a frame's height, which is `size` pixels; `folder/empty.jpg` is the empty table.
    Raises as `render` does, and `OSError` where it cannot write.
    """
    _check(kinds, light, (size, size), seed)
    return write_table(folder, kinds, per_class, light, size, seed)


def stream(
    *,
    kinds: Sequence[str] = KINDS,
    light: str = "normal",
    size: tuple[int, int] = (480, 640),
    fps: float = 15.0,
    seed: int = 0,
) -> Iterator[tuple[NDArray[np.uint8], str | None]]:
    """An endless camera stream: (frame (height, width, 3) uint8 BGR, label).

    One bench and one light; parts of all kinds slide in, turn and slide out, `fps` frames a second of their
    time. The generator does not wait: whoever shows it live paces it. The label is None while the bench is
    empty or less than half of a part is in sight. size: (height, width) in pixels. Raises as `render` does,
    at the call.
    """
    _check(kinds, light, size, seed)
    if not kinds:
        raise InputError("a stream needs at least one kind of part, got none")
    if not fps > 0:
        raise InputError(f"fps must be above 0, got {fps}")
    return conveyor.frames(kinds, light, size, fps, seed)


def _check(kinds: Sequence[str], light: str, size: tuple[int, int], seed: int) -> None:
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"unknown part {kind!r}: expected one of {', '.join(KINDS)}")
    if light not in LIGHTS:
        raise InputError(f"unknown light {light!r}: expected one of {', '.join(LIGHTS)}")
    if min(size) < _SMALLEST:
        raise InputError(f"size must be at least {_SMALLEST} pixels, got {min(size)}")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, got {seed}")
