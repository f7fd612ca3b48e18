"""Nearest prototype by cosine: right when almost nothing is known.

A class is the mean of its codes ("imprinting", Qi, Brown and Lowe, CVPR 2018, https://arxiv.org/abs/1712.07136), here
one prototype for each class *and origin*: the mean of what the factory saw and the mean of what the device saw stay
apart, or a new scene would be drowned by the old one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .evidence import Evidence


@dataclass(frozen=True, eq=False)
class Prototypes:
    """Unit vectors, one or two a class.

    Args:
        labels: (C,) classes.
        owner: (P,) index into labels of each prototype, ascending.
        vectors: (P, d) float32, unit length.
        origin: code of the value 0, subtracted from codes before they are compared.
    """

    labels: tuple[str, ...]
    owner: npt.NDArray[np.intp]
    vectors: npt.NDArray[np.float32]
    origin: int

    def scores(self, codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(n, d) uint8 → (n, C) float32: cosine to the nearest prototype of each class, −1 … 1."""
        cosine = unit(codes, self.origin) @ self.vectors.T
        best = np.full((len(codes), len(self.labels)), -1.0, np.float32)
        for column, owner in enumerate(self.owner):
            np.maximum(best[:, owner], cosine[:, column], out=best[:, owner])
        return best


def fit_prototypes(evidence: Evidence) -> Prototypes:
    """One prototype for each class and origin."""
    labels = evidence.labels
    found: list[tuple[int, npt.NDArray[np.float64]]] = []
    for part in (evidence.factory, evidence.known, evidence.new):
        for label, count, total in zip(part.labels, part.counts, part.sums, strict=True):
            if label in labels:
                found.append((labels.index(label), total / count))
    found.sort(key=lambda item: item[0])
    dimension = evidence.factory.dimension
    means = np.stack([mean for _, mean in found]) if found else np.zeros((0, dimension))
    return Prototypes(labels, np.array([c for c, _ in found], np.intp), unit(means, evidence.origin), evidence.origin)


def unit(codes: npt.NDArray[np.uint8] | npt.NDArray[np.floating], origin: int) -> npt.NDArray[np.float32]:
    """(n, d) codes → (n, d) float32 rows of unit length; an all-zero row stays zero."""
    centred = np.asarray(codes, np.float32) - np.float32(origin)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(norm, 1e-12), np.float32)
