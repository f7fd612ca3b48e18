"""A camera over a bench: parts slide in, turn, slide out again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .light import Finish, finishes
from .mesh import Floats, Mesh, moved, rotation
from .raster import View
from .scene import empty, scene, shoot, white_balance, with_part
from .shapes import build, resting

Rng = np.random.Generator


@dataclass(frozen=True)
class Visit:
    """One part's time on the bench.

    shape: at its resting pose. start, rest, end: (x, y) on the bench, part radii. enter_s, stay_s, leave_s:
    how long it slides in, turns and slides out. spin_deg_s: turning speed.
    """

    kind: str
    shape: Mesh
    finishes: tuple[Finish, Finish]
    grain_at: tuple[int, int]
    start: Floats
    rest: Floats
    end: Floats
    enter_s: float
    stay_s: float
    leave_s: float
    spin_deg_s: float

    @property
    def seconds(self) -> float:
        """From the first frame to the last."""
        return self.enter_s + self.stay_s + self.leave_s


def frames(
    kinds: Sequence[str], light: str, size: tuple[int, int], fps: float, seed: int
) -> Iterator[tuple[NDArray[np.uint8], str | None]]:
    """Endless (frame (h, w, 3) uint8 BGR, label); the label is None with less than half a part in sight."""
    rng, lamp = np.random.default_rng([seed, 2]), np.random.default_rng([seed, 3])
    view = View(
        tilt_deg=float(rng.uniform(12, 34)),
        scale=min(size) * 0.3,
        distance=7.0,
        centre=(size[1] / 2, size[0] * 0.52),
    )
    picture = scene(rng, lamp, light, view, size)
    bare = empty(picture)
    balance = white_balance(bare, picture.light, lamp)
    noise = picture.light.noise * float(lamp.uniform(0.6, 1.2))
    for kind in _rounds(kinds, rng):
        for _ in range(round(float(rng.uniform(0.7, 1.5)) * fps)):
            yield shoot(bare, balance, noise, lamp), None
        visit = _visit(kind, view, size, rng)
        for number in range(round(visit.seconds * fps)):
            part = _at(visit, number / fps)
            linear = with_part(picture, part, visit.finishes, visit.grain_at)
            label = kind if _share_in_sight(part, view, size) >= 0.5 else None
            yield shoot(linear, balance, noise, lamp), label


def _rounds(kinds: Sequence[str], rng: Rng) -> Iterator[str]:
    """Every kind once, in random order, for ever."""
    while True:
        for index in rng.permutation(len(kinds)):
            yield kinds[index]


def _visit(kind: str, view: View, size: tuple[int, int], rng: Rng) -> Visit:
    # Beyond this distance from the middle nothing of a part of radius 1 is in sight, even far away.
    reach = 0.62 * max(size) / view.scale * 1.25 + 1.3
    come, go = rng.uniform(0, 2 * np.pi, 2)
    # A part that leaned on something would turn its edge to the camera on the way.
    return Visit(
        kind=kind,
        shape=moved(build(kind, rng), resting(kind, rng, view.towards, propped=False)),
        finishes=finishes(rng),
        grain_at=(int(rng.integers(1024)), int(rng.integers(1024))),
        start=np.array([np.cos(come), np.sin(come)], np.float32) * np.float32(reach),
        rest=rng.uniform(-0.35, 0.35, 2).astype(np.float32),
        end=np.array([np.cos(go), np.sin(go)], np.float32) * np.float32(reach),
        enter_s=float(rng.uniform(1.6, 2.2)),
        stay_s=float(rng.uniform(3.0, 5.0)),
        leave_s=float(rng.uniform(1.4, 2.0)),
        spin_deg_s=float(rng.uniform(25, 70) * rng.choice([-1, 1])),
    )


def _at(visit: Visit, time_s: float) -> Mesh:
    """The part where it is at a time after its visit began."""
    leaving_s = time_s - visit.enter_s - visit.stay_s
    come, go = _eased(time_s / visit.enter_s), _eased(leaving_s / visit.leave_s)
    place = visit.start + (visit.rest - visit.start) * come + (visit.end - visit.rest) * go
    rock = rotation("x", 7 * float(np.sin(time_s * 1.3)))
    turned = moved(visit.shape, rock @ rotation("z", visit.spin_deg_s * time_s))
    return moved(turned, shift=(place[0], place[1], -turned.corners[..., 2].min()))


def _eased(share: float) -> float:
    """0 to 1 with a soft start and stop."""
    t = min(max(share, 0.0), 1.0)
    return t * t * (3 - 2 * t)


def _share_in_sight(part: Mesh, view: View, size: tuple[int, int]) -> float:
    pixels, _ = view.project(part.corners[:, 0])
    inside = (pixels >= 0).all(1) & (pixels[:, 0] < size[1]) & (pixels[:, 1] < size[0])
    return float(inside.mean())
