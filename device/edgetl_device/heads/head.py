"""A head: embedding → class probabilities, or "I do not know this"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..errors import InputError
from ..labels import NOTHING
from ..metrics import fit_temperature, softmax
from . import registry
from .calibration import Calibration, calibrate, constant
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
        temperature: the one number that scores may be divided by where no more can be told of a photo.
        holdout_scores: (h, C) float32, scores of the evidence's holdout.
        calibration: what scores are divided by, photo by photo.
    """

    rule: str
    scorer: Scorer
    novelty: Novelty
    temperature: float
    holdout_scores: npt.NDArray[np.float32]
    calibration: Calibration

    @property
    def labels(self) -> tuple[str, ...]:
        """(C,) what can be predicted, sorted."""
        return self.scorer.labels

    def probabilities(self, codes: Codes) -> npt.NDArray[np.float32]:
        """(n, d) uint8 codes → (n, C) float32."""
        if not self.labels:
            return np.zeros((len(codes), 0), np.float32)
        return np.asarray(softmax(self.scorer.scores(codes) / self.calibration.temperatures(codes)), np.float32)

    def predict(self, codes: Codes) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """(n, d) uint8 codes → (n, C) probabilities and (n,) whether the thing is unknown, or background.

        An unknown thing still gets its probabilities: they say what it would be if it had to be something.
        """
        probabilities, unknown = self.probabilities(codes), self.novelty.is_unknown(codes)
        if NOTHING in self.labels:
            unknown = unknown | (probabilities.argmax(axis=1) == self.labels.index(NOTHING))
        return probabilities, unknown

    def recognise(self, codes: Codes) -> tuple[tuple[str, ...], npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """As :meth:`predict`, of the classes alone: their labels come first, and background is none of them."""
        columns = [column for column, label in enumerate(self.labels) if label != NOTHING]
        if len(columns) == len(self.labels):
            return self.labels, *self.predict(codes)
        scores = self.scorer.scores(codes) / self.temperature
        unknown = self.novelty.is_unknown(codes) | (scores.argmax(axis=1) == self.labels.index(NOTHING))
        classes = softmax(scores[:, columns]) if columns else scores[:, columns]
        return tuple(self.labels[column] for column in columns), np.asarray(classes, np.float32), unknown


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
    """Evidence → Head; a deterministic function of the evidence. Thresholds are set on the holdout alone.

    Raises:
        InputError: no such rule.
    """
    rule = registry.current_name(rule)
    scorer = scorer_class(rule).fit(evidence)
    scores = scorer.holdout_scores(evidence)
    index = {label: row for row, label in enumerate(scorer.labels)}
    rows = [row for row, label in enumerate(evidence.holdout_labels) if label in index]
    temperature = scorer.usual_temperature
    calibration = constant(temperature)
    if len(rows) >= ENOUGH and len(index) > 1:
        truth = np.array([index[evidence.holdout_labels[row]] for row in rows])
        temperature = fit_temperature(scores[rows], truth)
        calibration = calibrate(evidence, scorer.labels, scores[rows], truth)
    return Head(rule, scorer, fit_novelty(evidence), temperature, scores, calibration)


def with_correction(evidence: Evidence, rule: str, codes: Codes, labels: Sequence[str]) -> Evidence:
    """Evidence, and what a rule learns from the factory's embeddings (n, d) uint8 with their n labels.

    For the workstation, which has them; most rules learn all they need from statistics, and nothing changes.
    """
    correction = scorer_class(rule).correction(evidence, codes, labels)
    return evidence if correction is None else replace(evidence, correction=correction)
