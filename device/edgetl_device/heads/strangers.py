"""What the factory alone knows, to tell strangers by: what is taught on the device moves no score and no threshold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..codes import Codes
from ..statistics import no_statistics
from .class_moments import class_moments
from .evidence import Evidence
from .gaussian import covariances_of, solve_gaussian
from .relative import FALSE_ALARMS, RelativeDistance
from .space import Space


def relative_of(evidence: Evidence) -> RelativeDistance:
    """Of the factory's classes that are not hidden, with a threshold from the holdout, which there must be."""
    if evidence.solution.relative is None:
        shown = np.array([label not in evidence.hidden for label in evidence.holdout_labels], bool)
        evidence.solution.relative = fit_relative(evidence, evidence.space, evidence.holdout[shown])
    return evidence.solution.relative


def fit_relative(evidence: Evidence, space: Space, known: Codes) -> RelativeDistance:
    """Known: (h, d) uint8 held-out codes of the classes, at least one."""
    factory = evidence.factory
    nothing = no_statistics(factory.backbone, factory.dimension, factory.projection)
    alone = replace(evidence, device=nothing, recent=evidence.recent[:0], recent_labels=())
    alone.solution.core = space.precision
    moments = class_moments(alone)
    covariances = covariances_of(alone, moments) if space.basis.shape[1] else None
    rule = solve_gaussian(moments, covariances, space.centre)
    classes, curvatures = np.zeros(0, np.intp), np.zeros((0, 0, 0), np.float32)
    if rule.term is not None:  # t = along · turn, as its directions are in the span of the basis
        turn = space.basis.T @ rule.term.directions.T
        classes, curvatures = rule.term.classes, turn @ rule.term.curvatures @ turn.T
    found = RelativeDistance(rule.base.weights, rule.base.slope, rule.base.bias, classes, curvatures, 0.0)
    # Of n held-out photos the k-th has k / (n + 1) of all others below it on the mean; NumPy's default has more.
    return replace(found, threshold=float(np.quantile(found(space(known)), FALSE_ALARMS, method="weibull")))
