"""Bundled embeddings to compare with: cosines among the holdout, made once, as the holdout never changes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..codes import Codes

NEIGHBOURS = 5
FALSE_ALARMS = 0.05  # share of known things that may fall below the threshold
STRICTNESS = 0.25  # quantile, over known things, of how near a learned thing must come to its own samples
ENOUGH = 20  # held-out embeddings needed before a 5 % quantile means anything

_BLOCK_ROWS = 1024  # compared with all at once, to spare memory
_REFERENCES = 2048  # a quantile needs no more

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Bank:
    """Held-out embeddings of known classes.

    Args:
        vectors: (b, d) float32 of unit length.
        labels: (b,).
    """

    vectors: Vectors
    labels: npt.NDArray[np.str_]

    @property
    def enough(self) -> bool:
        """Whether thresholds can be set on it."""
        return len(self.vectors) >= ENOUGH

    @cached_property
    def threshold(self) -> float:
        """The 5 % quantile of similarity, each left out in turn; −∞ where too little is known to call any strange."""
        if not self.enough:
            return float("-inf")
        return float(np.quantile(self.familiarity, FALSE_ALARMS))

    @cached_property
    def familiarity(self) -> Vectors:
        """(b,) similarity of each to the others; of many only some, evenly spread, are asked."""
        rows = np.arange(len(self.vectors))
        if len(rows) > _REFERENCES:
            rows = np.linspace(0, len(rows) - 1, _REFERENCES).round().astype(np.intp)
        blocks = [rows[start : start + _BLOCK_ROWS] for start in range(0, len(rows), _BLOCK_ROWS)]
        nearest = [mean_of_nearest(cosines_to_others(self.vectors, block)) for block in blocks]
        return np.concatenate(nearest) if nearest else np.zeros(0, np.float32)

    def nearness(self, count: int) -> float:
        """Cosine to the nearest of ``count`` samples of its class that three of four held-out things reach."""
        own, sizes = self._own
        if not self.enough or not len(sizes):
            return -1.0
        # The nearest of n is about the n/(n+1) quantile of all.
        rank = np.ceil(sizes * count / (count + 1)).astype(np.intp)
        column = own.shape[1] - 1 - sizes + np.maximum(rank, 1)
        return float(np.quantile(own[np.arange(len(own)), column], STRICTNESS))

    @cached_property
    def _own(self) -> tuple[Vectors, npt.NDArray[np.int64]]:
        """Of those with others of their class: cosines to them, ascending, behind −1 where they are fewer; how many."""
        names, class_of = np.unique(self.labels, return_inverse=True)
        members = [np.flatnonzero(class_of == number) for number in range(len(names))]
        members = [rows for rows in members if len(rows) > 1]
        width = max((len(rows) - 1 for rows in members), default=0)
        own, sizes = [np.zeros((0, width), np.float32)], [np.zeros(0, np.int64)]
        for rows in members:
            cosine = np.sort(cosines_to_others(self.vectors[rows]), axis=1)[:, 1:]  # less that to itself
            own.append(np.pad(cosine, ((0, 0), (width + 1 - len(rows), 0)), constant_values=-1.0))
            sizes.append(np.full(len(rows), len(rows) - 1))
        return np.concatenate(own), np.concatenate(sizes)


def cosines_to_others(vectors: Vectors, rows: npt.NDArray[np.intp] | None = None) -> Vectors:
    """(b, d) unit vectors → (r, b) cosines of those at ``rows``, or of all, to each; −1 to itself."""
    chosen = np.arange(len(vectors)) if rows is None else rows
    cosine = vectors[chosen] @ vectors.T
    cosine[np.arange(len(chosen)), chosen] = -1.0
    return cosine


def mean_of_nearest(cosine: Vectors) -> Vectors:
    """(n, b) → (n,) mean of each row's largest ``NEIGHBOURS`` entries; −1 where there are none."""
    count = min(NEIGHBOURS, cosine.shape[1])
    if count == 0:
        return np.full(len(cosine), -1.0, np.float32)
    return np.asarray(np.partition(cosine, cosine.shape[1] - count, axis=1)[:, -count:].mean(axis=1), np.float32)


def unit(codes: Codes | npt.NDArray[np.floating], origin: int) -> Vectors:
    """(n, d) codes → (n, d) float32 rows of unit length; an all-zero row stays zero."""
    rows = codes.astype(np.float32)
    rows -= np.float32(origin)
    rows /= np.maximum(np.sqrt(np.einsum("nd,nd->n", rows, rows)), 1e-12)[:, None]
    return rows
