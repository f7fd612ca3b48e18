"""Heads: embedding → class scores, each a deterministic function of exact statistics."""

from .evidence import Evidence, Moments, empty_evidence, gather, moments
from .head import DEFAULT, HEADS, Head, fit_head
from .lda import solve_lda
from .predictive import Predictive, solve_predictive

__all__ = [
    "DEFAULT",
    "HEADS",
    "Evidence",
    "Head",
    "Moments",
    "Predictive",
    "empty_evidence",
    "fit_head",
    "gather",
    "moments",
    "solve_lda",
    "solve_predictive",
]
