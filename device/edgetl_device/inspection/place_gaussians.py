"""One Gaussian per place of a feature map, from exact sums: how far is a place of a photo from the good ones?

The idea is PaDiM's (Defard et al., 2020, https://arxiv.org/abs/2011.08785). Twenty photos cannot give a covariance for
every place, so each is drawn towards the one that all places share, as if that had been seen in twenty more photos.
Photos are left out by formula: the same as taking their codes out of the sums and solving again.
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

PSEUDO_PHOTOS = 20  # weight of the shared covariance at each place
_FEW_ROWS = 4  # above, small inverses are slower than those of covariances
RIDGE = 0.01  # of the shared covariance's mean variance, on its diagonal: no direction is infinitely surprising


@dataclass(frozen=True, eq=False)
class PlaceGaussians:
    """The Gaussians of one map.

    Args:
        count: photos they are of.
        mean: (P, c) float32.
        whitening: (P or 1, c, c) float32, lower triangles L with L C Lᵀ = I, C the covariance of a place.
        weight: of a left-out photo against the shared covariance: photos less one, plus pseudo-photos.
    """

    count: int
    mean: Float32
    whitening: Float32
    weight: float

    def whitened(self, codes: Codes) -> Float32:
        """(n, P, c) uint8 → (P, n, c) float32 deviations of unit variance among good photos."""
        deviation = np.subtract(codes.transpose(1, 0, 2), self.mean[:, None], dtype=np.float32)
        if len(self.whitening) == 1:  # one product for all places
            flat = deviation.reshape(-1, deviation.shape[2]) @ self.whitening[0].T
            return np.asarray(flat.reshape(deviation.shape), np.float32)
        return np.asarray(np.matmul(deviation, self.whitening.transpose(0, 2, 1)), np.float32)

    def distances(self, codes: Codes) -> Float32:
        """(n, P, c) uint8 → (n, P) float32 squared Mahalanobis distances."""
        white = self.whitened(codes)
        return np.asarray(np.einsum("pnc,pnc->np", white, white), np.float32)

    def left_out(self, codes: Codes, asked: npt.NDArray[np.intp], without: Sequence[npt.NDArray[np.intp]]) -> Float32:
        """Distances of photos that are in the sums, each as if some rows, its own among them, had never been added.

        With the rows Z that are left out as deviations from the mean, S + k Σ the weighted covariance (``weight`` C)
        and H = I + 11ᵀ / (n − r): the deviations without them are H Z, and the scatter loses Zᵀ H Z. Few rows are taken
        out by Woodbury's formula, H (G⁻¹ − H)⁻¹ H with G = Z (S + k Σ)⁻¹ Zᵀ. At each place, what all share stays.

        Args:
            codes: (n, P, c) uint8, all that were added, in any order.
            asked: (m,) rows whose distances are wanted.
            without: for each of them the rows that are left out; never all.

        Returns:
            (m, P) float32.
        """
        out = np.empty((len(asked), codes.shape[1]), np.float32)
        white = self.whitened(codes)
        together: dict[tuple[int, ...], list[int]] = {}
        for number, rows in enumerate(without):
            together.setdefault(tuple(sorted(rows.tolist())), []).append(number)
        for group, numbers in together.items():
            places = {row: place for place, row in enumerate(group)}
            wanted = [places[int(asked[number])] for number in numbers]
            z = white[:, list(group)]  # (P, r, c)
            if len(self.whitening) == 1 and len(self.mean) > 1:
                out[numbers] = _shared_without(z, self.count, wanted)
            elif len(group) <= _FEW_ROWS:
                out[numbers] = _few_without(z, self.count, self.weight, wanted)
            else:
                out[numbers] = _many_without(z, self.count, self.weight, wanted)
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
    places, channels = sums.shape
    mean = sums / count
    if shares_covariance(channels):
        triangle = statistics.products[grid].sum(axis=0, dtype=np.int64)
        scatter = _unfolded(triangle[None], channels)[0] - mean.T @ sums
        covariance = _ridged(scatter / ((count - 1) * places))[None]
    else:
        scatters = _unfolded(statistics.products[grid], channels)
        scatters -= mean[:, :, None] * sums[:, None, :]
        shared = _ridged(scatters.sum(axis=0) / ((count - 1) * places))
        scatters += PSEUDO_PHOTOS * shared
        covariance = scatters / (count - 1 + PSEUDO_PHOTOS)
    whitening = np.linalg.inv(np.linalg.cholesky(covariance)).astype(np.float32)
    return PlaceGaussians(count, mean.astype(np.float32), whitening, count - 1.0 + PSEUDO_PHOTOS)


def _few_without(z: Float32, rows: int, weight: float, wanted: Sequence[int]) -> Float32:
    """(P, r, c) whitened deviations → (w, P) distances of some of these rows without all of them, by Woodbury."""
    size = z.shape[1]
    gram = np.matmul(z, z.transpose(0, 2, 1)).astype(np.float64) / weight
    spread = np.eye(size) + 1.0 / (rows - size)
    inner = np.linalg.solve(np.eye(size) - gram @ spread, gram)  # (I − G H)⁻¹ G
    distance = np.einsum("wj,pjk,kw->wp", spread[wanted], inner, spread[:, wanted])
    return np.asarray(np.maximum(distance, 0) * (weight - size), np.float32)


def _many_without(z: Float32, rows: int, weight: float, wanted: Sequence[int]) -> Float32:
    """The same by taking the rows out of each place's covariance."""
    size, channels = z.shape[1:]
    moved = z + z.sum(axis=1, keepdims=True) / (rows - size)
    left = weight * (1 + 1e-6) * np.eye(channels) - np.matmul(moved.transpose(0, 2, 1), z)
    asked = moved[:, list(wanted)].astype(np.float64)  # (P, w, c)
    solved = np.linalg.solve(left, asked.transpose(0, 2, 1))
    return np.asarray(np.einsum("pwc,pcw->wp", asked, solved) * (weight - size), np.float32)


def _shared_without(z: Float32, rows: int, wanted: Sequence[int]) -> Float32:
    """The same with one covariance for all places."""
    places, size, channels = z.shape
    moved = z + z.sum(axis=1, keepdims=True) / (rows - size)
    lost = moved.reshape(-1, channels).T @ z.reshape(-1, channels)
    degrees = float((rows - 1) * places)
    left = np.eye(channels) * (degrees * (1 + 1e-6)) - lost
    asked = moved[:, list(wanted)].reshape(-1, channels).astype(np.float64)
    squares = (asked * np.linalg.solve(left, asked.T).T).sum(axis=1) * max(degrees - size * places, 1.0)
    return np.asarray(squares.reshape(places, -1).T, np.float32)


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
