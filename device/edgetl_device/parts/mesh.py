"""Solid geometry as quads: every part is a loft, a stack of rings joined by a skin.

Conventions: right-handed axes, z up. Rings run counter-clockwise seen from +z and a stack goes outside up,
top inwards, inside down, underside outwards; then every face looks away from the material.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import cos, radians
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# float32 throughout; the stubs of NumPy and OpenCV cannot follow it through arithmetic.
Floats = NDArray[Any]


@dataclass(frozen=True)
class Mesh:
    """Quads with a normal and an openness at each corner.

    corners: (n, 4, 3) float32, positions in part units.
    normals: (n, 4, 3) float32, unit length, looking outwards.
    openness: (n, 4) float32, 0–1: how much of the sky a point sees (grooves and bores are darker).
    tone: (n,) uint8, which of a part's two finishes the face has (0 body, 1 insert).
    """

    corners: Floats
    normals: Floats
    openness: Floats
    tone: NDArray[np.uint8]


def join(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of many."""
    return Mesh(
        np.concatenate([m.corners for m in meshes]),
        np.concatenate([m.normals for m in meshes]),
        np.concatenate([m.openness for m in meshes]),
        np.concatenate([m.tone for m in meshes]),
    )


def kept(mesh: Mesh, keep: NDArray[np.bool_]) -> Mesh:
    """The faces of a mesh where `keep` (n,) is true."""
    return Mesh(mesh.corners[keep], mesh.normals[keep], mesh.openness[keep], mesh.tone[keep])


def moved(mesh: Mesh, rotation: ArrayLike | None = None, shift: ArrayLike | None = None, scale: float = 1.0) -> Mesh:
    """The mesh scaled, then rotated by a (3, 3) matrix, then shifted by (x, y, z)."""
    corners, normals = mesh.corners * np.float32(scale), mesh.normals
    if rotation is not None:
        turn = np.asarray(rotation, np.float32).T
        corners, normals = corners @ turn, normals @ turn
    if shift is not None:
        corners = corners + np.asarray(shift, np.float32)
    return replace(mesh, corners=corners, normals=normals)


def rotation(axis: str, degrees: float) -> Floats:
    """Rotation matrix (3, 3) about 'x', 'y' or 'z', counter-clockwise."""
    angle = radians(degrees)
    c, s = np.cos(angle), np.sin(angle)
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3, dtype=np.float32)
    matrix[first, first] = matrix[second, second] = c
    matrix[first, second], matrix[second, first] = -s, s
    return matrix


def angles(count: int, *, closed: bool = True) -> Floats:
    """`count` angles round the circle in radians; the last repeats the first unless `closed`."""
    return np.linspace(0, 2 * np.pi, count, endpoint=not closed, dtype=np.float32)


def ring(radius: ArrayLike, height: ArrayLike, theta: Floats) -> Floats:
    """(n, 3) points at `radius` and `height` (each a number or one per angle)."""
    points = np.empty((len(theta), 3), np.float32)
    points[:, 0] = np.cos(theta) * radius
    points[:, 1] = np.sin(theta) * radius
    points[:, 2] = height
    return points


def lathe(
    profile: Sequence[tuple[float, float]],
    count: int = 32,
    *,
    crease_deg: float = 40.0,
    openness: ArrayLike = 1.0,
    tone: int = 0,
) -> Mesh:
    """The solid of revolution of a (radius, height) profile; the options are `loft`'s."""
    outline = np.asarray(profile, np.float32)
    theta = angles(count)
    rings = np.empty((len(outline), count, 3), np.float32)
    rings[..., 0] = outline[:, :1] * np.cos(theta)
    rings[..., 1] = outline[:, :1] * np.sin(theta)
    rings[..., 2] = outline[:, 1:]
    return loft(rings, crease_deg=crease_deg, openness=openness, tone=tone)


def loft(
    rings: ArrayLike | Sequence[Floats],
    *,
    wrap: bool = True,
    crease_deg: float = 40.0,
    openness: ArrayLike = 1.0,
    tone: int = 0,
) -> Mesh:
    """Skin over a stack of rings (k, n, 3); faces meeting at less than `crease_deg` are shaded as one curve.

    wrap: each ring's last point joins its first. openness: a number, (k,) or (k, n).
    """
    points = np.asarray(rings, np.float32)
    sky = np.asarray(openness, np.float32)
    sky = np.broadcast_to(sky[:, None] if sky.ndim == 1 else sky, points.shape[:2])
    if wrap:
        points = np.concatenate([points, points[:, :1]], 1)
        sky = np.concatenate([sky, sky[:, :1]], 1)
    corners = np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]], 2)
    face = cross(corners[:, :, 2] - corners[:, :, 0], corners[:, :, 3] - corners[:, :, 1])
    face /= np.sqrt(np.einsum("ijk,ijk->ij", face, face))[..., None] + 1e-12
    openness_at = np.stack([sky[:-1, :-1], sky[:-1, 1:], sky[1:, 1:], sky[1:, :-1]], 2)
    count = face.shape[0] * face.shape[1]
    return Mesh(
        corners.reshape(count, 4, 3),
        _corner_normals(face, wrap, cos(radians(crease_deg))).reshape(count, 4, 3),
        openness_at.reshape(count, 4),
        np.full(count, tone, np.uint8),
    )


def cross(a: Floats, b: Floats) -> Floats:
    """Cross product along the last axis (NumPy's own is several times slower on small arrays)."""
    out = np.empty_like(a)
    out[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    out[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    out[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return out


def _corner_normals(face: Floats, wrap: bool, crease: float) -> Floats:
    """(k, n, 4, 3): at each corner the mean of the neighbours that lie within the crease angle."""
    k, n = face.shape[:2]
    padded = np.zeros((k + 2, n + 2, 3), np.float32)
    padded[1:-1, 1:-1] = face
    if wrap:
        padded[1:-1, 0], padded[1:-1, -1] = face[:, -1], face[:, 0]
    near: dict[tuple[int, int], Floats] = {}
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            if di or dj:
                other = padded[1 + di : 1 + di + k, 1 + dj : 1 + dj + n]
                alike = np.einsum("ijk,ijk->ij", face, other) > crease
                near[di, dj] = other * alike[..., None]
    out = np.empty((k, n, 4, 3), np.float32)
    for corner, (di, dj) in enumerate(((-1, -1), (-1, 1), (1, 1), (1, -1))):
        out[:, :, corner] = face + near[di, 0] + near[0, dj] + near[di, dj]
    out /= np.sqrt(np.einsum("ijkl,ijkl->ijk", out, out))[..., None] + 1e-12
    return out
