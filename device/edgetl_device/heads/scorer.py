"""The interface of a head's learning rule: one class, found by its name in :mod:`.registry`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..codes import Codes, CodeTransform
from ..statistics import statistics_of
from .evidence import Correction, Evidence
from .precision import Precision

FOLDS = 5  # of samples, in which a rule without a formula of its own is fitted again
_STEP = 4.0  # levels of code: differences of float32 scores need a step that is not too small

Floats = npt.NDArray[np.float32]
Numbers = Codes | npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class QuadraticTerm:
    """(code − centre)ᵀ P (code − centre) · slope.

    Args:
        centre: (d,) float32.
        precision: P.
        slope: (C,) float32, what the term does to each class.
    """

    centre: Floats
    precision: Precision
    slope: Floats


@dataclass(frozen=True, eq=False)
class ClassTerm:
    """−½ tᵀ K_c t for some of the classes, with t = (code − centre) · directionsᵀ.

    Args:
        centre: (d,) float32.
        directions: (q, d) float32.
        classes: (k,) which of the C classes have one.
        curvatures: (k, q, q) float32, symmetric: K.
    """

    centre: Floats
    directions: Floats
    classes: npt.NDArray[np.intp]
    curvatures: Floats


@dataclass(frozen=True, eq=False)
class ClosedForm:
    """Scores as arithmetic on codes: code · weightsᵀ + bias, plus quadratic terms if there are any.

    Args:
        weights: (C, d) float32.
        bias: (C,) float32.
        quadratic: of all classes; None where scores are linear.
        own: of single classes.
    """

    weights: Floats
    bias: Floats
    quadratic: QuadraticTerm | None = None
    own: ClassTerm | None = None


class Scorer(ABC):
    """A learning rule, fitted: what :meth:`fit` makes of evidence.

    A new rule needs ``labels``, :meth:`fit` and :meth:`scores`; everything else has a default that works for any rule,
    and is there to be faster, more exact or possible at all.

    Example:
        >>> import numpy as np
        >>> from edgetl_device.heads.scorer import Scorer
        >>> class NearestMean(Scorer):
        ...     def __init__(self, labels, means):
        ...         self.labels, self.means = labels, means
        ...
        ...     @classmethod
        ...     def fit(cls, evidence):
        ...         factory = evidence.factory
        ...         return cls(factory.labels, factory.sums / factory.counts[:, None])
        ...
        ...     def scores(self, codes):
        ...         return -np.square(codes[:, None] - self.means).sum(axis=-1).astype(np.float32)
    """

    labels: tuple[str, ...]
    """(C,) sorted: what can be predicted."""

    usual_temperature: ClassVar[float] = 1.0
    """What scores are divided by where there is no holdout to set a temperature on."""

    has_slopes: ClassVar[bool] = False
    """Whether :meth:`slopes` is a formula, fast enough for every frame."""

    @classmethod
    @abstractmethod
    def fit(cls, evidence: Evidence) -> Scorer:
        """A deterministic function of the evidence, whatever the order of samples."""

    @abstractmethod
    def scores(self, codes: Numbers) -> Floats:
        """Codes (n, d), uint8 or float, → (n, C) float32, the larger the likelier."""

    @classmethod
    def correction(cls, evidence: Evidence, codes: Codes, labels: Sequence[str]) -> Correction | None:
        """What the rule learns from the factory's embeddings (n, d) themselves, which a device does not have.

        The workstation asks once, and the answer travels in the bundle; None: statistics are enough for this rule.
        """
        return None

    def holdout_scores(self, evidence: Evidence) -> Floats:
        """(h, C) float32: :meth:`scores` of the holdout of the very evidence that this was fitted on."""
        return self.scores(evidence.holdout)

    def scores_without_each(self, evidence: Evidence, codes: Codes, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """Device samples (n, d) uint8 of ``evidence`` and their n labels → (n, C) scores without having learned each.

        A sample that is all its class has leaves that class empty: −inf there. A label that is hidden has no column,
        and its samples are scored as they are. By default the rule is fitted again without each fifth of the samples.
        """
        column = {label: index for index, label in enumerate(self.labels)}
        scores = np.full((len(codes), len(self.labels)), -np.inf)
        for fold in range(min(FOLDS, len(codes))):
            rows = np.arange(fold, len(codes), FOLDS)
            refitted = self.fit(_without(evidence, codes[rows], [labels[int(row)] for row in rows]))
            columns = np.array([column[label] for label in refitted.labels], np.intp)
            scores[np.ix_(rows, columns)] = refitted.scores(codes[rows])
        return scores

    def slopes(self, point: Floats) -> Floats:
        """Codes (d,) float32 → (C, d) float32 by how much each score rises with each code there."""
        steps = np.diag(np.full(len(point), _STEP, np.float32))
        rise = self.scores(point + steps).astype(np.float64) - self.scores(point - steps)
        return np.asarray(rise.T / (2 * _STEP), np.float32)

    def closed_form(self, transform: CodeTransform) -> ClosedForm | None:
        """The scores as arithmetic, to be written into other files; None where they cannot be put so."""
        return None


def _without(evidence: Evidence, codes: Codes, labels: Sequence[str]) -> Evidence:
    """Evidence less these of its device samples, in statistics and among the recent ones."""
    left_out = Counter(zip(labels, (row.tobytes() for row in codes), strict=True))
    kept = []
    for number, (label, row) in enumerate(zip(evidence.recent_labels, evidence.recent, strict=True)):
        key = (label, row.tobytes())
        if left_out[key] > 0:
            left_out[key] -= 1
        else:
            kept.append(number)
    return replace(
        evidence,
        device=evidence.device - statistics_of(codes, labels, evidence.device.backbone, "", evidence.device.projection),
        recent=evidence.recent[kept],
        recent_labels=tuple(evidence.recent_labels[number] for number in kept),
    )
