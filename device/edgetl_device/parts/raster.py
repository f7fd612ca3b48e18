"""From a mesh to pixels: a camera, far faces drawn first, attributes that vary smoothly in a face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .mesh import Floats, Mesh, rotation

_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class View:
    """A camera above a bench (the plane z = 0), looking at the origin.

    tilt_deg: 0 looks straight down. scale: pixels per unit at the origin. distance: units from the origin.
    centre: (x, y) pixel where the origin appears.
    """

    tilt_deg: float
    scale: float
    distance: float
    centre: tuple[float, float]

    @property
    def towards(self) -> Floats:
        """Unit vector (3,) from the bench to the camera."""
        return np.asarray(rotation("x", -self.tilt_deg)[2])

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """(…, 3) points to pixels (…, 2) and nearness (…): larger is nearer to the camera."""
        turned = points @ rotation("x", -self.tilt_deg).T
        near = turned[..., 2]
        zoom = np.float32(self.scale) / (1 - near / np.float32(self.distance))
        pixels = np.empty((*points.shape[:-1], 2), np.float32)
        pixels[..., 0] = self.centre[0] + turned[..., 0] * zoom
        pixels[..., 1] = self.centre[1] - turned[..., 1] * zoom
        return pixels, near

    def ground(self) -> NDArray[np.float64]:
        """Homography (3, 3) from (x, y, 1) on the bench to pixels."""
        turn = rotation("x", -self.tilt_deg).astype(np.float64)
        weight = np.array([0.0, -turn[2, 1] / self.distance, 1.0])
        across = np.array([self.scale, 0.0, 0.0]) + self.centre[0] * weight
        down = np.array([0.0, -turn[1, 1] * self.scale, 0.0]) + self.centre[1] * weight
        return np.stack([across, down, weight])


@dataclass(frozen=True)
class Fragments:
    """The visible samples of a mesh in a box of the picture.

    box: (top, left, height, width) in pixels. pixel: (n,) flat index into the box; the first `whole` samples
    stand for a pixel each, the others, in order of pixels, for `share` (n - whole,) of one. row, column: (n,)
    place in the box, in samples. normal (n, 3), openness (n,), tone (n,).
    """

    box: tuple[int, int, int, int]
    pixel: NDArray[np.intp]
    whole: int
    share: Floats
    row: Floats
    column: Floats
    normal: Floats
    openness: Floats
    tone: Floats


def rasterise(mesh: Mesh, view: View, size: tuple[int, int], grid: int = 2) -> Fragments | None:
    """What the camera sees of a mesh in a picture of `size` (height, width); None where that is nothing.

    Pixels on the outline get grid² samples, those with an edge inside the part two, the others one.
    """
    pixels, near = view.project(mesh.corners)
    diagonal, other = pixels[:, 2] - pixels[:, 0], pixels[:, 3] - pixels[:, 1]
    # Pixel rows run downwards, so a face that looks at the camera has a negative area.
    front = np.flatnonzero(diagonal[:, 0] * other[:, 1] - diagonal[:, 1] * other[:, 0] < -1e-4)
    height_order = near[:, 0] + near[:, 1] + near[:, 2] + near[:, 3]
    order = front[np.argsort(height_order[front], kind="stable")]
    box = _box(pixels[order], size)
    if box is None:
        return None
    top, left, height, width = box
    corners = (pixels[order] - np.array([left, top], np.float32)) * np.float32(grid) - np.float32(0.5)
    label = np.zeros((height * grid, width * grid), np.int16)
    fixed = np.rint(corners * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    fill = cv2.fillConvexPoly
    for index, quad in enumerate(fixed, 1):
        fill(label, quad, index, 8, _SUBPIXEL_BITS)
    pixel, share, row, column, number = _samples(label, grid)
    planes = _planes(corners, mesh, order)
    middle, along_column, along_row, tone = (np.take(plane, number - 1, axis=0) for plane in planes)
    along_column *= column[:, None]
    along_row *= row[:, None]
    middle += along_column
    middle += along_row
    normal = middle[:, :3]
    normal = normal / (np.sqrt(np.einsum("ij,ij->i", normal, normal))[:, None] + np.float32(1e-6))
    return Fragments(box, pixel, len(pixel) - len(share), share, row, column, normal, middle[:, 3], tone)


def _samples(label: NDArray[np.int16], grid: int) -> tuple[NDArray[np.intp], Floats, Floats, Floats, NDArray[np.intp]]:
    """(pixel, share, row, column, face number) of each sample worth shading; see `Fragments`."""
    width = label.shape[1] // grid
    cells = [label[i::grid, j::grid] for i in range(grid) for j in range(grid)]
    low, high = cells[0], cells[0]
    for cell in cells[1:]:
        low, high = np.minimum(low, cell), np.maximum(high, cell)
    covered, even = high.ravel() > 0, (low == high).ravel()
    whole, mixed = np.flatnonzero(covered & even), np.flatnonzero(covered & ~even)
    inside = np.stack([cell.ravel()[mixed] for cell in cells], 1)
    within = low.ravel()[mixed] > 0
    inside[within, 1:-1] = 0
    which, part = np.nonzero(inside)
    share = np.where(within[which], np.float32(1 / 2), np.float32(1 / grid**2))
    parts = mixed[which]
    pixel = np.concatenate([whole, parts])
    shift = np.float32((grid - 1) / 2)
    row = (pixel // width).astype(np.float32) * np.float32(grid)
    column = (pixel % width).astype(np.float32) * np.float32(grid)
    row[: len(whole)] += shift
    column[: len(whole)] += shift
    row[len(whole) :] += part // grid
    column[len(whole) :] += part % grid
    number = np.concatenate([cells[0].ravel()[whole], inside[which, part]]).astype(np.intp)
    return pixel, share, row, column, number


def shadow(mesh: Mesh, view: View, sun: Floats, size: tuple[int, int], shrink: int) -> NDArray[np.uint8]:
    """Hard shadow on the bench, (height // shrink, width // shrink) uint8, 255 dark; sun: unit vector."""
    lit = np.einsum("ijk,k->i", mesh.normals, sun) > 0
    corners = mesh.corners[lit]
    fallen = corners - corners[..., 2:] * (sun / sun[2])
    pixels, _ = view.project(fallen)
    mask = np.zeros((size[0] // shrink, size[1] // shrink), np.uint8)
    fixed = np.rint((pixels / shrink - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    fill = cv2.fillConvexPoly
    for quad in fixed:
        fill(mask, quad, 255, 8, _SUBPIXEL_BITS)
    return mask


def _box(pixels: Floats, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    if not len(pixels):
        return None
    across, down = pixels[..., 0], pixels[..., 1]
    left, top = max(int(across.min()) - 1, 0), max(int(down.min()) - 1, 0)
    right, bottom = min(int(across.max()) + 2, size[1]), min(int(down.max()) + 2, size[0])
    if right <= left or bottom <= top:
        return None
    return top, left, bottom - top, right - left


def _planes(corners: Floats, mesh: Mesh, order: NDArray[np.intp]) -> tuple[Floats, Floats, Floats, Floats]:
    """Each face's normal and openness: value (n, 4) + column * (n, 4) + row * (n, 4); and its tone (n,)."""
    values = np.concatenate([mesh.normals[order], mesh.openness[order][..., None]], 2)
    centre, axis_s, axis_t = _axes(corners)
    mean, change_s, change_t = _axes(values)
    area = axis_s[:, 0] * axis_t[:, 1] - axis_s[:, 1] * axis_t[:, 0]
    area = np.where(np.abs(area) < 1e-3, np.float32(1e9), area)[:, None]
    along_column = (change_s * axis_t[:, 1:] - change_t * axis_s[:, 1:]) / area
    along_row = (change_t * axis_s[:, :1] - change_s * axis_t[:, :1]) / area
    # A face thinner than a sample must not shoot past the values at its corners.
    reach = np.abs(change_s) + np.abs(change_t)
    along_column = np.clip(along_column, -reach, reach)
    along_row = np.clip(along_row, -reach, reach)
    start = mean - along_column * centre[:, :1] - along_row * centre[:, 1:]
    return start, along_column, along_row, mesh.tone[order].astype(np.float32)


def _axes(corners: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean of four corners (n, 4, m), and the change from one side to the other, both ways: each (n, m)."""
    a, b, c, d = corners[:, 0], corners[:, 1], corners[:, 2], corners[:, 3]
    ab, cd = a + b, c + d
    return (ab + cd) / 4, (b + c - a - d) / 2, (cd - ab) / 2
