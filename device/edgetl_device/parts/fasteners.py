"""Parts that hold others together, drawn anew from a generator: no two bolts are alike."""

from __future__ import annotations

import numpy as np

from .features import (
    castle,
    driven_head,
    polygon,
    polygon_head,
    socket_head,
    split_washer,
    thread,
    tube,
)
from .mesh import Floats, Mesh, angles, join, lathe, loft, ring

Rng = np.random.Generator


def bolt(rng: Rng) -> Mesh:
    """A machine bolt: hexagon, flanged, socket or square head, plain shank, even thread, flat tip."""
    r = 1.0
    length = rng.uniform(4.0, 9.0)
    pitch = rng.uniform(0.28, 0.5)
    threaded = length * (1.0 if rng.random() < 0.4 else rng.uniform(0.4, 0.8))
    style = rng.choice(["hex", "hex", "hex", "flange", "socket", "square"])
    head = rng.uniform(1.1, 1.5)
    pieces = []
    if style == "socket":
        wide = rng.uniform(1.5, 1.75)
        pieces.append(socket_head(wide, head * 1.35))
    else:
        sides = 4 if style == "square" else 6
        apothem = rng.uniform(1.6, 1.85)
        pieces.append(polygon_head(sides, apothem, head))
        if style == "flange":
            wide = apothem * 1.4
            pieces.append(lathe([(r, 0), (wide, 0), (wide, 0.15), (apothem, 0.5)], 28, openness=[0.7, 1, 1, 0.4]))
    plain = length - threaded
    if plain > 0.1:
        pieces.append(lathe([(r * 0.99, -plain), (r, -plain + 0.1), (r, 0)], 20, openness=[0.8, 1, 0.6]))
    pieces.append(thread(-length, -plain, pitch, lambda z: np.full_like(z, r), 0.16, tip=0.25))
    pieces.append(lathe([(0, -length), (r * 0.78, -length)], 16))
    return join(pieces)


def screw(rng: Rng) -> Mesh:
    """A wood screw: countersunk, pan or round head with a cross or slot, coarse thread, long point."""
    length = rng.uniform(6.0, 10.5)
    pitch = rng.uniform(0.65, 1.0)
    plain = length * (0.0 if rng.random() < 0.5 else rng.uniform(0.2, 0.4))
    wide = rng.uniform(1.75, 2.1)
    point = rng.uniform(1.8, 3.0)
    style = rng.choice(["countersunk", "pan", "round"])
    drive = rng.choice(["cross", "cross", "slot"])
    core = 0.62
    pieces = [driven_head(style, drive, wide, core)]
    if plain > 0:
        pieces.append(lathe([(core * 1.1, -plain), (core * 1.1, 0.0)], 16, openness=[1, 0.6]))

    def taper(z: Floats) -> Floats:
        return np.asarray(np.clip((z + length) / point, 0.02, 1.0) ** 0.75)

    pieces.append(thread(-length, -plain, pitch, taper, 1 - core, wood=True))
    return join(pieces)


def nut(rng: Rng) -> Mesh:
    """A nut: hexagon, flanged, square, locking (with an insert) or castle, with a threaded bore."""
    style = rng.choice(["hex", "hex", "hex", "flange", "square", "lock", "castle"])
    sides = 4 if style == "square" else 6
    apothem = 1.0
    height = rng.uniform(0.65, 1.15) + (0.2 if style == "flange" else 0.0)
    bore = rng.uniform(0.5, 0.64)
    theta = angles(48)
    outline = polygon(sides, apothem, theta)
    edge = apothem * 1.0
    drop = 0.5 * np.maximum(outline - edge, 0)
    lip = bore * 1.13
    rings = [
        ring(lip, 0, theta),
        ring(np.minimum(outline, edge), 0, theta),
        ring(outline, drop, theta),
        ring(outline, height - drop, theta),
        ring(np.minimum(outline, edge), height, theta),
        ring(lip, height, theta),
    ]
    pieces = [loft(rings, crease_deg=20, openness=[1, 1, 0.75 if style != "flange" else 0.1, 1, 1, 1])]
    turns = int(rng.integers(4, 7))
    levels = np.linspace(height - 0.06, 0.06, 2 * turns + 1)
    wall = [(lip, height)] + [(bore + 0.05 * (i % 2), float(z)) for i, z in enumerate(levels)] + [(lip, 0.0)]
    sky = [0.9] + [0.25 + 0.45 * z / height + (0.0 if i % 2 else 0.12) for i, z in enumerate(levels)] + [0.3]
    pieces.append(lathe(wall, 28, openness=sky, crease_deg=20))
    if style == "flange":
        wide = rng.uniform(1.32, 1.5)
        skirt = [(lip, 0), (wide, 0), (wide, 0.1), (1.12, 0.2), (apothem * 0.98, 0.3)]
        pieces.append(lathe(skirt, 40, openness=[0.8, 1, 1, 0.75, 0.3]))
    if style == "lock":
        dome = [(0.86, height), (0.86, height + 0.15), (0.78, height + 0.23), (bore + 0.1, height + 0.23)]
        pieces.append(lathe(dome, 32))
        pieces.append(
            lathe(
                [(bore + 0.1, height + 0.22), (bore * 0.94, height + 0.19), (bore * 0.94, height - 0.1)],
                28,
                tone=1,
            )
        )
    if style == "castle":
        pieces.append(castle(height, rng.uniform(0.25, 0.4), bore * 1.13))
    return join(pieces)


def washer(rng: Rng) -> Mesh:
    """A washer: flat with a small or large hole, dished, or split (a spring washer)."""
    style = rng.choice(["flat", "flat", "flat", "dished", "split"])
    hole = rng.uniform(0.32, 0.66)
    thick = rng.uniform(0.08, 0.17)
    if style == "split":
        return split_washer(rng.uniform(0.58, 0.7), rng.uniform(0.16, 0.24))
    rise = rng.uniform(0.12, 0.25) if style == "dished" else 0.0
    bevel = thick * rng.uniform(0.1, 0.35)
    profile = [
        (hole, rise),
        (1.0, 0.0),
        (1.0, thick - bevel),
        (1.0 - bevel, thick),
        (hole + bevel, rise + thick),
        (hole, rise + thick - bevel),
        (hole, rise),
    ]
    return lathe(profile, 48, openness=[0.5, 0.8, 1, 1, 1, 0.9, 0.5])


def hook(rng: Rng) -> Mesh:
    """A screw hook: threaded shank with a point, open wire hook, sometimes a collar."""
    wire = rng.uniform(0.26, 0.36)
    bow = rng.uniform(1.0, 1.45)
    neck = rng.uniform(0.3, 1.2)
    length = rng.uniform(1.8, 3.0)
    turn = np.radians(np.linspace(180, 180 - rng.uniform(205, 255), 30, dtype=np.float32))
    steps = np.linspace(0, neck, 4, endpoint=False, dtype=np.float32)
    path = np.zeros((34, 3), np.float32)
    path[:4, 2] = steps
    path[4:, 0] = bow + bow * np.cos(turn)
    path[4:, 2] = neck + bow * np.sin(turn)
    pieces = [tube(path, wire, 12, coiled=False)]

    def taper(z: Floats) -> Floats:
        return np.asarray(np.clip((z + length) / 0.9, 0.02, 1.0) ** 0.75 * np.float32(wire * 1.1))

    pieces.append(thread(-length, 0.0, rng.uniform(0.26, 0.4), taper, 0.34, wood=True))
    if rng.random() < 0.5:
        wide = wire * rng.uniform(1.8, 2.4)
        collar = [(wire, -0.02), (wide, 0.0), (wide, 0.1), (wire, 0.28)]
        pieces.append(lathe(collar, 24, openness=[0.6, 0.9, 1, 0.5]))
    return join(pieces)
