"""Nearest prototype by cosine: right when almost nothing is known.

A class is the mean of its codes ("imprinting", Qi, Brown and Lowe, CVPR 2018, https://arxiv.org/abs/1712.07136), here
one prototype for each class *and origin*: the mean of what the factory saw and the mean of what the device saw stay
apart, or a new scene would be drowned by the old one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..codes import CodeTransform
from .evidence import Evidence
from .neighbours import unit
from .scorer import ClosedForm, Floats, Numbers, Scorer


@dataclass(frozen=True, eq=False)
class Prototypes(Scorer):
    """Unit vectors, one or two a class.

    Args:
        labels: (C,) classes.
        first: (C,) index of each class's first prototype; a class's prototypes follow each other.
        vectors: (P, d) float32, unit length.
        origin: code of the value 0, subtracted from codes before they are compared.
    """

    usual_temperature: ClassVar[float] = 0.05

    labels: tuple[str, ...]
    first: npt.NDArray[np.intp]
    vectors: Floats
    origin: int

    @classmethod
    def fit(cls, evidence: Evidence) -> Prototypes:
        """One prototype for each class and origin."""
        means = [
            (label, total / count)
            for part in (evidence.factory, evidence.device)
            for label, count, total in zip(part.labels, part.counts, part.sums, strict=True)
            if label not in evidence.hidden
        ]
        means.sort(key=lambda item: item[0])
        owners = np.array([label for label, _ in means], np.str_)
        rows = np.stack([mean for _, mean in means]) if means else np.zeros((0, evidence.factory.dimension))
        first = np.searchsorted(owners, evidence.labels).astype(np.intp)
        return cls(evidence.labels, first, unit(rows, evidence.origin), evidence.origin)

    def scores(self, codes: Numbers) -> Floats:
        """(n, d) → (n, C) float32: cosine to the nearest prototype of each class, −1 … 1."""
        cosine = unit(codes, self.origin) @ self.vectors.T
        return np.maximum.reduceat(cosine, self.first, axis=1) if self.labels else cosine

    def closed_form(self, transform: CodeTransform) -> ClosedForm | None:
        """Codes are unit vectors times a constant, so a cosine is linear in them; the nearer of two is not."""
        if len(self.vectors) != len(self.labels):
            return None
        weights = self.vectors / np.float32(transform.length)
        return ClosedForm(weights, -self.origin * weights.sum(axis=1))
