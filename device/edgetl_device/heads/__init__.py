"""Heads: embedding → class scores, each a deterministic function of exact statistics; one learning rule a file."""

__all__ = [
    "calibration",
    "class_covariances",
    "class_moments",
    "contributions",
    "evidence",
    "gaussian",
    "head",
    "neighbours",
    "novelty",
    "precision",
    "precision_file",
    "predictive",
    "registry",
    "relative",
    "scorer",
    "space",
    "strangers",
    "taught",
]
