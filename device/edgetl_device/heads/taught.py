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
    names = np.asarray(evidence.recent_labels, np.str_)
    most = min(_MOST_OF_ONE, max(2, _MOST_ASKED // max(len(labels), 1)))
    least = [_least(evidence.recent[np.flatnonzero(names == label)[-most:]], space) for label in labels]
    return Taught((whitened / lengths[:, None]).astype(np.float32), np.array(least, np.float32))


def taught_labels(evidence: Evidence) -> tuple[str, ...]:
    """What was taught here and can be recognised."""
    return tuple(label for label in evidence.device.labels if label not in evidence.hidden and label != NOTHING)


def _least(codes: Codes, space: Space) -> float:
    reached = likeness(codes, space) if len(codes) > 1 else np.zeros(0)
    usual = USUAL
    if space.precision is not None and len(codes):
        usual = max(usual, 1 - WIDEST * space.precision.unseen / float(space(codes).lengths.mean()))
    return float(SHARE * (reached.sum() + usual) / (len(reached) + 1))


def likeness(codes: Codes, space: Space) -> Vector:
    """(k, d) uint8 codes of one class, k ≥ 2 → (k,) cosine of each to the mean of the others."""
    offsets = np.asarray(codes - space.centre, np.float32)
    products = (space.whiten_roughly(offsets) @ offsets.T).astype(np.float64)
    own, rows = np.diagonal(products), products.sum(axis=1)
    others = products.sum() - 2 * rows + own  # squared length of the sum of the others
    return np.asarray((rows - own) / np.sqrt(np.maximum(own * others, 1e-9)))
