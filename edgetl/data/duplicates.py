"""The same picture twice: near-copies by difference hashes, wherever they would flatter or contradict.

A copy under two labels is a mistake in the labels; a copy in training and held-out photos makes accuracy look better
than it is. Consecutive frames of a film are near-copies too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .datasets import Dataset
from .hashes import Hashes

NEAR = 7  # bits of 128 that may differ; then one of eight pieces of 16 bits is equal, which is what makes it fast
_PIECES = 8
_CROWD = 400  # photos that share a piece; more are featureless pictures, of which only exact copies are reported


@dataclass(frozen=True)
class Duplicates:
    """Pairs of near-copies that matter.

    Args:
        labels: pairs of photos under two labels.
        splits: pairs of a training photo and a held-out one, under one label.
    """

    labels: tuple[tuple[Path, Path], ...] = ()
    splits: tuple[tuple[Path, Path], ...] = ()


def find_duplicates(dataset: Dataset, hashes: Hashes) -> Duplicates:
    """(n, 16) hashes of the dataset's photos → near-copies across labels or splits."""
    held_out = np.array([split != "train" for split in dataset.splits])
    labels = np.unique(np.asarray(dataset.labels), return_inverse=True)[1]
    across_labels, across_splits = [], []
    for one, other in near_pairs(hashes):
        pair = dataset.paths[one], dataset.paths[other]
        if labels[one] != labels[other]:
            across_labels.append(pair)
        elif held_out[one] != held_out[other]:
            across_splits.append(pair if held_out[other] else pair[::-1])
    return Duplicates(tuple(across_labels), tuple(across_splits))


def near_pairs(hashes: Hashes) -> list[tuple[int, int]]:
    """(n, 16) → the pairs (i < j) that differ in at most ``NEAR`` bits, sorted."""
    pairs: set[tuple[int, int]] = set()
    pieces = np.ascontiguousarray(hashes).view(np.uint16).reshape(-1, _PIECES)
    for piece in range(_PIECES):
        order = np.argsort(pieces[:, piece], kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(pieces[order, piece])) + 1):
            if 2 <= len(rows) <= _CROWD:
                pairs.update(_near(hashes, rows))
    _, same = np.unique(hashes, axis=0, return_inverse=True)
    order = np.argsort(same.ravel(), kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(same.ravel()[order])) + 1):
        if len(rows) > 1:  # a chain is enough to name every one of them
            pairs.update((int(a), int(b)) for a, b in zip(np.sort(rows)[:-1], np.sort(rows)[1:], strict=True))
    return sorted(pairs)


def _near(hashes: Hashes, rows: npt.NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    distance = np.bitwise_count(hashes[rows][:, None] ^ hashes[rows][None]).sum(axis=2)
    for one, other in np.argwhere(np.triu(distance <= NEAR, 1)):
        a, b = int(rows[one]), int(rows[other])
        yield (min(a, b), max(a, b))
