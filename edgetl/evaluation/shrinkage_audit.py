"""Is the head's shrinkage, which follows a rule, near the best? Asked of the holdout; nothing is tuned on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgetl_device.bundle.bundle import Bundle
from edgetl_device.bundle.possible import sound_content
from edgetl_device.heads.class_moments import class_moments
from edgetl_device.heads.evidence import Evidence
from edgetl_device.heads.precision import Precision
from edgetl_device.heads.predictive import solve_predictive
from edgetl_device.heads.symmetric import Symmetric

STRENGTHS = tuple(2.0**power for power in range(-6, 7))
TOLERATED = 0.02  # of held-out accuracy; the best of thirteen is better than the rule by luck alone


@dataclass(frozen=True)
class Audit:
    """Held-out accuracy by strength of shrinkage, as a multiple of the rule's.

    Args:
        accuracies: strength → accuracy, 0 … 1; 1.0 is the rule.
        samples: size of the holdout.
    """

    accuracies: dict[float, float]
    samples: int

    @property
    def best(self) -> float:
        """The strength of highest accuracy; of several the nearest to the rule."""
        top = max(self.accuracies.values())
        return min((s for s, a in self.accuracies.items() if a == top), key=lambda strength: abs(np.log(strength)))

    @property
    def lost(self) -> float:
        """What the rule loses against the best."""
        return self.accuracies[self.best] - self.accuracies[1.0]

    def __str__(self) -> str:
        rule, best = self.accuracies[1.0], self.accuracies[self.best]
        measured = (
            f"shrinkage by rule: {rule:.3f} on {self.samples} held-out photos; best, at {self.best:g} × it: {best:.3f}"
        )
        if self.lost <= TOLERATED:
            return measured
        return f"warning: {measured}. Few or very uneven photos? More of them help most; please report the data set"


def audit_shrinkage(evidence: Evidence) -> Audit | None:
    """The predictive head at every strength, from one eigendecomposition; None where there is nothing to ask.

    With the scatter in units of the diagonal it is shrunk to, D⁻½ S D⁻½ = Q Λ Qᵀ, the inverse of S + t D is
    D⁻½ Q (Λ + t)⁻¹ Qᵀ D⁻½ for every t (Hastie and Tibshirani, "Efficient quadratic regularization for expression
    arrays", Biostatistics 2004, https://doi.org/10.1093/biostatistics/kxh010).
    """
    moments = class_moments(evidence)
    index = {label: row for row, label in enumerate(moments.labels)}
    rows = [row for row, label in enumerate(evidence.holdout_labels) if label in index]
    if not rows or len(index) < 2 or moments.precision is None:
        return None
    truth = np.array([index[evidence.holdout_labels[row]] for row in rows])
    codes = evidence.holdout[rows]
    rule = moments.precision
    unit = np.sqrt(rule.penalty)
    shrunk = np.linalg.inv(rule.matrix.astype(np.float64)) * rule.samples  # S + D
    values, vectors = np.linalg.eigh(shrunk / np.outer(unit, unit))  # Λ + 1
    vectors /= unit[:, None]
    accuracies = {}
    for strength in STRENGTHS:
        inverse = (vectors / np.maximum(values - 1.0 + strength, 1e-6)) @ vectors.T
        precision = Precision(
            Symmetric.of(inverse.astype(np.float32)),
            np.zeros((0, len(unit)), np.float32),
            np.diagonal(inverse).copy(),
            strength * rule.penalty,
            rule.samples,
        )
        scores = solve_predictive(replace(moments, precision=precision), evidence.centre).scores(codes)
        accuracies[strength] = float((scores.argmax(axis=1) == truth).mean())
    return Audit(accuracies, len(rows))


def audit_bundle(bundle: Bundle) -> str:
    """What the audit says of a bundle's factory statistics, for a person."""
    factory = sound_content(bundle)
    audit = audit_shrinkage(factory.evidence(factory.holdout[:0], (), ""))
    return "shrinkage by rule: no holdout to audit it on" if audit is None else str(audit)
