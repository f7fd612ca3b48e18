"""Parts of one kind under a fixed camera, good and damaged: what visual inspection is tried with.

Bench, lamp, camera, part and pose stay; what changes is what changes on a line: where exactly the part lies, its grain,
the sensor's noise. A chip is missing from the mesh, so light and shadow know of it; scratches and stains lie on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np

from .light import Finish, finishes
from .mesh import Floats, Mesh, kept, moved, rotation
from .raster import View, rasterise
from .scene import Bytes, Rng, Scene, scene, shoot, white_balance, with_part
from .shapes import build, resting

DEFECTS = ("chip", "scratch", "stain")


@dataclass(frozen=True)
class Line:
    """A place where parts of one kind pass: what all of its photos have in common."""

    picture: Scene
    part: Mesh
    surfaces: tuple[Finish, Finish]
    balance: tuple[float, float, float]


def open_line(kind: str, light: str, size: int, seed: int) -> Line:
    """A line for a kind of part; the same seed gives the same one."""
    rng, lamp = (np.random.default_rng([seed, crc32(kind.encode()), number]) for number in (2, 3))
    view = View(tilt_deg=8.0, scale=size * 0.4, distance=7.0, centre=(size * 0.5, size * 0.5))
    picture = scene(rng, lamp, light, view, (size, size))
    part = moved(build(kind, rng), resting(kind, rng, view.towards, propped=False))
    part = moved(part, shift=(0, 0, -part.corners[..., 2].min()))
    surfaces = finishes(rng)
    first = with_part(picture, part, surfaces, (0, 0))
    return Line(picture, part, surfaces, white_balance(first, picture.light, lamp))


def line_photo(line: Line, defect: str | None, entropy: tuple[int, ...]) -> tuple[Bytes, Bytes]:
    """One part that passes → its photo (size, size, 3) uint8 BGR, and (size, size) uint8: 255 where the defect is."""
    rng = np.random.default_rng([*entropy, crc32((defect or "").encode())])
    turn = rotation("z", float(rng.normal(0, 1.5)))
    shift = (*rng.normal(0, 0.012, 2), 0)
    grain_at = (int(rng.integers(1024)), int(rng.integers(1024)))
    part = moved(line.part, turn, shift)
    whole = with_part(line.picture, part, line.surfaces, grain_at)
    mask = np.zeros(line.picture.size, np.uint8)
    if defect == "chip":
        linear = with_part(line.picture, _chipped(part, rng), line.surfaces, grain_at)
        mask[np.abs(linear - whole).max(axis=2) > 0.02] = 255
    elif defect is not None:
        linear, mask = _marked(whole, _covered(line, part), defect, rng)
    else:
        linear = whole
    return shoot(linear, line.balance, line.picture.light.noise, rng), mask


def write_line(folder: Path, kind: str, per_class: int, light: str, size: int, seed: int) -> int:
    """Write good and damaged parts as ``train/good``, ``test/good``, ``test/DEFECT`` and ``masks/DEFECT``; → photos.

    As many good ones as ``per_class`` are to be taught, and a third of that of each kind is to be checked.
    """
    line, written = open_line(kind, light, size, seed), 0
    for place, defect, photo, mask in _line_photos(line, per_class, seed):
        target = folder / place / f"{kind}-{written:04d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
        if defect is not None:
            shown = folder / "masks" / defect / f"{target.stem}.png"
            shown.parent.mkdir(parents=True, exist_ok=True)
            shown.write_bytes(cv2.imencode(".png", mask)[1].tobytes())
        written += 1
    return written


def _line_photos(line: Line, per_class: int, seed: int) -> Iterator[tuple[str, str | None, Bytes, Bytes]]:
    few = max(1, per_class // 3)
    plan = [("train/good", None, per_class), ("test/good", None, few), *((f"test/{d}", d, few) for d in DEFECTS)]
    for number, (place, defect, count) in enumerate(plan):
        for each in range(count):
            yield place, defect, *line_photo(line, defect, (seed, number, each))


def _chipped(part: Mesh, rng: Rng) -> Mesh:
    """The part without the faces around a point of its rim."""
    corners = part.corners.reshape(-1, 3)
    middle = corners.mean(axis=0)
    reach = np.linalg.norm(corners[:, :2] - middle[:2], axis=1)
    rim = corners[int(rng.choice(np.flatnonzero(reach > 0.85 * reach.max())))]
    away = np.linalg.norm(part.corners.mean(axis=1)[:, :2] - rim[:2], axis=1)
    return kept(part, away > min(float(rng.uniform(0.22, 0.36)), float(np.quantile(away, 0.5))))


def _covered(line: Line, part: Mesh) -> Bytes:
    """Where the part is: (size, size) bool."""
    covered = np.zeros(line.picture.size, np.bool_)
    visible = rasterise(part, line.picture.view, line.picture.size)
    if visible is not None:
        top, left, height, width = visible.box
        inside = np.zeros(height * width, np.bool_)
        inside[visible.pixel[: visible.whole]] = True
        covered[top : top + height, left : left + width] = inside.reshape(height, width)
    return covered


def _marked(linear: Floats, on_part: Bytes, defect: str, rng: Rng) -> tuple[Floats, Bytes]:
    """A scratch or a stain on a part, and where it is."""
    rows, columns = np.nonzero(cv2.erode(on_part.astype(np.uint8), np.ones((9, 9), np.uint8)))
    if not len(rows):
        rows, columns = np.nonzero(on_part)
    at = int(rng.integers(len(rows)))
    x, y, unit = int(columns[at]), int(rows[at]), linear.shape[0] / 224
    strength: Floats = np.zeros(linear.shape[:2], np.float32)
    if defect == "scratch":
        angle, length = rng.uniform(0, np.pi), rng.uniform(18, 36) * unit
        across, down = round(np.cos(angle) * length / 2), round(np.sin(angle) * length / 2)
        cv2.line(strength, (x - across, y - down), (x + across, y + down), 1.0, max(1, round(1.6 * unit)), cv2.LINE_AA)
    else:
        axes = tuple(max(2, round(float(side) * unit)) for side in rng.uniform(5, 10, 2))
        cv2.ellipse(strength, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1, cv2.LINE_AA)
        strength = cv2.GaussianBlur(strength, (0, 0), unit)
    strength = np.asarray(strength * on_part, np.float32)
    colour = np.array((0.85, 0.85, 0.85) if defect == "scratch" else (0.03, 0.1, 0.3), np.float32)  # bare metal; rust
    share = (strength * np.float32(0.8))[:, :, None]
    marked = np.asarray(linear * (1 - share) + colour * share, np.float32)
    return marked, np.where(strength > 0.3, 255, 0).astype(np.uint8)
