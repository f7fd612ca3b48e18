"""Two questions: have I seen this kind of world? Yes → LDA. No → nearest prototype.

The predecessor of :mod:`.predictive`, which takes most of both without a switch; kept for comparison.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..metrics import fit_temperature, softmax
from .evidence import Evidence
from .lda import Linear, fit_lda
from .novelty import Novelty, fit_novelty
from .prototype import Prototypes, fit_prototypes

DEFAULT_TEMPERATURES = (1.0, 0.05)


@dataclass(frozen=True, eq=False)
class Familiar:
    """LDA for what resembles the holdout, prototypes for the rest; each with its own temperature."""

    linear: Linear
    prototypes: Prototypes
    novelty: Novelty
    temperatures: tuple[float, float]

    @property
    def labels(self) -> tuple[str, ...]:
        """(C,)."""
        return self.linear.labels

    def scores(self, codes: Codes) -> npt.NDArray[np.float32]:
        """(n, d) uint8 → (n, C) float32 log-probabilities."""
        if not self.labels:
            return np.zeros((len(codes), 0), np.float32)
        familiar = np.isfinite(self.novelty.threshold) & (self.novelty.similarity(codes) >= self.novelty.threshold)
        scores = (self.linear.scores(codes), self.prototypes.scores(codes))
        known, strange = (softmax(s / t) for s, t in zip(scores, self.temperatures, strict=True))
        chosen = np.where(familiar[:, None], known, strange)
        return np.asarray(np.log(np.maximum(chosen, 1e-12)), np.float32)


def fit_familiar(evidence: Evidence) -> Familiar:
    """Both rules and the question that chooses between them."""
    linear, prototypes = fit_lda(evidence), fit_prototypes(evidence)
    index = {label: row for row, label in enumerate(linear.labels)}
    rows = [row for row, label in enumerate(evidence.holdout_labels) if label in index]
    temperatures = DEFAULT_TEMPERATURES
    if rows and len(index) > 1:
        truth = np.array([index[evidence.holdout_labels[row]] for row in rows])
        codes = evidence.holdout[rows]
        temperatures = (
            fit_temperature(linear.scores(codes), truth),
            fit_temperature(prototypes.scores(codes), truth),
        )
    return Familiar(linear, prototypes, fit_novelty(evidence), temperatures)
