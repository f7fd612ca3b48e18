"""Is this one of the things that were taught here? A cosine to each, with a threshold from its own samples.

The cosine is taken in the whitened space, from the middle of the known classes (the similarity of probabilistic LDA
without its length). Its threshold is a share of what the samples themselves reach, each left out in turn: a class whose
photos are alike asks for more likeness. One photo tells nothing of that: what photos of many kinds reach stands in, or
more where it lies so far out that the spread of its own class can be no more than a part of the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..labels import NOTHING
from .evidence import Evidence
from .precision import Matrix, Vector
from .scatter import label_rows, row_products
from .space import Space, Whitened

SHARE = 0.67  # of the likeness that a class's own samples reach
USUAL = 0.18  # likeness of two photos of a kind that the factory does not know; worth one sample
WIDEST = 5.0  # how much more than the factory's classes one may spread
_MOST_ASKED = 128  # samples of all classes together that are left out in turn: quick enough after every sample
_MOST_OF_ONE = 16
_BLOCK = 64  # classes at a time: quick, and little memory

Sizes = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Taught:
    """The G classes that were taught here.

    Args:
        directions: (G, d) float32, of unit length in the whitened space.
        least: (G,) cosine that a thing must reach.
    """

    directions: Matrix
    least: Matrix

    def recognises(self, whitened: Whitened) -> npt.NDArray[np.bool_]:
        """(n,) whether each is like one of them."""
        cosine = (whitened.offsets @ self.directions.T) / np.sqrt(whitened.lengths)[:, None]
        return np.asarray((cosine >= self.least).any(axis=1))


def fit_taught(evidence: Evidence, space: Space, labels: Sequence[str]) -> Taught:
    """Device classes of these labels."""
    device = evidence.device
    rows = label_rows(device, labels)
    means = device.sums[rows] / device.counts[rows, None] - space.centre
    whitened = space.whiten_roughly(means.astype(np.float32))
    lengths = np.sqrt(np.maximum(row_products(whitened, means), 1e-9))
    last = _last_of_each(evidence.recent_labels, labels)
    least = [np.zeros(0, np.float32)]
    for start in range(0, len(last), _BLOCK):
        block = last[start : start + _BLOCK]
        codes = evidence.recent[[row for rows in block for row in rows]]
        least.append(_least(codes, np.array([len(rows) for rows in block], np.intp), space))
    return Taught((whitened / lengths[:, None]).astype(np.float32), np.concatenate(least))


def taught_labels(evidence: Evidence) -> tuple[str, ...]:
    """What was taught here and can be recognised."""
    return tuple(label for label in evidence.device.labels if label not in evidence.hidden and label != NOTHING)


def _last_of_each(names: Sequence[str], labels: Sequence[str]) -> list[list[int]]:
    """Of G labels, the rows of the last samples of each."""
    rows: dict[str, list[int]] = {label: [] for label in labels}
    for row, name in enumerate(names):
        if name in rows:
            rows[name].append(row)
    most = min(_MOST_OF_ONE, max(2, _MOST_ASKED // max(len(labels), 1)))
    return [rows[label][-most:] for label in labels]


def _least(codes: Codes, sizes: Sizes, space: Space) -> Matrix:
    """(n, d) uint8 codes of G classes, one after the other, and their (G,) sizes → (G,) cosine each class asks for."""
    reached = _of_each(likeness(codes, sizes, space), sizes)
    several = np.where(sizes > 1, sizes, 0)
    usual = np.full(len(sizes), USUAL)
    if space.precision is not None:
        length = _of_each(space(codes).lengths, sizes) / np.maximum(sizes, 1)
        usual = np.maximum(
            usual, np.where(sizes > 0, 1 - WIDEST * space.precision.unseen / np.maximum(length, 1e-9), 0)
        )
    return np.asarray(SHARE * (reached + usual) / (several + 1), np.float32)


def likeness(codes: Codes, sizes: Sizes, space: Space) -> Vector:
    """(n, d) uint8 codes of G classes, one after the other → (n,) cosine of each to the mean of its class's others.

    Args:
        sizes: (G,) codes of each class; alone in its class a code has 0.
    """
    offsets = np.asarray(codes - space.centre, np.float32)
    whitened = space.whiten_roughly(offsets)
    of_class = np.repeat(np.arange(len(sizes)), sizes)
    sums, whole = _of_each(offsets, sizes), _of_each(whitened, sizes)
    own, rows = row_products(whitened, offsets), row_products(whitened, sums[of_class])
    others = row_products(whole, sums)[of_class] - 2 * rows + own  # squared length of the sum of the others
    found = (rows - own) / np.sqrt(np.maximum(own * others, 1e-9))
    return np.where(sizes[of_class] > 1, found, 0.0)


def _of_each(rows: npt.NDArray[np.floating], sizes: Sizes) -> npt.NDArray[np.floating]:
    """(n, …) → (G, …) sums of each class's rows, in their own precision."""
    sums = np.zeros((len(sizes), *rows.shape[1:]), rows.dtype)
    filled = sizes > 0
    if filled.any():
        sums[filled] = np.add.reduceat(rows, (np.cumsum(sizes) - sizes)[filled], axis=0)
    return sums
