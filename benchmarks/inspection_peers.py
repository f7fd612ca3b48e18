"""Peers of inspection on the same inner maps: PaDiM, PatchCore, and one class by Mahalanobis on pooled codes.

Each takes good photos and photos to judge, as (maps, pooled codes), and gives a score for each of the latter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
CORESET, MOST_CORES = 0.1, 1000
_PLACES = 14  # the grid on which maps are joined, as both papers join theirs


@dataclass(frozen=True, eq=False)
class Photos:
    """Maps, finest first, each (n, h, w, c) in real units, and pooled codes (n, d) uint8."""

    maps: tuple[npt.NDArray[np.float32], ...]
    pooled: npt.NDArray[np.uint8]


def joined(photos: Photos) -> npt.NDArray[np.float32]:
    """All maps on one grid, finer ones averaged and coarser ones repeated: (n, 14, 14, Σ c)."""
    parts = []
    for each in photos.maps:
        count, height, width, channels = each.shape
        if height >= _PLACES:
            step = height // _PLACES
            parts.append(each.reshape(count, _PLACES, step, _PLACES, step, channels).mean(axis=(2, 4)))
        else:
            parts.append(each.repeat(_PLACES // height, axis=1).repeat(_PLACES // width, axis=2))
    return np.concatenate(parts, axis=3)


def padim(good: Photos, asked: Photos) -> Floats:
    """A Gaussian of full covariance at each place, plus 0.01 (Defard et al. 2020); the largest distance."""
    return np.asarray(padim_map(good, asked).max(axis=1))


def padim_map(good: Photos, asked: Photos) -> npt.NDArray[np.float32]:
    """(n, 196) distances."""
    taught, wanted = joined(good), joined(asked)
    channels = taught.shape[3]
    rows = taught.reshape(len(taught), -1, channels).transpose(1, 0, 2)
    mean = rows.mean(axis=1, keepdims=True)
    scatter = np.matmul((rows - mean).transpose(0, 2, 1), rows - mean) / (len(taught) - 1)
    inverse = np.linalg.inv(scatter + 0.01 * np.eye(channels, dtype=np.float32))
    away = wanted.reshape(len(wanted), -1, channels).transpose(1, 0, 2) - mean
    squares = (np.matmul(away, inverse) * away).sum(axis=2)
    return np.asarray(np.sqrt(np.maximum(squares, 0)).T)


def patchcore(good: Photos, asked: Photos) -> Floats:
    """Distance to the nearest of a coreset of 3 × 3 averaged places (Roth et al. 2022); the largest of a photo."""
    taught, wanted = (_averaged(joined(each)) for each in (good, asked))
    channels = taught.shape[3]
    bank = taught.reshape(-1, channels)
    bank = bank[_spread_out(bank, min(MOST_CORES, max(1, int(len(bank) * CORESET))))]
    squares = (bank * bank).sum(axis=1)
    scores = []
    for photo in wanted:
        flat = photo.reshape(-1, channels)
        nearest = (squares - 2 * flat @ bank.T).min(axis=1) + (flat * flat).sum(axis=1)
        scores.append(float(np.sqrt(max(float(nearest.max()), 0.0))))
    return np.array(scores)


def one_class(good: Photos, asked: Photos) -> Floats:
    """Mahalanobis distance of pooled codes, covariance drawn half-way to a multiple of the identity."""
    taught = good.pooled.astype(np.float64)
    mean = taught.mean(axis=0)
    away = taught - mean
    gram = away @ away.T / len(away)
    ridge = float(np.trace(gram)) / away.shape[1]
    wanted = asked.pooled - mean
    along = wanted @ away.T / len(away) ** 0.5
    inner = np.linalg.solve(gram + ridge * np.eye(len(away)), along.T)
    return np.asarray(((wanted * wanted).sum(axis=1) - (along.T * inner).sum(axis=0)) / ridge)


PEERS: dict[str, Callable[[Photos, Photos], Floats]] = {
    "PaDiM": padim, "PatchCore": patchcore, "one class, pooled": one_class
}  # fmt: skip


def _averaged(grid: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Each place the mean of its 3 × 3 neighbours."""
    padded = np.pad(grid, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = grid.shape[1:3]
    shifted: Sequence[npt.NDArray[np.float32]] = [
        padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)
    ]
    return np.asarray(sum(shifted) / np.float32(9))


def _spread_out(rows: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.intp]:
    """Greedy k-centre selection in a random projection to 32 dimensions."""
    generator = np.random.default_rng(0)
    small = rows @ generator.normal(size=(rows.shape[1], 32)).astype(np.float32)
    chosen = [int(generator.integers(len(rows)))]
    nearest = np.full(len(rows), np.inf, np.float32)
    for _ in range(count - 1):
        away = small - small[chosen[-1]]
        nearest = np.minimum(nearest, np.einsum("ij,ij->i", away, away))
        chosen.append(int(nearest.argmax()))
    return np.array(chosen)
