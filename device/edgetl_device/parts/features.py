"""What parts are made of: heads, threads, perforated plates, swept sections. Lengths in part units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import atan2, degrees, pi

import numpy as np

from .mesh import (
    Floats,
    Mesh,
    angles,
    cross,
    join,
    kept,
    lathe,
    loft,
    moved,
    ring,
    rotation,
)


def polygon(sides: int, apothem: float, theta: Floats) -> Floats:
    """Radius of a regular polygon at each angle."""
    share = np.float32(2 * pi / sides)
    return np.asarray(apothem / np.cos((theta + share / 2) % share - share / 2), np.float32)


def polygon_head(sides: int, apothem: float, height: float) -> Mesh:
    """A bolt head standing on z = 0, its upper corners turned off at 30 degrees as on real ones."""
    theta = angles(48)
    outline = polygon(sides, apothem, theta)
    round_edge = np.minimum(outline, apothem * 0.97)
    drop = np.float32(0.577) * (outline - round_edge)
    rings = [
        ring(0.9, 0, theta),
        ring(outline, 0, theta),
        ring(outline, height - drop, theta),
        ring(round_edge, height, theta),
        ring(apothem * 0.5, height, theta),
        ring(0.0, height, theta),
    ]
    return loft(rings, crease_deg=20, openness=[0.6, 0.8, 1, 1, 1, 1])


def socket_head(wide: float, height: float) -> Mesh:
    """A cylinder head with a hexagon socket, standing on z = 0."""
    theta = angles(48)
    socket = polygon(6, wide * 0.5, theta)
    floor = height * 0.45
    rings = [
        ring(0.9, 0, theta),
        ring(wide, 0, theta),
        ring(wide, height - 0.15, theta),
        ring(wide - 0.15, height, theta),
        ring(socket * 1.06, height, theta),
        ring(socket, height - 0.08, theta),
        ring(socket, floor, theta),
        ring(0.0, floor, theta),
    ]
    return loft(rings, crease_deg=35, openness=[0.6, 0.8, 1, 1, 1, 0.9, 0.22, 0.25])


def driven_head(style: str, drive: str, wide: float, core: float) -> Mesh:
    """A screw head on z = 0: 'countersunk', 'pan' or 'round', with a 'cross' or 'slot' recess."""
    half = wide * (0.13 if drive == "cross" else 0.11)
    reach = wide * (0.62 if drive == "cross" else 0.94)
    bend = degrees(atan2(half, reach))
    if drive == "cross":
        arm = [-45, -35, -24, -bend, 0, bend, 24, 35]
        theta = np.radians(np.array([90 * k + a for k in range(4) for a in arm], np.float32))
        off = np.abs((theta + pi / 4) % (pi / 2) - pi / 4)
    else:
        arm = [-90, -75, -60, -45, -30, -17, -bend, 0, bend, 17, 30, 45, 60, 75]
        theta = np.radians(np.array([180 * k + a for k in range(2) for a in arm], np.float32))
        off = np.abs((theta + pi / 2) % pi - pi / 2)
    recess = np.minimum(reach / np.maximum(np.cos(off), 1e-3), half / np.maximum(np.sin(off), 1e-3))
    recess = recess.astype(np.float32)
    base, rise = {"countersunk": (0.95, 0.12), "pan": (0.4, 0.4), "round": (0.15, 1.1)}[style]
    rise *= wide / 1.9
    stem = [ring(core, 0, theta), ring(wide, base * 0.9 if style == "countersunk" else 0.0, theta)]
    sky = [0.6, 0.9]

    def dome(radius: Floats) -> Floats:
        return np.asarray(base + rise * np.sqrt(np.maximum(1 - (radius / wide) ** 2, 0)), np.float32)

    tops = []
    for share in (0.0, 0.08, 0.25, 0.6, 1.0):
        radius = wide + (recess - wide) * np.float32(share)
        tops.append(ring(radius, dome(radius), theta))
        sky.append(1.0)
    floor = dome(recess).min() - 0.45
    pit = [ring(recess * 0.93, floor + 0.1, theta), ring(0.0, floor, theta)]
    return loft(stem + tops + pit, crease_deg=30, openness=[*sky, 0.16, 0.12])


def thread(
    start: float,
    stop: float,
    pitch: float,
    envelope: Callable[[Floats], Floats],
    depth: float,
    *,
    tip: float = 0.0,
    wood: bool = False,
    count: int = 14,
) -> Mesh:
    """A helical thread from z = start up to stop; the last `tip` of it is chamfered.

    The grid is skewed along the helix, so that few samples a pitch suffice.
    """
    profile = np.array([0, 0, 1, 0] if wood else [0, 1, 1], np.float32)
    theta = angles(count + 1, closed=False)
    turns = int((stop - start) / pitch) + 2
    step = np.float32(pitch / len(profile))
    level = start - pitch + np.arange(turns * len(profile), dtype=np.float32) * step
    crest = np.tile(profile, turns)
    z = np.clip(level[:, None] + theta * np.float32(pitch / (2 * pi)), start, stop)
    radius = envelope(z) * (1 - np.float32(depth) * (1 - crest[:, None]))
    if tip:
        radius = np.minimum(radius, 0.75 + (z - start) * np.float32(0.25 / tip))
    rings = np.stack([np.cos(theta) * radius, np.sin(theta) * radius, z], 2)
    # The seam goes underneath (-y) in the lying pose.
    return loft(rings, wrap=False, crease_deg=25, openness=0.4 + 0.6 * crest)


def side(
    profile: Sequence[tuple[float, float]],
    sign: int,
    openness: Sequence[float],
    count: int = 36,
    tone: int = 0,
) -> Mesh:
    """Part of a lathe's upper side (sign 1) or of its underside (sign -1), always listed inwards."""
    step = slice(None, None, sign)
    return lathe(list(profile)[step], count, openness=list(openness)[step], tone=tone)


def _box_loop(half_x: float, half_y: float, per_side: int) -> Floats:
    """(4 * per_side, 2) points counter-clockwise round a rectangle, corners included."""
    t = np.linspace(-1, 1, per_side, endpoint=False, dtype=np.float32)
    one = np.ones_like(t)
    x = np.concatenate([one, -t, -one, t]) * np.float32(half_x)
    y = np.concatenate([t, one, -t, -one]) * np.float32(half_y)
    return np.stack([x, y], 1)


def _flat(loop: Floats, height: float) -> Floats:
    return np.concatenate([loop, np.full((len(loop), 1), height, np.float32)], 1)


def _hole_loop(boundary: Floats, centre: tuple[float, float], radius: float) -> Floats:
    """A circle whose points face those of the boundary."""
    phi = np.arctan2(boundary[:, 1] - centre[1], boundary[:, 0] - centre[0])
    circle = np.stack([np.cos(phi), np.sin(phi)], 1) * radius
    return np.asarray(circle + np.asarray(centre), np.float32)


def drilled_web(hub: float, rim: float, top: float, bottom: float, holes: int) -> Mesh:
    """A gear's web between two radii, with a circle of through holes."""
    half = pi / holes
    middle = (hub + rim) / 2
    radius = min(0.4 * (rim - hub), middle * np.sin(half) * 0.7)
    box = _box_loop(half, (rim - hub) / 2, 7)
    # x of the box is the angle (clockwise, to keep the loop counter-clockwise), y the radius.
    rho, phi = middle + box[:, 1], -box[:, 0]
    boundary = np.stack([rho * np.cos(phi), rho * np.sin(phi)], 1).astype(np.float32)
    hole = _hole_loop(boundary, (middle, 0.0), radius)
    through = [_flat(boundary, top), _flat(hole, top), _flat(hole, bottom)]
    under = [_flat(hole, bottom), _flat(boundary, bottom)]
    sector = join([loft(through, openness=[0.75, 0.8, 0.25], crease_deg=30), loft(under, openness=0.75)])
    return join([moved(sector, rotation("z", 360 * k / holes)) for k in range(holes)])


def keyed_bore(hub: float, bore: float, top: float, keyed: bool) -> Mesh:
    """A boss's upper face, its bore (with a keyway if `keyed`) and its lower face."""
    theta = np.sort(np.concatenate([angles(32), np.array([0.281, 0.282, 6.001, 6.002], np.float32)]))
    radius = np.full_like(theta, bore)
    if keyed:
        slot = (theta < 0.2815) | (theta > 6.0015)
        radius[slot] = min(bore * 1.35, (bore + hub) / 2)
    rings = [ring(hub, top, theta), ring(radius, top, theta), ring(radius, 0, theta), ring(hub, 0, theta)]
    return loft(rings, openness=[1, 0.9, 0.15, 1], crease_deg=30)


def sphere(radius: float, rows: int, columns: int) -> Mesh:
    """A ball round the origin."""
    tilt = np.linspace(-pi / 2, pi / 2, rows)
    profile = [(float(np.cos(a)) * radius, float(np.sin(a)) * radius) for a in tilt]
    sky = np.clip(0.55 + 0.45 * np.abs(np.sin(tilt)) * 1.3, 0, 1)
    return lathe(profile, columns, crease_deg=80, openness=sky)


def tube(path: Floats, radius: float, count: int, *, coiled: bool = True) -> Mesh:
    """A round wire along a (k, 3) path that winds about z or, if not `coiled`, lies in the plane y = 0."""
    tangent = np.gradient(path, axis=0).astype(np.float32)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    axis = np.array([0, 0, 1] if coiled else [0, 1, 0], np.float32)
    up = axis - tangent * (tangent @ axis)[:, None]
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    out = cross(tangent, up)
    phi = angles(count)
    around = up[:, None] * np.cos(phi)[:, None] + out[:, None] * np.sin(phi)[:, None]
    rings = path[:, None] + np.float32(radius) * around
    first = np.repeat(rings[:1].mean(1, keepdims=True), count, 1)
    last = np.repeat(rings[-1:].mean(1, keepdims=True), count, 1)
    sky = np.ones(rings.shape[:2], np.float32)
    if coiled:
        # Light reaches the outside of a coil, hardly its inside.
        radial = path[:, :2] / (np.linalg.norm(path[:, :2], axis=1, keepdims=True) + 1e-6)
        sky = 0.62 + 0.38 * np.clip((around[..., :2] * radial[:, None]).sum(2) * 1.5, -1, 1)
    skin = np.concatenate([first, rings, last])
    return loft(skin, crease_deg=75, openness=np.concatenate([sky[:1], sky, sky[-1:]]))


def _swept(section: Sequence[tuple[float, float]], theta: Floats, lift: Floats) -> Mesh:
    """A (radius, height) section turned part of a circle, its ends closed; `lift` raises it on the way.

    The section is listed top to outside to bottom to inside.
    """
    shape = np.asarray(section, np.float32)
    rings = np.empty((len(theta), len(shape), 3), np.float32)
    rings[..., 0] = np.cos(theta)[:, None] * shape[:, 0]
    rings[..., 1] = np.sin(theta)[:, None] * shape[:, 0]
    rings[..., 2] = shape[:, 1] + lift[:, None]
    ends = [np.repeat(rings[i].mean(0, keepdims=True), len(shape), 0)[None] for i in (0, -1)]
    return loft(np.concatenate([ends[0], rings, ends[1]]), crease_deg=30)


def split_washer(hole: float, thick: float) -> Mesh:
    """A spring washer: one square-section turn with a gap and a step."""
    theta = np.linspace(0.1, 2 * pi - 0.1, 44, dtype=np.float32)
    lift = (theta / np.float32(2 * pi) * np.float32(0.9 * thick)).astype(np.float32)
    return _swept([(hole, thick), (1.0, thick), (1.0, 0.0), (hole, 0.0)], theta, lift)


def castle(base: float, rise: float, hole: float) -> Mesh:
    """The six towers of a castle nut on z = base."""
    towers = []
    for k in range(6):
        theta = np.linspace(-0.36, 0.36, 6, dtype=np.float32) + np.float32(k * pi / 3)
        section = [(hole, base + rise), (0.9, base + rise), (0.9, base), (hole, base)]
        towers.append(_swept(section, theta, np.zeros_like(theta)))
    return join(towers)


def leg(
    length: float,
    cells: int,
    width: float,
    thick: float,
    hole: float,
    roundness: float,
    *,
    joined: bool = True,
) -> Mesh:
    """A drilled plate from x = 0 to cells * length, one hole a cell; its far end is rounded.

    roundness: exponent of the superellipse at the free end (2 round, large square); 0: another plate follows.
    joined: something follows at x = 0 too; otherwise that end is rounded likewise.
    """
    pieces = []
    for k in range(cells):
        box = _box_loop(length / 2, width / 2, 8)
        boundary = box.copy()
        free = np.zeros(len(box), bool)
        if roundness:
            free |= (box[:, 0] > 0) & (k == cells - 1)
            free |= (box[:, 0] < 0) & (k == 0) & (not joined)
        if free.any():
            u, v = np.abs(box[:, 0]) * 2 / length, np.abs(box[:, 1]) * 2 / width
            pull = (u**roundness + v**roundness) ** np.float32(-1 / roundness)
            boundary[free] *= pull[free, None]
        drill = _hole_loop(boundary, (0.0, 0.0), hole)
        half = thick / 2
        rings = [(boundary, -half), (boundary, half), (drill, half), (drill, -half)]
        under = [_flat(drill, -half), _flat(boundary, -half)]
        cell = loft([_flat(loop, z) for loop, z in rings], openness=[0.8, 1, 1, 0.3], crease_deg=30)
        # Only free edges have a wall: x = -length/2 joins the bend or the cell before.
        following = np.roll(box, -1, 0)
        inside = (box[:, 0] < -0.499 * length) & (following[:, 0] < -0.499 * length)
        inside &= joined or k > 0
        if k < cells - 1 or not roundness:
            inside |= (box[:, 0] > 0.499 * length) & (following[:, 0] > 0.499 * length)
        keep = np.ones(len(cell.tone), bool)
        keep[: len(box)] = ~inside
        cell = kept(cell, keep)
        shift = ((k + 0.5) * length, 0, 0)
        pieces.append(moved(join([cell, loft(under, openness=0.9)]), shift=shift))
    return join(pieces)


def bend(width: float, thick: float, radius: float) -> Mesh:
    """A quarter of a bend from (0, 0) to (-radius, radius) in (x, z)."""
    turn = np.radians(np.linspace(-90, -180, 7)).astype(np.float32)
    depth = np.array([1, 1, -1, -1], np.float32) * np.float32(thick / 2)
    across = np.array([-1, 1, 1, -1], np.float32) * np.float32(width / 2)
    rings = np.empty((7, 4, 3), np.float32)
    rings[..., 0] = (radius - depth) * np.cos(turn)[:, None]
    rings[..., 1] = across
    rings[..., 2] = radius + (radius - depth) * np.sin(turn)[:, None]
    return loft(rings, crease_deg=30, openness=0.9)


def gusset(reach: float, thick: float, radius: float) -> Mesh:
    """A triangular rib in the corner of a bracket, in the plane y = 0."""
    low, near = thick / 2, -radius + thick / 2
    loop = np.array([[near, radius + reach], [reach, low], [near, low]], np.float32)
    fine = np.concatenate([np.linspace(loop[i], loop[(i + 1) % 3], 5, endpoint=False) for i in range(3)])
    middle = np.repeat(fine.mean(0, keepdims=True), len(fine), 0)
    rings = []
    for y, points in ((-1, middle), (-1, fine), (1, fine), (1, middle)):
        flat = np.empty((len(fine), 3), np.float32)
        flat[:, 0], flat[:, 1], flat[:, 2] = points[:, 0], y * thick / 2, points[:, 1]
        rings.append(flat)
    return loft(rings, crease_deg=30)
