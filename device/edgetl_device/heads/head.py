"""A head: embedding → class probabilities, or "I do not know this"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Arrays, text_array, text_values
from ..codes import Codes
from ..errors import InputError
from ..metrics import softmax
from .evidence import Evidence
from .familiar import ENOUGH, Familiarity, fit_familiarity
from .lda import Linear, fit_lda
from .prototype import Prototypes, fit_prototypes, unit

DEFAULT = "familiar"
_MEMBERS = frozenset({"rule", "labels", "weights", "bias", "owner", "vectors", "origin", "temperatures", "thresholds"})


@dataclass(frozen=True, eq=False)
class Head:
    """What one version of the store holds, and what a bundle ships.

    Args:
        rule: a key of :data:`HEADS`.
        linear: the LDA part.
        prototypes: the nearest-prototype part.
        familiarity: which of the two to ask, and when to answer "unknown".
        temperatures: of the linear and of the prototype scores (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
        stranger: cosine to the nearest prototype below which an unfamiliar thing is unknown.
    """

    rule: str
    linear: Linear
    prototypes: Prototypes
    familiarity: Familiarity
    temperatures: tuple[float, float] = (1.0, 0.05)
    stranger: float = float("-inf")

    @property
    def labels(self) -> tuple[str, ...]:
        """(C,) what can be predicted, sorted."""
        return self.linear.labels

    def predict(self, codes: Codes) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """(n, d) uint8 codes → (n, C) probabilities and (n,) whether the thing is unknown.

        An unknown thing still gets its probabilities: they say what it would be if it had to be something.
        """
        probabilities, familiar, nearest = self._answers(codes)
        return probabilities, ~familiar & (nearest < self.stranger)

    def novelty(self, codes: Codes) -> npt.NDArray[np.float32]:
        """(n, d) uint8 → (n,) float32, the larger the stranger."""
        return -self.familiarity.similarity(codes)

    def _answers(self, codes: Codes) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        if not self.labels:
            nothing = np.zeros((len(codes), 0), np.float32)
            return nothing, np.zeros(len(codes), bool), np.full(len(codes), -np.inf, np.float32)
        cosine = self.prototypes.scores(codes)
        familiar = self.familiarity.is_familiar(codes)
        near = softmax(cosine / self.temperatures[1])
        far = softmax(self.linear.scores(codes) / self.temperatures[0])
        chosen = np.where(HEADS[self.rule](self, familiar)[:, None], far, near)
        return chosen.astype(np.float32), familiar, cosine.max(axis=1)

    def to_arrays(self) -> Arrays:
        """What is small: everything but the references, which bundle and store hold already."""
        return {
            "rule": text_array((self.rule,)),
            "labels": text_array(self.labels),
            "weights": self.linear.weights,
            "bias": self.linear.bias,
            "owner": self.prototypes.owner.astype(np.int32),
            "vectors": self.prototypes.vectors,
            "origin": np.array(self.prototypes.origin, np.int32),
            "temperatures": np.array(self.temperatures, np.float64),
            "thresholds": np.array([self.familiarity.threshold, self.stranger], np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, references: Codes) -> Head:
        """The inverse of :meth:`to_arrays`, given the references (r, d) uint8 it was fitted with."""
        try:
            (rule,) = text_values(arrays["rule"])
            labels = text_values(arrays["labels"])
            origin = int(arrays["origin"])
            temperatures = _pair(arrays["temperatures"])
            familiar, stranger = _pair(arrays["thresholds"])
            weights, bias = (arrays[name].astype(np.float32) for name in ("weights", "bias"))
            owner, vectors = arrays["owner"].astype(np.intp), arrays["vectors"].astype(np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not a head: {error}") from None
        shapes = weights.shape[0], bias.shape, owner.shape, vectors.shape
        if rule not in HEADS or shapes != (
            len(labels),
            (len(labels),),
            (len(vectors),),
            (len(owner), references.shape[1]),
        ):
            raise InputError(f"not a head: rule {rule!r}, shapes {shapes}")
        if ((owner < 0) | (owner >= len(labels))).any():
            raise InputError("not a head: a prototype without a class")
        familiarity = Familiarity(unit(references, origin), origin, familiar)
        prototypes = Prototypes(labels, owner, vectors, origin)
        return cls(rule, Linear(labels, weights, bias), prototypes, familiarity, temperatures, stranger)


def fit_head(evidence: Evidence, rule: str = DEFAULT) -> Head:
    """Evidence → Head; a deterministic function of the evidence.

    Raises:
        InputError: no such rule.
    """
    if rule not in HEADS:
        raise InputError(f"unknown head {rule!r}: expected one of {', '.join(HEADS)}")
    head = Head(rule, fit_lda(evidence), fit_prototypes(evidence), fit_familiarity(evidence))
    return _calibrate(head, evidence)


def _always_linear(head: Head, familiar: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.ones_like(familiar)


def _always_prototypes(head: Head, familiar: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.zeros_like(familiar)


def _two_questions(head: Head, familiar: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.asarray(familiar & np.isfinite(head.familiarity.threshold))


HEADS: dict[str, Callable[[Head, npt.NDArray[np.bool_]], npt.NDArray[np.bool_]]] = {
    "familiar": _two_questions,
    "lda": _always_linear,
    "prototype": _always_prototypes,
}
"""Rule name → which of n codes the linear part answers; the prototypes answer the others."""


def _calibrate(head: Head, evidence: Evidence) -> Head:
    """Temperatures and the unknown threshold, from the holdout only."""
    labels = {label: index for index, label in enumerate(head.labels)}
    rows = [index for index, label in enumerate(evidence.holdout_labels) if label in labels]
    if len(rows) < ENOUGH or len(labels) < 2:
        return head
    codes = evidence.holdout_codes[rows]
    truth = np.array([labels[evidence.holdout_labels[index]] for index in rows])
    cosine = head.prototypes.scores(codes)
    temperatures = (_temperature(head.linear.scores(codes), truth), _temperature(cosine, truth))
    return replace(head, temperatures=temperatures, stranger=float(np.quantile(cosine.max(axis=1), 0.05)))


def _temperature(scores: npt.NDArray[np.float32], truth: npt.NDArray[np.intp]) -> float:
    """The temperature of least negative log-likelihood, by golden-section search over its logarithm."""

    def loss(logarithm: float) -> float:
        chosen = softmax(scores / np.exp(logarithm))[np.arange(len(truth)), truth]
        return float(-np.log(np.maximum(chosen, 1e-12)).mean())

    low, high = -8.0, 8.0
    ratio = (5**0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    loss_left, loss_right = loss(left), loss(right)
    for _ in range(40):
        if loss_left < loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - ratio * (high - low)
            loss_left = loss(left)
        else:
            low, left, loss_left = left, right, loss_right
            right = low + ratio * (high - low)
            loss_right = loss(right)
    return float(np.exp((low + high) / 2))


def _pair(array: npt.NDArray[Any]) -> tuple[float, float]:
    if array.shape != (2,) or array.dtype.kind != "f":
        raise InputError("not a head: expected two numbers")
    return float(array[0]), float(array[1])
