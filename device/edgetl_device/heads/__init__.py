"""Heads: embedding → class scores, each a deterministic function of exact statistics."""

from .class_moments import ClassMoments, class_moments, log_prior
from .evidence import Correction, Evidence, empty_evidence, extend, gather, hand_on
from .head import DEFAULT, HEADS, Head, fit_head
from .lda import Linear, solve_lda
from .leave_one_out import left_out_scores
from .novelty import RECENT_PER_CLASS, Novelty
from .precision import MOST_ROWS
from .predictive import Predictive, solve_predictive
from .softmax import Softmax, fit_correction

__all__ = [
    "DEFAULT",
    "HEADS",
    "MOST_ROWS",
    "RECENT_PER_CLASS",
    "ClassMoments",
    "Correction",
    "Evidence",
    "Head",
    "Linear",
    "Novelty",
    "Predictive",
    "Softmax",
    "class_moments",
    "empty_evidence",
    "extend",
    "fit_correction",
    "fit_head",
    "gather",
    "hand_on",
    "left_out_scores",
    "log_prior",
    "solve_lda",
    "solve_predictive",
]
