"""Which good photos are near-copies of each other: left out together, or the threshold would be far too low."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Codes

NEAR_COPY = 0.6  # of the typical distance between two photos: copies are within, different parts hardly ever
_MANY_COPIES = 0.5  # of the photos, from which it is said


@dataclass(frozen=True, eq=False)
class Alike:
    """Which photos are so alike that one says what another is.

    Args:
        near: (n, n) bool, true on the diagonal; no row of two or more is all true.
        warnings: what is wrong with the photos, one sentence each.
    """

    near: npt.NDArray[np.bool_]
    warnings: tuple[str, ...] = ()

    @property
    def independent(self) -> float:
        """How many photos these are worth: each counts by one over the number of those like it, itself included."""
        return independent_of(self.near)

    def among(self, chosen: npt.NDArray[np.bool_]) -> Alike:
        """Of some of the photos."""
        return Alike(self.near[np.ix_(chosen, chosen)])


def independent_of(near: npt.NDArray[np.bool_]) -> float:
    """See :attr:`Alike.independent`."""
    return float((1 / near.sum(axis=1)).sum())


def alike(named: Sequence[str], codes: Codes) -> Alike:
    """Photos of one burst, and near-copies.

    Args:
        named: the burst of each photo; empty where it is alone.
        codes: (n, h, w, c) uint8, of the coarsest map of each: the same part in other light is a near-copy too.
    """
    count = len(named)
    flat = codes.reshape(count, -1).astype(np.float32)
    flat -= flat.mean(axis=0)
    squares = np.einsum("ij,ij->i", flat, flat)
    apart = np.sqrt(np.maximum(squares[:, None] + squares - 2 * flat @ flat.T, 0))
    typical = float(np.median(apart[np.triu_indices(count, 1)])) if count > 1 else 0.0
    copies = apart <= max(NEAR_COPY * typical, 1.0)  # photos that are all the same are apart by nothing
    names = np.asarray(named, dtype=np.str_)
    near: npt.NDArray[np.bool_] = copies | ((names[:, None] == names) & (names != "")[:, None])
    if near.all():  # one burst of everything: nothing would be left
        near, one = copies, "of one burst"
        if near.all():
            near, one = np.eye(count, dtype=bool), "near-copies of each other"
        return Alike(_never_all(near), (f"all good photos are {one}: teach other parts too, or it will alarm at them",))
    near = _never_all(near)
    repeated = count - independent_of(copies)
    if repeated > _MANY_COPIES * count:
        different = round(count - repeated)
        warning = f"{count} good photos are worth about {different}: many are near-copies, teach different parts"
        return Alike(near, (warning,))
    return Alike(near)


def _never_all(near: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """A photo that is like all others is left out alone."""
    alone = np.asarray(near.all(axis=1))
    return np.asarray(np.where(alone[:, None], np.eye(len(near), dtype=bool), near))
