"""A head: embedding → class probabilities, or "I do not know this"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..errors import InputError
from ..metrics import fit_temperature, softmax
from .evidence import Evidence
from .familiar import fit_familiar
from .lda import fit_lda
from .neighbours import ENOUGH
from .novelty import Novelty, fit_novelty
from .predictive import Predictive, fit_predictive
from .prototype import fit_prototypes
from .softmax import Softmax, fit_softmax

DEFAULT = "predictive"


class Rule(Protocol):
    """What a learning rule makes of evidence."""

    @property
    def labels(self) -> tuple[str, ...]:
        """(C,) sorted."""

    def scores(self, codes: Codes) -> npt.NDArray[np.float32]:
        """(n, d) uint8 → (n, C) float32, the larger the likelier."""


HEADS: dict[str, Callable[[Evidence], Rule]] = {
    "predictive": fit_predictive,
    "softmax": fit_softmax,
    "familiar": fit_familiar,
    "lda": fit_lda,
    "prototype": fit_prototypes,
}
"""Name → learning rule, a deterministic function of the evidence."""

_TEMPERATURES = {"prototype": 0.05}  # where there is no holdout to set them on; else 1


@dataclass(frozen=True, eq=False)
class Head:
    """A fitted rule with calibrated probabilities and an answer for strangers.

    Args:
        rule: a key of :data:`HEADS`.
        scorer: the fitted rule.
        novelty: decides what is unknown.
        temperature: divides scores (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
        held: (h, C) float32, scores of the evidence's holdout.
    """

    rule: str
    scorer: Rule
    novelty: Novelty
    temperature: float
    held: npt.NDArray[np.float32]

    @property
    def labels(self) -> tuple[str, ...]:
        """(C,) what can be predicted, sorted."""
        return self.scorer.labels

    def probabilities(self, codes: Codes) -> npt.NDArray[np.float32]:
        """(n, d) uint8 codes → (n, C) float32."""
        if not self.labels:
            return np.zeros((len(codes), 0), np.float32)
        return np.asarray(softmax(self.scorer.scores(codes) / self.temperature), np.float32)

    def predict(self, codes: Codes) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """(n, d) uint8 codes → (n, C) probabilities and (n,) whether the thing is unknown.

        An unknown thing still gets its probabilities: they say what it would be if it had to be something.
        """
        return self.probabilities(codes), self.novelty.is_unknown(codes)


def fit_head(evidence: Evidence, rule: str = DEFAULT) -> Head:
    """Evidence → Head; a deterministic function of the evidence. Temperature and thresholds come from the holdout only.

    Raises:
        InputError: no such rule.
    """
    if rule not in HEADS:
        raise InputError(f"unknown head {rule!r}: expected one of {', '.join(HEADS)}")
    scorer = HEADS[rule](evidence)
    held = scorer.held_scores(evidence) if isinstance(scorer, Predictive | Softmax) else scorer.scores(evidence.holdout)
    index = {label: row for row, label in enumerate(scorer.labels)}
    rows = [row for row, label in enumerate(evidence.holdout_labels) if label in index]
    temperature = _TEMPERATURES.get(rule, 1.0)
    if len(rows) >= ENOUGH and len(index) > 1:
        truth = np.array([index[evidence.holdout_labels[row]] for row in rows])
        temperature = fit_temperature(held[rows], truth)
    return Head(rule, scorer, fit_novelty(evidence), temperature, held)
