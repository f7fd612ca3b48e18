"""Heads: embedding → class scores, each a deterministic function of exact statistics."""

from .evidence import Evidence, Moments, empty_evidence, gather, moments
from .head import DEFAULT, HEADS, Head, fit_head
from .lda import solve_lda
from .left_out import left_out_scores
from .novelty import RECENT_PER_CLASS, Novelty
from .predictive import Predictive, solve_predictive

__all__ = [
    "DEFAULT",
    "HEADS",
    "RECENT_PER_CLASS",
    "Evidence",
    "Head",
    "Moments",
    "Novelty",
    "Predictive",
    "empty_evidence",
    "fit_head",
    "gather",
    "left_out_scores",
    "moments",
    "solve_lda",
    "solve_predictive",
]
