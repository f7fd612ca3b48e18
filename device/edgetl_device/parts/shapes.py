"""Every kind's shape and the poses it takes on a bench."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import numpy as np

from .fasteners import bolt, hook, nut, screw, washer
from .machinery import bearing, bracket, gear, hinge, spring
from .mesh import Floats, Mesh, moved, rotation

Rng = np.random.Generator

BUILDERS: MappingProxyType[str, Callable[[Rng], Mesh]] = MappingProxyType(
    {f.__name__: f for f in (bearing, bolt, bracket, gear, hinge, hook, nut, screw, spring, washer)}
)

_LONG = frozenset({"bolt", "screw", "spring"})


def build(kind: str, rng: Rng) -> Mesh:
    """One part, centred, its axis z; bounding radius 1, so that size says nothing about kind."""
    mesh = BUILDERS[kind](rng)
    points = mesh.corners.reshape(-1, 3)
    x, y, z = (points[:, axis] for axis in range(3))
    centre = np.array([(a.min() + a.max()) / 2 for a in (x, y, z)], np.float32)
    reach = float(np.sqrt(((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2).max()))
    return moved(mesh, shift=-centre / reach, scale=1 / reach)


def resting(kind: str, rng: Rng, towards: Floats, *, propped: bool = True) -> Floats:
    """A rotation (3, 3) that lays a part down as it would lie on a bench, turned at random.

    towards: unit vector to the camera. propped: now and then it leans on something or stands up.
    Poses in which nobody could name the part are drawn again: a ring seen edge-on, a bolt seen from its end.
    """
    for _ in range(8):
        pose = _pose(kind, rng, propped)
        facing = abs(float(pose[:, 2] @ towards))
        if kind == "hook":
            facing = abs(float(pose[:, 1] @ towards))
        if kind == "bracket" or (facing < 0.9 if kind in _LONG else facing > 0.42):
            break
    return pose


def _pose(kind: str, rng: Rng, propped: bool) -> Floats:
    turn = rotation("z", rng.uniform(0, 360))
    lean = rotation("x", rng.normal(0, 5) if rng.random() < 0.8 or not propped else rng.uniform(-25, 25))
    roll = rotation("z", rng.uniform(0, 360))
    usual = rng.random() < 0.86 or not propped
    if kind in _LONG:
        tip = 90.0 if usual else rng.choice([0.0, 180.0]) + rng.uniform(-35, 35)
    elif kind == "hook":
        tip, roll = 90.0, rotation("z", rng.choice([0.0, 180.0]))
    elif kind == "bracket":
        tip, roll = rng.choice([0.0, 0.0, 90.0, -90.0]), rotation("z", rng.choice([0.0, 180.0]))
    elif usual:
        # A nut lies on its flange, as flanged and locking nuts do; from below it would pass for a washer.
        tip = 0.0 if kind == "nut" else rng.choice([0.0, 180.0])
    else:
        tip = rng.uniform(20, 55)
    return turn @ lean @ rotation("x", tip) @ roll
