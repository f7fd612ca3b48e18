"""Small parts anywhere on a table under a still camera: what looking at a part of the frame is tried with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np

from .light import finishes
from .mesh import moved, rotation
from .raster import View
from .scene import Bytes, Scene, empty, scene, shoot, white_balance, with_part
from .shapes import build, resting

EMPTY = "empty.jpg"
_SIZE_OF_PART = 0.25  # of the frame's height
_ASPECT = 4 / 3


class Table:
    """One table, lamp and camera; the same seed gives the same.

    Args:
        height: of a frame, pixels; it is 4 : 3.
    """

    def __init__(self, light: str, height: int, seed: int) -> None:
        rng, lamp = (np.random.default_rng([seed, number]) for number in (4, 5))
        size = height, round(height * _ASPECT)
        self._view = View(
            tilt_deg=12.0, scale=height * _SIZE_OF_PART / 2, distance=20.0, centre=(size[1] * 0.5, size[0] * 0.5)
        )
        self._picture: Scene = scene(rng, lamp, light, self._view, size)
        self._bare = empty(self._picture)
        self._balance = white_balance(self._bare, self._picture.light, lamp)
        self._light, self._seed = light, seed

    def empty(self) -> Bytes:
        """A frame with nothing on the table, (h, w, 3) uint8 BGR."""
        return shoot(self._bare, self._balance, self._picture.light.noise, np.random.default_rng([self._seed, 6]))

    def photo(self, kind: str, number: int) -> Bytes:
        """A frame with one part that lies somewhere, (h, w, 3) uint8 BGR."""
        rng = np.random.default_rng([self._seed, number, crc32(kind.encode())])
        part = moved(build(kind, rng), resting(kind, rng, self._view.towards, propped=False))
        part = moved(part, shift=(0, 0, -part.corners[..., 2].min()))
        reach = np.array([_ASPECT, 1.0]) / _SIZE_OF_PART - 1.4  # part radii, from the middle
        part = moved(part, rotation("z", float(rng.uniform(0, 360))), (*(reach * rng.uniform(-1, 1, 2)), 0))
        grain_at = (int(rng.integers(1024)), int(rng.integers(1024)))
        linear = with_part(self._picture, part, finishes(rng), grain_at)
        return shoot(linear, self._balance, self._picture.light.noise, rng)


def write_table(folder: Path, kinds: Sequence[str], per_class: int, light: str, height: int, seed: int) -> int:
    """Write ``KIND/KIND-0000.jpg`` … of each kind, and the empty table as :data:`EMPTY`; → photos of parts."""
    table = Table(light, height, seed)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / EMPTY, table.empty())
    for kind in kinds:
        (folder / kind).mkdir(exist_ok=True)
        for number in range(per_class):
            _write(folder / kind / f"{kind}-{number:04d}.jpg", table.photo(kind, number))
    return len(kinds) * per_class


def _write(path: Path, photo: Bytes) -> None:
    path.write_bytes(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
