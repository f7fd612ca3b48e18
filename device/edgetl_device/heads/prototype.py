"""Nearest prototype by cosine: right when almost nothing is known.

A class is the mean of its codes ("imprinting", Qi, Brown and Lowe, CVPR 2018, https://arxiv.org/abs/1712.07136), here
one prototype for each class *and origin*: the mean of what the factory saw and the mean of what the device saw stay
apart, or a new scene would be drowned by the old one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from .evidence import Evidence
from .neighbours import unit


@dataclass(frozen=True, eq=False)
class Prototypes:
    """Unit vectors, one or two a class.

    Args:
        labels: (C,) classes.
        first: (C,) index of each class's first prototype; a class's prototypes follow each other.
        vectors: (P, d) float32, unit length.
        origin: code of the value 0, subtracted from codes before they are compared.
    """

    labels: tuple[str, ...]
    first: npt.NDArray[np.intp]
    vectors: npt.NDArray[np.float32]
    origin: int

    def scores(self, codes: Codes) -> npt.NDArray[np.float32]:
        """(n, d) uint8 → (n, C) float32: cosine to the nearest prototype of each class, −1 … 1."""
        cosine = unit(codes, self.origin) @ self.vectors.T
        return np.maximum.reduceat(cosine, self.first, axis=1) if self.labels else cosine


def fit_prototypes(evidence: Evidence) -> Prototypes:
    """One prototype for each class and origin."""
    found = [
        (label, total / count)
        for part in (evidence.factory, evidence.device)
        for label, count, total in zip(part.labels, part.counts, part.sums, strict=True)
        if label not in evidence.hidden
    ]
    found.sort(key=lambda item: item[0])
    owners = np.array([label for label, _ in found], np.str_)
    means = np.stack([mean for _, mean in found]) if found else np.zeros((0, evidence.factory.dimension))
    first = np.searchsorted(owners, evidence.labels).astype(np.intp)
    return Prototypes(evidence.labels, first, unit(means, evidence.origin), evidence.origin)
