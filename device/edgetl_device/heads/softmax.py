"""Softmax regression on embeddings, started from the predictive discriminant and held near it.

Scores are those of :mod:`.predictive` plus a linear correction, found by minimising the cross-entropy of labelled
embeddings plus ½ ρ ‖u‖², where u is the correction in the space that the precision matrix whitens: a Gaussian prior on
the weights whose mean is the generative solution and whose metric is Mahalanobis' (generative and discriminative
estimates each repair the other: Ng and Jordan, NIPS 2001; priors centred on another solution as in Chelba and Acero,
EMNLP 2004, https://aclanthology.org/W04-3237). The problem is strictly convex, so the order of samples cannot matter.

The workstation has the factory's embeddings and fits the factory's correction, which travels in the bundle. A device
has statistics and its own newest samples: it starts from the factory's correction and adds what these samples ask for.
The holdout is never fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..codes import Codes, CodeTransform
from .evidence import Correction, Evidence
from .lbfgs import Vector, minimise
from .predictive import Predictive
from .scorer import ClosedForm, Floats, Numbers, Scorer

STIFFNESS = 100.0  # ρ: the best of 10, 100, 1000 and 10000 on litter and flowers
_TOLERANCE = 1e-2  # of the gradient, in samples: no score moves by more than 1e-3 after that


@dataclass(frozen=True, eq=False)
class Softmax(Scorer):
    """Predictive scores plus a linear correction.

    Args:
        labels: (C,), the base's.
        base: the predictive discriminant.
        weights: (C, d) float32, for codes less the base's centre.
        bias: (C,) float32.
    """

    has_slopes: ClassVar[bool] = True

    labels: tuple[str, ...]
    base: Predictive
    weights: Floats
    bias: Floats

    @classmethod
    def fit(cls, evidence: Evidence) -> Softmax:
        """The factory's correction, continued on the device samples that are remembered."""
        start = _from_factory(evidence)
        known = [row for row, label in enumerate(evidence.recent_labels) if label in start.labels]
        return fit_on(start, evidence.recent[known], [evidence.recent_labels[row] for row in known])

    @classmethod
    def correction(cls, evidence: Evidence, codes: Codes, labels: Sequence[str]) -> Correction:
        """What the factory's embeddings (n, d) uint8 with their n labels ask for beyond their statistics."""
        fitted = fit_on(_from_factory(evidence), codes, labels)
        return Correction(fitted.labels, fitted.weights, fitted.bias)

    def scores(self, codes: Numbers) -> Floats:
        """(n, d) → (n, C) float32 log-posteriors up to a constant for each row."""
        return self.base.scores(codes) + self._corrections(codes)

    def holdout_scores(self, evidence: Evidence) -> Floats:
        """As :meth:`scores`, without most of the work."""
        return self.base.holdout_scores(evidence) + self._corrections(evidence.holdout)

    def slopes(self, point: Floats) -> Floats:
        """Codes (d,) float32 → (C, d) by how much each score rises with each code there."""
        return self.base.slopes(point) + self.weights

    def closed_form(self, transform: CodeTransform) -> ClosedForm:
        """The base's, with other weights."""
        base = self.base.closed_form(transform)
        bias = base.bias + self.bias - self.weights @ self.base.centre
        return ClosedForm(base.weights + self.weights, bias, base.quadratic)

    def _corrections(self, codes: Numbers) -> Floats:
        return np.asarray((codes - self.base.centre) @ self.weights.T + self.bias, np.float32)


def _from_factory(evidence: Evidence) -> Softmax:
    """With the factory's correction; none for classes it does not know."""
    base = Predictive.fit(evidence)
    weights, bias = np.zeros_like(base.weights), np.zeros_like(base.bias)
    correction = evidence.correction
    for row, label in enumerate(correction.labels if correction is not None else ()):
        if correction is not None and label in base.labels:
            column = base.labels.index(label)
            weights[column], bias[column] = correction.weights[row], correction.bias[row]
    return Softmax(base.labels, base, weights, bias)


def fit_on(start: Softmax, codes: Codes, labels: Sequence[str]) -> Softmax:
    """``start``, with its correction moved to where the cross-entropy of these embeddings (n, d) is least."""
    precision = start.base.precision
    if precision is None or len(codes) == 0 or len(start.labels) < 2:
        return start
    root = np.linalg.cholesky(precision.matrix)
    whitened = (codes - start.base.centre) @ root
    offsets = start.scores(codes).astype(np.float64)
    offsets -= offsets.max(axis=1, keepdims=True)
    targets = np.zeros_like(offsets)
    targets[np.arange(len(labels)), [start.labels.index(label) for label in labels]] = 1.0
    shape = (len(start.labels), whitened.shape[1] + 1)

    def objective(flat: Vector) -> tuple[float, Vector]:
        """Cross-entropy and penalty of u and the bias beside it, (C, d + 1) flat; and the gradient."""
        change = flat.reshape(shape)
        scores = offsets + whitened @ change[:, :-1].T.astype(np.float32) + change[:, -1]
        scores -= scores.max(axis=1, keepdims=True)
        shares = np.exp(scores)
        totals = shares.sum(axis=1, keepdims=True)
        loss = float(np.log(totals).sum() - (scores * targets).sum()) + 0.5 * STIFFNESS * float(flat @ flat)
        error = shares / totals - targets
        gradient = STIFFNESS * change
        gradient[:, :-1] += error.T.astype(np.float32) @ whitened
        gradient[:, -1] += error.sum(axis=0)
        return loss, gradient.ravel()

    change = minimise(objective, np.zeros(shape[0] * shape[1]), _TOLERANCE).reshape(shape)
    weights = start.weights + (change[:, :-1].astype(np.float32) @ root.T)
    return Softmax(start.labels, start.base, weights, start.bias + change[:, -1].astype(np.float32))
