"""Parts that move or carry others, drawn anew from a generator: no two gears are alike."""

from __future__ import annotations

import numpy as np

from .features import (
    bend,
    drilled_web,
    gusset,
    keyed_bore,
    leg,
    side,
    sphere,
    tube,
)
from .mesh import Mesh, angles, join, lathe, loft, moved, ring, rotation

Rng = np.random.Generator


def gear(rng: Rng) -> Mesh:
    """A spur or helical gear: 10–30 teeth, hub, keyed or plain bore, solid, recessed or spoked web."""
    teeth = int(rng.integers(10, 31))
    height = rng.uniform(0.2, 0.5)
    depth = min(0.26, 2.3 / teeth + 0.03)
    twist = rng.choice([0.0, 0.0, 0.0, 1.0]) * rng.uniform(-0.25, 0.25)
    bore = rng.uniform(0.13, 0.25)
    root = 1 - depth
    # One tooth as (share of its pitch, radius): a straight-sided stand-in for the involute.
    share = np.array([0.0, 0.3, 0.4, 0.5, 0.8, 0.9], np.float32)
    radii = np.array([root, root, root + 0.55 * depth, 1, 1, root + 0.55 * depth], np.float32)
    theta = ((np.arange(teeth, dtype=np.float32)[:, None] + share) * np.float32(2 * np.pi / teeth)).ravel()
    outline = np.tile(radii, teeth)
    bevel = 0.035
    rim = root - 0.1
    groove = np.where(outline > root + 0.01, 1.0, 0.6).astype(np.float32)
    rings = [
        ring(rim, 0, theta),
        ring(outline - bevel, 0, theta),
        ring(outline, bevel, theta),
        ring(outline, height - bevel, theta + twist),
        ring(outline - bevel, height, theta + twist),
        ring(rim, height, theta + twist),
    ]
    ones = np.ones_like(groove)
    pieces = [loft(rings, openness=[ones, groove * 0.7, groove * 0.7, groove, ones, ones], crease_deg=30)]
    web = rng.choice(["solid", "recess", "holes", "holes"])
    hub = bore + rng.uniform(0.12, 0.2)
    boss = height + (rng.uniform(0.05, 0.35) if rng.random() < 0.6 else 0.0)
    floor = height * (1.0 if web == "solid" else rng.uniform(0.45, 0.75))
    base = height - floor
    for sign, level, top, face in ((1, floor, boss, height), (-1, base, 0.0, 0.0)):
        steps = [(rim, face), (rim, level)]
        inner = [(hub, level), (hub, top)]
        sky = [1.0, 0.65]
        if web == "holes" and rim - hub > 0.22:
            pieces.append(side(steps, sign, sky))
            pieces.append(side(inner, sign, [0.65, 1]))
        else:
            pieces.append(side(steps + inner, sign, [*sky, 0.65, 1]))
    pieces.append(keyed_bore(hub, bore, boss, rng.random() < 0.5))
    if web == "holes" and rim - hub > 0.22:
        pieces.append(drilled_web(hub, rim, floor, base, 4 + teeth % 3))
    return join(pieces)


def spring(rng: Rng) -> Mesh:
    """A coil spring: straight, conical, barrel or waisted; closed ends; open or tight."""
    coils = rng.uniform(5, 10)
    wire = rng.uniform(0.11, 0.21)
    gap = wire * rng.uniform(2.9, 4.6)
    steps = int(coils * 15)
    t = np.linspace(0, 1, steps, dtype=np.float32)
    theta = t * np.float32(coils * 2 * np.pi)
    rate = np.clip(np.minimum(t, 1 - t) * coils - 0.6, 0, 1) * (gap - 2.05 * wire) + 2.05 * wire
    height = np.cumsum(rate) * np.float32(coils / steps)
    style = rng.choice(["straight", "straight", "cone", "barrel", "waist"])
    swell = {
        "straight": 0 * t,
        "cone": 0.5 * (t - 0.5),
        "barrel": 0.7 * t * (1 - t),
        "waist": 0.7 * t * (t - 1),
    }[style]
    radius = (1 + swell).astype(np.float32)
    path = np.stack([np.cos(theta) * radius, np.sin(theta) * radius, height], 1)
    return tube(path.astype(np.float32), wire, 8)


def bearing(rng: Rng) -> Mesh:
    """A ball bearing: open with balls and cage, or closed by a shield or seal."""
    bore = rng.uniform(0.36, 0.56)
    half = rng.uniform(0.13, 0.22)
    wall = (1 - bore) * rng.uniform(0.22, 0.3)
    inner, outer = bore + wall, 1 - wall
    bevel = 0.035
    ring_out = [(outer, -half), (1 - bevel, -half), (1, -half + bevel), (1, half - bevel), (1 - bevel, half)]
    ring_out += [(outer, half), (outer - 0.01, 0.0), (outer, -half)]
    ring_in = [
        (bore + bevel, -half),
        (inner, -half),
        (inner + 0.01, 0.0),
        (inner, half),
        (bore + bevel, half),
    ]
    ring_in += [(bore, half - bevel), (bore, -half + bevel), (bore + bevel, -half)]
    pieces = [
        lathe(ring_out, 36, openness=[1, 1, 0.8, 1, 1, 1, 0.25, 1]),
        lathe(ring_in, 30, openness=[1, 1, 0.25, 1, 1, 0.8, 0.4, 1]),
    ]
    if rng.random() < 0.22:
        depth = half * 0.82
        step = (outer - inner) * 0.16
        lid = [(outer, depth - 0.02), (outer - step, depth), (outer - 1.6 * step, depth - 0.03)]
        lid += [(inner + 1.6 * step, depth - 0.03), (inner + step, depth), (inner, depth - 0.02)]
        sky = [0.15, 0.9, 0.55, 0.55, 0.9, 0.15]
        pieces += [side(lid, 1, sky, 36, 1), side([(r, -z) for r, z in lid], -1, sky, 36, 1)]
        return join(pieces)
    middle, ball = (inner + outer) / 2, (outer - inner) / 2 * rng.uniform(0.92, 1.0)
    count = int(np.clip(2 * np.pi * middle / (2 * ball) * rng.uniform(0.62, 0.85), 6, 15))
    ball_mesh = sphere(ball, 5, 8)
    for step_angle in angles(count):
        where = (float(np.cos(step_angle)) * middle, float(np.sin(step_angle)) * middle, 0.0)
        pieces.append(moved(ball_mesh, shift=where))
    band = (outer - inner) * 0.3
    cage = [(middle + band, 0.06 * half), (middle - band, 0.06 * half)]
    pieces += [
        side(cage, 1, [0.5, 0.5], 32, 1),
        side([(r, -z) for r, z in cage], -1, [0.5, 0.5], 32, 1),
    ]
    return join(pieces)


def bracket(rng: Rng) -> Mesh:
    """A bent sheet bracket: an angle or a channel, drilled, sometimes with a gusset."""
    width = rng.uniform(0.55, 1.1)
    thick = rng.uniform(0.07, 0.13)
    radius = thick * rng.uniform(1.3, 2.2)
    hole = rng.uniform(0.2, 0.3) * width * 0.75
    base_cells = int(rng.integers(1, 3))
    legs = [(rng.uniform(0.85, 1.2) * (0.7 if base_cells == 2 else 1.0), base_cells)]
    legs.append((rng.uniform(0.8, 1.1) * (0.75 if base_cells == 2 else 1.0), int(rng.integers(1, 3))))
    style = rng.choice(["angle", "angle", "gusset", "channel"])
    roundness = rng.choice([2.6, 5.0, 14.0])
    foot = leg(*legs[0], width, thick, hole, roundness)
    wall = leg(*legs[1], width, thick, hole, roundness)
    corner = bend(width, thick, radius)
    # The foot runs along +x from the bend, the wall along +z; the bend's centre is (0, radius) in (x, z).
    upright = moved(wall, rotation("y", -90), (-radius, 0, radius))
    if style == "channel":
        span = legs[0][0] * legs[0][1]
        middle = leg(*legs[0], width, thick, hole, 0.0)
        mirror = rotation("z", 180)
        other = moved(join([corner, upright]), mirror, (span, 0, 0))
        return join([middle, corner, upright, other])
    pieces = [foot, corner, upright]
    if style == "gusset":
        reach = 0.55 * min(legs[0][0], legs[1][0])
        pieces.append(gusset(reach, thick, radius))
    return join(pieces)


def hinge(rng: Rng) -> Mesh:
    """A butt hinge: two drilled leaves, open flat or folded, and the knuckles between."""
    cells = int(rng.integers(2, 4))
    cell, wide = rng.uniform(0.55, 0.8), rng.uniform(0.5, 1.0)
    thick, barrel = rng.uniform(0.05, 0.08), rng.uniform(0.09, 0.14)
    hole = min(cell, wide) * rng.uniform(0.16, 0.24)
    long = cell * cells
    leaf = moved(leg(cell, cells, wide, thick, hole, rng.choice([5.0, 40.0]), joined=False), shift=(-long / 2, 0, 0))
    # The leaf's width runs away from the barrel, which lies along y.
    leaf = moved(leaf, rotation("z", 90), (wide / 2 + barrel * 0.7, 0, 0))
    fold = float(rng.choice([0.0, 0.0, rng.uniform(10, 70)]))
    pieces = [moved(leaf, rotation("y", -fold)), moved(leaf, rotation("y", fold) @ rotation("z", 180))]
    knuckles = int(rng.choice([3, 5]))
    each = long / knuckles
    half = each / 2 - 0.012
    outline = [(0, -half), (barrel * 0.85, -half), (barrel, -half + 0.02), (barrel, half - 0.02)]
    outline += [(barrel * 0.85, half), (0, half)]
    knuckle = lathe(outline, 16, openness=[0.5, 0.5, 1, 1, 0.5, 0.5])
    for k in range(knuckles):
        pieces.append(moved(knuckle, rotation("x", 90), (0, (k + 0.5) * each - long / 2, 0)))
    return join(pieces)
