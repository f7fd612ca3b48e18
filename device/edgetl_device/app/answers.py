"""What heads say of embeddings that several views gave: each view has its question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..codes import Codes
from ..inference.classifier import Classifier, Prediction, predictions
from ..looking import Looking
from ..view_names import ViewName

NOTHING_KNOWN = Prediction(None, 0.0, True, ())


@dataclass(frozen=True, eq=False)
class Watched:
    """A view that is recognised.

    Args:
        name: of its camera and region.
        looking: how frames are prepared for it.
        group: the group of labels that it asks about; None for the labels without a group.
    """

    name: ViewName
    looking: Looking
    group: str | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What heads say of one embedding: what the view asks, and what the groups say that no view is bound to."""

    instant: Prediction
    groups: dict[str, Prediction]


def answers(classifier: Classifier, codes: Codes, asked: Sequence[str | None], bound: frozenset[str]) -> list[Answer]:
    """(n, d) uint8 codes → n Answers, all labels in ``top``.

    Args:
        asked: the group that each row's view asks about.
        bound: all groups that a view asks about: no other view is asked them.
    """
    found: list[Answer] = [Answer(NOTHING_KNOWN, {}) for _ in asked]
    for group in dict.fromkeys(asked):
        rows = [row for row, each in enumerate(asked) if each == group]
        some = codes if len(rows) == len(asked) else codes[np.array(rows)]
        if group is None:
            told = classifier.classify_codes(some, top=max(1, len(classifier.head.labels)))
            free = {name: head for name, head in classifier.groups.items() if name not in bound}
            others = {name: predictions(head, some, max(1, len(head.labels))) for name, head in free.items()}
        elif group in classifier.groups:
            head = classifier.groups[group]
            told, others = predictions(head, some, max(1, len(head.labels))), {}
        else:  # nothing was taught in it yet
            continue
        for place, row in enumerate(rows):
            found[row] = Answer(told[place], {name: each[place] for name, each in others.items()})
    return found
