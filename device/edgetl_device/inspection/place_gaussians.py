"""One Gaussian per place of a feature map, from exact sums: how far is a place of a photo from the good ones?

The idea is PaDiM's (Defard et al., 2020, https://arxiv.org/abs/2011.08785). Each place has its own mean, and its own
covariance or, in a fine map, one with its neighbour. Twenty photos cannot give so many covariances, and a hundred not
well, so each is drawn towards the one that all places share, as if that had been seen in half as many photos and ten
more. Photos are left out by formula: the same as taking their codes out of the sums and solving again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..errors import InputError
from .place_codes import shares_covariance
from .place_statistics import PlaceStatistics

Float32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]

PSEUDO_PHOTOS, PSEUDO_SHARE = 10, 0.5  # and of each photo's: weight of the shared covariance at each place
_OWN_COVARIANCES = 64  # places of a map up to which each has its own covariance: as good with more, and faster
_FEW_ROWS = 4  # above, small inverses are slower than those of covariances
RIDGE = 0.01  # of the shared covariance's mean variance, on its diagonal: no direction is infinitely surprising


@dataclass(frozen=True, eq=False)
class PlaceGaussians:
    """The Gaussians of one map. Its P places lie in B neighbourhoods of equal size, each with one covariance.

    Args:
        count: photos they are of.
        places: (P,) places in the order of neighbourhoods, each a number row by row.
        mean: (P, c) float32, in that order.
        whitening: (B, c, c) float32, upper triangles U with Uᵀ C U = I, C the covariance of a neighbourhood.
        weight: rows that a neighbourhood's covariance is of, pseudo-photos included, less one for each place.
    """

    count: int
    places: Rows
    mean: Float32
    whitening: Float32
    weight: float

    def whitened(self, codes: Codes) -> Float32:
        """(n, P, c) uint8 → (B, P / B, n, c) float32 deviations of unit variance among good photos."""
        blocks, channels = self.whitening.shape[:2]
        deviation = np.subtract(codes.transpose(1, 0, 2)[self.places], self.mean[:, None], dtype=np.float32)
        flat = np.matmul(deviation.reshape(blocks, -1, channels), self.whitening)
        return np.asarray(flat.reshape(blocks, -1, len(codes), channels), np.float32)

    def distances(self, codes: Codes) -> Float32:
        """(n, P, c) uint8 → (n, P) float32 squared Mahalanobis distances, place by place."""
        white = self.whitened(codes)
        out = np.empty(codes.shape[:2], np.float32)
        out[:, self.places] = np.einsum("bknc,bknc->nbk", white, white).reshape(len(codes), -1)
        return out

    def left_out(self, codes: Codes, asked: Rows, without: Sequence[Rows]) -> Float32:
        """Distances of photos that are in the sums, each as if some rows, its own among them, had never been added.

        With the rows Z that are left out as deviations from the means, S + k Σ the weighted covariance (``weight`` C)
        and H = I + 11ᵀ / (n − r) at each place: the deviations without them are H Z, and the scatter loses Zᵀ H Z. Few
        rows are taken out by Woodbury's formula, H (G⁻¹ − H)⁻¹ H with G = Z (S + k Σ)⁻¹ Zᵀ. What all neighbourhoods
        share stays, and its weight.

        Args:
            codes: (n, P, c) uint8, all that were added, in any order.
            asked: (m,) rows whose distances are wanted.
            without: for each of them the rows that are left out; never all.

        Returns:
            (m, P) float32.
        """
        out = np.empty((len(asked), codes.shape[1]), np.float32)
        together: dict[tuple[int, ...], list[int]] = {}
        for number, rows in enumerate(without):
            together.setdefault(tuple(sorted(rows.tolist())), []).append(number)
        for group, numbers in together.items():
            positions = {row: position for position, row in enumerate(group)}
            wanted = [positions[int(asked[number])] for number in numbers]
            z = self.whitened(codes[list(group)])  # of these alone: of all it would fill the memory
            few = z.shape[1] * z.shape[2] <= _FEW_ROWS
            distances = (_few_without if few else _many_without)(z, self.count, self.weight, wanted)
            out[np.array(numbers)[:, None], self.places] = distances.reshape(len(numbers), -1)
        return out


def solve_gaussians(statistics: PlaceStatistics) -> tuple[PlaceGaussians, ...]:
    """Exact sums of place codes → the Gaussians of each map.

    Raises:
        InputError: fewer than two photos.
    """
    if statistics.count < 2:
        raise InputError(f"inspection needs at least 2 good photos, got {statistics.count}: teach more good parts")
    return tuple(_solved(statistics, grid) for grid in range(len(statistics.shapes)))


def _solved(statistics: PlaceStatistics, grid: int) -> PlaceGaussians:
    count, sums = statistics.count, statistics.sums[grid].astype(np.float64)
    height, width, _ = statistics.shapes[grid]
    places, channels = sums.shape
    mean = sums / count
    if shares_covariance(channels):
        triangle = statistics.products[grid].sum(axis=0, dtype=np.int64)
        scatters = _unfolded(triangle[None], channels) - mean.T @ sums
        order, pseudo = np.arange(places), 0.0
    else:
        hoods = _neighbourhoods(height, width)
        scatters = _unfolded(statistics.products[grid][hoods].sum(axis=1, dtype=np.int64), channels)
        scatters -= np.matmul(mean[hoods].transpose(0, 2, 1), sums[hoods])
        order, pseudo = hoods.ravel(), (PSEUDO_PHOTOS + PSEUDO_SHARE * count) * hoods.shape[1]
    shared = scatters.sum(axis=0) / ((count - 1) * places)
    weight = (count - 1) * places / len(scatters) + pseudo
    if len(scatters) == 1:
        scatters[0] = _ridged(shared) * weight
    else:
        scatters += pseudo * _ridged(shared)
    lower = np.linalg.inv(np.linalg.cholesky(scatters / weight))
    whitening = np.ascontiguousarray(lower.transpose(0, 2, 1), np.float32)
    return PlaceGaussians(count, order, mean[order].astype(np.float32), whitening, weight)


def _neighbourhoods(height: int, width: int) -> Rows:
    """Places of a grid, row by row, in tiles of equal size → (tiles, places of a tile).

    Two side by side, or one above the other where they are odd; of few, each is a tile.
    """
    many = height * width > _OWN_COVARIANCES
    across = 2 if many and width % 2 == 0 else 1
    down = 2 if many and across == 1 and height % 2 == 0 else 1
    grid = np.arange(height * width).reshape(height // down, down, width // across, across)
    return np.asarray(grid.transpose(0, 2, 1, 3).reshape(-1, down * across), np.intp)


def _few_without(z: Float32, photos: int, weight: float, wanted: Sequence[int]) -> Float32:
    """(B, k, r, c) whitened deviations → (w, B, k) distances of some of r rows without all of them, by Woodbury."""
    blocks, places, size, channels = z.shape
    rows = z.reshape(blocks, -1, channels)
    gram = np.matmul(rows, rows.transpose(0, 2, 1)).astype(np.float64) / weight
    spread = np.kron(np.eye(places), np.eye(size) + 1.0 / (photos - size))
    inner = np.linalg.solve(np.eye(places * size) - gram @ spread, gram)  # (I − G H)⁻¹ G
    chosen = spread.reshape(places, size, -1)[:, list(wanted)]  # (k, w, k r)
    distance = np.einsum("kwi,bij,kwj->wbk", chosen, inner, chosen)
    return np.asarray(np.maximum(distance, 0) * (weight - places * size), np.float32)


def _many_without(z: Float32, photos: int, weight: float, wanted: Sequence[int]) -> Float32:
    """The same by taking the rows out of each neighbourhood's covariance."""
    blocks, places, size, channels = z.shape
    moved = z + z.sum(axis=2, keepdims=True) / np.float32(photos - size)
    rows, kept = (each.reshape(blocks, -1, channels) for each in (z, moved))
    left = weight * (1 + 1e-6) * np.eye(channels) - np.matmul(kept.transpose(0, 2, 1), rows)
    asked = moved[:, :, list(wanted)].reshape(blocks, -1, channels).astype(np.float64)
    squares = (asked * np.linalg.solve(left, asked.transpose(0, 2, 1)).transpose(0, 2, 1)).sum(axis=2)
    squares *= max(weight - places * size, 1.0)
    return np.asarray(squares.reshape(blocks, places, -1).transpose(2, 0, 1), np.float32)


def _unfolded(triangles: npt.NDArray[Any], channels: int) -> npt.NDArray[np.float64]:
    """(m, c (c + 1) / 2) upper triangles, row by row → (m, c, c) symmetric."""
    rows, columns = np.triu_indices(channels)
    full = np.empty((len(triangles), channels, channels), np.float64)
    full[:, rows, columns] = triangles
    full[:, columns, rows] = triangles
    return full


def _ridged(covariance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    channels = len(covariance)
    floor = max(RIDGE * float(np.trace(covariance)) / channels, 1e-3)  # photos that are all the same have no variance
    return covariance + floor * np.eye(channels)
