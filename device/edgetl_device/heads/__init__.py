"""Heads: embedding → class scores, each a deterministic function of exact statistics."""

from .evidence import Correction, Evidence, empty_evidence, extend, gather
from .head import DEFAULT, HEADS, Head, fit_head
from .lda import solve_lda
from .moments import Moments, log_prior, moments
from .predictive import Predictive, solve_predictive
from .softmax import fit_correction

__all__ = [
    "DEFAULT",
    "HEADS",
    "Correction",
    "Evidence",
    "Head",
    "Moments",
    "Predictive",
    "empty_evidence",
    "extend",
    "fit_correction",
    "fit_head",
    "gather",
    "log_prior",
    "moments",
    "solve_lda",
    "solve_predictive",
]
