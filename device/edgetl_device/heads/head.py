"""A head: embedding → class probabilities, or "I do not know this"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..errors import InputError
from ..metrics import fit_temperature, softmax
from . import registry
from .evidence import Evidence
from .neighbours import ENOUGH
from .novelty import Novelty, fit_novelty
from .scorer import Scorer


@dataclass(frozen=True, eq=False)
class Head:
    """A fitted rule with calibrated probabilities and an answer for strangers.

    Args:
        rule: its name in :mod:`.registry`.
        scorer: the fitted rule.
        novelty: decides what is unknown.
        temperature: divides scores (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
        holdout_scores: (h, C) float32, scores of the evidence's holdout.
    """

    rule: str
    scorer: Scorer
    novelty: Novelty
    temperature: float
    holdout_scores: npt.NDArray[np.float32]

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


def scorer_class(rule: str) -> type[Scorer]:
    """The class of a rule's scorers.

    Raises:
        InputError: there is no such rule here, or it is not a :class:`~.scorer.Scorer`.
    """
    kind = registry.load(rule)
    if not (isinstance(kind, type) and issubclass(kind, Scorer)):
        raise InputError(f"the head {rule} is no subclass of edgetl_device.heads.scorer.Scorer, got {kind!r}")
    return kind


def fit_head(evidence: Evidence, rule: str = registry.DEFAULT) -> Head:
    """Evidence → Head; a deterministic function of the evidence. Temperature and thresholds come from the holdout only.

    Raises:
        InputError: no such rule.
    """
    rule = registry.current_name(rule)
    scorer = scorer_class(rule).fit(evidence)
    scores = scorer.holdout_scores(evidence)
    index = {label: row for row, label in enumerate(scorer.labels)}
    rows = [row for row, label in enumerate(evidence.holdout_labels) if label in index]
    temperature = scorer.usual_temperature
    if len(rows) >= ENOUGH and len(index) > 1:
        truth = np.array([index[evidence.holdout_labels[row]] for row in rows])
        temperature = fit_temperature(scores[rows], truth)
    return Head(rule, scorer, fit_novelty(evidence), temperature, scores)


def with_correction(evidence: Evidence, rule: str, codes: Codes, labels: Sequence[str]) -> Evidence:
    """Evidence, and what a rule learns from the factory's embeddings (n, d) uint8 with their n labels.

    For the workstation, which has them; most rules learn all they need from statistics, and nothing changes.
    """
    correction = scorer_class(rule).correction(evidence, codes, labels)
    return evidence if correction is None else replace(evidence, correction=correction)
