"""Embeddings to compare with: cosines among unit vectors, and how familiar each finds the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..codes import Codes

NEIGHBOURS = 5
ENOUGH = 20  # held-out embeddings needed before a 5 % quantile means anything

_BLOCK_ROWS = 256  # compared with all at once, to spare memory
_REFERENCES = 256  # a mean and a deviation need no more

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Bank:
    """Embeddings of known things.

    Args:
        vectors: (b, d) float32 of unit length.
        labels: (b,).
    """

    vectors: Vectors
    labels: npt.NDArray[np.str_]

    @property
    def enough(self) -> bool:
        """Whether a quantile of them means anything."""
        return len(self.vectors) >= ENOUGH

    @cached_property
    def familiarity(self) -> Vectors:
        """Similarity of each to the others; of many only 256, evenly spread, are asked."""
        rows = np.arange(len(self.vectors))
        if len(rows) > _REFERENCES:
            rows = np.linspace(0, len(rows) - 1, _REFERENCES).round().astype(np.intp)
        blocks = [rows[start : start + _BLOCK_ROWS] for start in range(0, len(rows), _BLOCK_ROWS)]
        nearest = [mean_of_nearest(cosines_to_others(self.vectors, block), len(self.vectors) - 1) for block in blocks]
        return np.concatenate(nearest) if nearest else np.zeros(0, np.float32)


def cosines_to_others(vectors: Vectors, rows: npt.NDArray[np.intp] | None = None) -> Vectors:
    """(b, d) unit vectors → (r, b) cosines of those at ``rows``, or of all, to each; −1 to itself."""
    chosen = np.arange(len(vectors)) if rows is None else rows
    cosine = vectors[chosen] @ vectors.T
    cosine[np.arange(len(chosen)), chosen] = -1.0
    return cosine


def mean_of_nearest(cosine: Vectors, among: int | None = None) -> Vectors:
    """(n, b) → (n,) mean of each row's largest ``NEIGHBOURS`` entries, or ``among`` where fewer count; −1 for none."""
    count = min(NEIGHBOURS, cosine.shape[1] if among is None else among)
    if count <= 0:
        return np.full(len(cosine), -1.0, np.float32)
    return np.asarray(np.partition(cosine, cosine.shape[1] - count, axis=1)[:, -count:].mean(axis=1), np.float32)


def unit(codes: Codes | npt.NDArray[np.floating], origin: int) -> Vectors:
    """(n, d) codes → (n, d) float32 rows of unit length; an all-zero row stays zero."""
    rows = codes.astype(np.float32)
    rows -= np.float32(origin)
    rows /= np.maximum(np.sqrt(np.einsum("nd,nd->n", rows, rows)), 1e-12)[:, None]
    return rows
