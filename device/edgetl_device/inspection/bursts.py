"""Which good photos are near-copies of each other: left out together, or the threshold would be far too low."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..codes import Int8

NEAR_COPY = 0.35  # of the typical distance between two photos
Groups = npt.NDArray[np.intp]


def bursts_of(named: Sequence[str], maps: Int8) -> tuple[Groups, tuple[str, ...]]:
    """Bursts by name, joined where photos are near-copies.

    Args:
        named: the burst of each photo; empty where it is alone.
        maps: (n, h, w, c) int8, the coarsest map of each.

    Returns:
        (n,) numbers of groups from 0, and warnings.
    """
    count = len(named)
    flat = maps.reshape(count, -1).astype(np.float32)
    flat -= flat.mean(axis=0)
    squares = np.einsum("ij,ij->i", flat, flat)
    apart = np.sqrt(np.maximum(squares[:, None] + squares - 2 * flat @ flat.T, 0))
    typical = float(np.median(apart[np.triu_indices(count, 1)])) if count > 1 else 0.0
    near = apart < NEAR_COPY * typical
    names = np.asarray(named, dtype=np.str_)
    joined = near | ((names[:, None] == names) & (names != "")[:, None])
    groups = _components(joined)
    if groups.max(initial=0) == 0 and count > 1:  # one burst of everything: nothing would be left
        groups = _components(near)
        if groups.max(initial=0) == 0:
            groups = np.arange(count)
        return groups, ("all good photos are of one burst: teach other parts too, or it will alarm at them",)
    copies = int(count - len(np.unique(_components(near))))
    if copies * 4 > count:
        return groups, (f"{copies} of {count} good photos are near-copies of others: teach different parts",)
    return groups, ()


def _components(joined: npt.NDArray[np.bool_]) -> Groups:
    """Connected components of a symmetric relation, numbered in order of their first member."""
    count = len(joined)
    groups = np.full(count, -1, np.intp)
    for first in range(count):
        if groups[first] >= 0:
            continue
        members, waiting = {first}, [first]
        while waiting:
            for other in np.flatnonzero(joined[waiting.pop()]):
                if int(other) not in members:
                    members.add(int(other))
                    waiting.append(int(other))
        groups[sorted(members)] = groups.max(initial=-1) + 1
    return groups
