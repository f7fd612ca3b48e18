"""Classifier: backbone + head → Prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..codes import Codes
from ..heads.head import Head
from ..photos import Image
from .backbone import Backbone


@dataclass(frozen=True)
class Prediction:
    """What the classifier says of one photo.

    Args:
        label: the most probable label; None where no class is known at all.
        probability: its probability, 0 … 1.
        unknown: whether the thing resembles nothing that was learned.
        top: the most probable labels with their probabilities, best first.
    """

    label: str | None
    probability: float
    unknown: bool
    top: tuple[tuple[str, float], ...]


class Classifier:
    """A backbone and a head; :attr:`head` may be replaced between two frames.

    Args:
        groups: group of labels → its head, on the same backbone.
    """

    def __init__(self, backbone: Backbone, head: Head, groups: Mapping[str, Head] | None = None) -> None:
        self.backbone = backbone
        self.head = head
        self.groups: Mapping[str, Head] = groups or {}

    def classify(self, frame: Image, top: int = 3) -> Prediction:
        """(any, any, 3) uint8 BGR → Prediction."""
        return self.classify_codes(self.backbone.codes(self.backbone.embed(frame)[None]), top)[0]

    def classify_codes(self, codes: Codes, top: int = 3) -> list[Prediction]:
        """(n, d) uint8 → n Predictions."""
        return predictions(self.head, codes, top)

    def classify_groups(self, codes: Codes) -> dict[str, list[Prediction]]:
        """(n, d) uint8 → group → n Predictions, all labels in ``top``."""
        return {name: predictions(head, codes, max(1, len(head.labels))) for name, head in self.groups.items()}


def predictions(head: Head, codes: Codes, top: int = 3) -> list[Prediction]:
    """(n, d) uint8 codes → n Predictions."""
    labels, probabilities, unknown = head.recognise(codes)
    results = []
    for row, strange in zip(probabilities, unknown, strict=True):
        best = np.argsort(-row, kind="stable")[:top]
        ranked = tuple((labels[index], float(row[index])) for index in best)
        label, probability = ranked[0] if ranked else (None, 0.0)
        results.append(Prediction(label, probability, bool(strange) or not ranked, ranked))
    return results
