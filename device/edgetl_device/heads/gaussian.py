"""Gaussian classes, each with a covariance of its own where samples tell it: the predictive rule and one term more.

The predictive rule (:mod:`.predictive`) measures all classes by one scatter. Along a few directions there are samples
enough to tell how each class varies by itself (:mod:`.class_covariances`). The Gaussian that has the class's own
covariance along these directions, and given them the shared one for all others, has

    log p(c | x) = predictive − ½ [ (p − p_c)ᵀ (Π_c⁻¹ − Π⁻¹) (p − p_c) / s_c + ln det Π_c − ln det Π ]

with p the projection of a sample and p_c that of its class's mean. A class of few samples has Π_c = Π; it gets what the
factory's classes usually gain by the term, or it would lose to them by that. Without a projection, as in bundles of
format 1, this is the predictive rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..codes import Codes, CodeTransform
from .class_covariances import ClassCovariances, ClassScatter, class_covariances, class_scatter
from .class_moments import ClassMoments, class_moments, posterior
from .evidence import Evidence
from .leave_one_out import distances_without_each
from .leave_one_out_own import terms_without_each
from .precision import Precision
from .predictive import VOLUME_SHARE as PREDICTIVE_SHARE
from .predictive import Predictive, drawn_means, solve_predictive
from .scatter import freedom
from .scorer import ClassTerm, ClosedForm, Floats, Numbers, Scorer

VOLUME_SHARE = 0.55  # ρ, where classes have covariances of their own
_BLOCK_ROWS = 512  # scored at once, to spare memory
_PRODUCTS = 1 << 18  # numbers in memory at once


@dataclass(frozen=True, eq=False)
class Gaussian(Scorer):
    """Scores of a predictive discriminant, less ½ tᵀ K_c t for classes with a covariance of their own.

    Args:
        labels: (C,), the base's.
        base: whose weights and bias hold what is linear in the term.
        term: the quadratic rest; None where no class has a covariance of its own.
        whitening: (q, q) float32 that makes t of projections; None where there is no term.
    """

    has_slopes: ClassVar[bool] = True

    labels: tuple[str, ...]
    base: Predictive
    term: ClassTerm | None
    whitening: Floats | None = None

    @classmethod
    def fit(cls, evidence: Evidence) -> Gaussian:
        """The Gaussian rule for everything known."""
        moments = class_moments(evidence)
        centre = evidence.centre if moments.precision is not None else None
        return solve_gaussian(moments, covariances_of(evidence, moments), centre)

    @property
    def precision(self) -> Precision | None:
        """Of the scatter that all classes share."""
        return self.base.precision

    def scores(self, codes: Numbers) -> Floats:
        """(n, d) → (n, C) float32 log-posteriors up to a constant for each row."""
        scores = self.base.scores(codes)
        if self.term is not None:
            for start in range(0, len(codes), _BLOCK_ROWS):
                block = (codes[start : start + _BLOCK_ROWS] - self.term.centre).astype(np.float32, copy=False)
                _subtract(self.term, block @ self.term.directions.T, scores[start : start + _BLOCK_ROWS])
        return scores

    def holdout_scores(self, evidence: Evidence) -> Floats:
        """As :meth:`scores`, without most of the work."""
        scores = self.base.holdout_scores(evidence)
        if self.term is not None and self.whitening is not None:
            _subtract(self.term, evidence.holdout_projected @ self.whitening.T, scores)
        return scores

    def scores_without_each(self, evidence: Evidence, codes: Codes, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """In closed form (see :mod:`.leave_one_out` and :mod:`.leave_one_out_own`)."""
        moments = class_moments(evidence)
        found = class_scatter(evidence, moments.labels)
        covariances = None if found is None else _covariances(found, evidence, moments)
        if found is None or covariances is None:
            return self.base.scores_without_each(evidence, codes, labels)
        distances, spread = distances_without_each(evidence, moments, codes, labels)
        unseen = moments.precision.unseen if moments.precision is not None else 0.0
        shared = moments.log_prior - 0.5 * (distances / spread + VOLUME_SHARE * unseen * np.log(spread))
        return np.asarray(shared + terms_without_each(evidence, moments, found, covariances, codes, labels))

    def slopes(self, point: Floats) -> Floats:
        """Codes (d,) float32 → (C, d) by how much each score rises with each code there."""
        slopes = self.base.slopes(point).copy()
        if self.term is not None:
            along = self.term.directions @ (point - self.term.centre)
            slopes[self.term.classes] -= (self.term.curvatures @ along) @ self.term.directions
        return slopes

    def closed_form(self, transform: CodeTransform) -> ClosedForm:
        """The base's, and the classes' own quadratic terms."""
        return replace(self.base.closed_form(transform), own=self.term)


def covariances_of(evidence: Evidence, moments: ClassMoments) -> ClassCovariances | None:
    """Of the classes in ``moments``; None where no projection tells them."""
    found = class_scatter(evidence, moments.labels)
    return None if found is None else _covariances(found, evidence, moments)


def _covariances(found: ClassScatter, evidence: Evidence, moments: ClassMoments) -> ClassCovariances | None:
    precision = moments.precision
    if precision is None:
        return None
    degrees = max(freedom(evidence.factory), 0) + max(freedom(evidence.device), 0)
    return class_covariances(found, precision.penalty, evidence.shifts, precision.samples, degrees)


def solve_gaussian(
    moments: ClassMoments, covariances: ClassCovariances | None, centre: Floats | None = None
) -> Gaussian:
    """Moments and covariances → Gaussian, expanded at ``centre`` (d,); also of float features."""
    if covariances is None:
        return Gaussian(moments.labels, solve_predictive(moments, centre, PREDICTIVE_SHARE), None)
    base = solve_predictive(moments, centre, VOLUME_SHARE)
    bias = base.bias + covariances.bias
    if not len(covariances.classes):
        return Gaussian(moments.labels, replace(base, bias=bias.astype(np.float32)), None)
    classes = covariances.classes
    _, spread = posterior(moments.effective[classes])
    curvatures = covariances.curvatures / spread[:, None, None]
    means = (drawn_means(moments)[classes] - base.centre) @ covariances.directions.T
    pulled = np.einsum("kqr,kr->kq", curvatures, means)
    weights = base.weights.astype(np.float64)
    weights[classes] += pulled @ covariances.directions
    bias[classes] -= 0.5 * np.einsum("kq,kq->k", pulled, means)
    linear = replace(base, weights=weights.astype(np.float32), bias=bias.astype(np.float32))
    directions, whitening = (matrix.astype(np.float32) for matrix in (covariances.directions, covariances.whitening))
    term = ClassTerm(base.centre, directions, classes, curvatures.astype(np.float32))
    return Gaussian(moments.labels, linear, term, whitening)


def _subtract(term: ClassTerm, along: Floats, scores: Floats) -> None:
    """½ tᵀ K t of (n, q) t from the columns of scores (n, C), in place; some classes at once, to spare memory."""
    some = max(1, _PRODUCTS // max(along.size, 1))
    for start in range(0, len(term.classes), some):
        products = np.matmul(along, term.curvatures[start : start + some])
        scores[:, term.classes[start : start + some]] -= 0.5 * np.einsum("knq,nq->nk", products, along)
