"""Heads: embedding → class scores, each a deterministic function of exact statistics; one learning rule a file."""

__all__ = [
    "class_moments",
    "contributions",
    "evidence",
    "head",
    "neighbours",
    "novelty",
    "precision",
    "precision_file",
    "predictive",
    "registry",
    "scorer",
]
