"""How often is the head in use right when it says so many per cent? Asked of photos whose label is known.

These are the bundle's held-out photos, and what was learned here, each as if it had not been learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..heads.evidence import Evidence
from ..heads.head import Head
from ..labels import NOTHING
from ..metrics import expected_calibration_error, softmax
from ..percent import percent

BANDS = (0.0, 0.5, 0.7, 0.9, 1.0)  # of what the head says
FEW = 20  # photos, below which nothing is said about it
MOST_ASKED = 512  # photos of each kind: so many tell a share to two points, in a fraction of a second

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """Photos that the head is about equally sure of.

    Args:
        least, most: probability of the top label, 0 … 1.
        photos: how many.
        said: its mean.
        right: share of them that the head is right about.
    """

    least: float
    most: float
    photos: int
    said: float
    right: float


@dataclass(frozen=True)
class Reliability:
    """How well the probabilities of a head hold.

    Args:
        held_out, samples: how many photos were asked: of the bundle, and of what was learned here.
        bands: where there are photos, the least sure first.
        calibration_error: expected calibration error, 0 … 1; None where there are no photos.
        summary: for a person.
    """

    held_out: int
    samples: int
    bands: tuple[Band, ...]
    calibration_error: float | None
    summary: str

    def to_json(self) -> dict[str, Any]:
        """What REST answers."""
        return {
            "held_out": self.held_out,
            "samples": self.samples,
            "bands": [
                {name: round(value, 4) for name, value in vars(band).items()} | {"photos": band.photos}
                for band in self.bands
            ],
            "calibration_error": None if self.calibration_error is None else round(self.calibration_error, 4),
            "summary": self.summary,
        }


def reliability_of(head: Head, evidence: Evidence) -> Reliability:
    """Of a head on the evidence that it was fitted on."""
    held, samples = _held_out(head, evidence), _left_out(head, evidence)
    sure, right = (np.concatenate(parts) for parts in zip(held, samples, strict=True))
    bands = _bands(sure, right)
    error = expected_calibration_error(sure, right) if len(sure) else None
    return Reliability(len(held[0]), len(samples[0]), bands, error, summary(bands))


def summary(bands: tuple[Band, ...]) -> str:
    """One sentence, about the probabilities that are said most often.

    Example:
        >>> summary((Band(0.5, 0.7, 10, 0.61, 0.6), Band(0.9, 1.0, 90, 0.971, 0.9556)))
        'when it says 97 %, as for 90 of 100 photos, it is right in 96 % of cases'
        >>> summary((Band(0.5, 0.7, 1, 0.61, 0.6),))
        'not known yet: measured on 20 photos and more, and there is 1'
    """
    total = sum(band.photos for band in bands)
    if total < FEW:
        return f"not known yet: measured on {FEW} photos and more, and there {'is' if total == 1 else 'are'} {total}"
    most = max(bands, key=lambda band: band.photos)
    said, right = (percent(share) for share in (most.said, most.right))
    return f"when it says {said}, as for {most.photos} of {total} photos, it is right in {right} of cases"


def _held_out(head: Head, evidence: Evidence) -> tuple[Floats, npt.NDArray[np.bool_]]:
    rows = [row for row, label in enumerate(evidence.holdout_labels) if label in head.labels]
    rows = _some(rows)
    labels = [evidence.holdout_labels[row] for row in rows]
    return _asked(head, head.holdout_scores[rows].astype(np.float64), evidence.holdout[rows], labels)


def _left_out(head: Head, evidence: Evidence) -> tuple[Floats, npt.NDArray[np.bool_]]:
    known = set(head.labels) - {NOTHING}
    rows = _some([row for row, label in enumerate(evidence.recent_labels) if label in known])
    labels = [evidence.recent_labels[row] for row in rows]
    if not rows:
        return _asked(head, np.zeros((0, len(head.labels))), evidence.recent[rows], labels)
    scores = head.scorer.scores_without_each(evidence, evidence.recent[rows], labels)
    sound = np.flatnonzero(np.isfinite(scores).all(axis=1))  # others are all that their class has
    codes = evidence.recent[rows][sound]
    return _asked(head, scores[sound], codes, [labels[row] for row in sound])


def _asked(
    head: Head, scores: Floats, codes: npt.NDArray[np.uint8], labels: list[str]
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(n, C) scores of n known photos → how sure the head is of its answer, and whether that is right."""
    classes = [column for column, label in enumerate(head.labels) if label != NOTHING]
    if not labels or not classes:
        return np.zeros(0), np.zeros(0, bool)
    background = len(classes) < len(head.labels)
    temperatures = head.temperature if background else head.calibration.temperatures(codes, known=True)
    probabilities = softmax(scores[:, classes] / temperatures)
    names = np.asarray(head.labels, np.str_)[classes]
    right = names[probabilities.argmax(axis=1)] == np.asarray(labels, np.str_)
    return np.asarray(probabilities.max(axis=1), np.float64), right


def _some(rows: list[int]) -> list[int]:
    """As many as are asked, evenly spread."""
    if len(rows) <= MOST_ASKED:
        return rows
    return [rows[place] for place in np.linspace(0, len(rows) - 1, MOST_ASKED).round().astype(int).tolist()]


def _bands(sure: Floats, right: npt.NDArray[np.bool_]) -> tuple[Band, ...]:
    found = []
    for least, most in pairwise(BANDS):
        inside = (sure >= least) & ((sure < most) | (most == BANDS[-1]))
        if inside.any():
            count = int(inside.sum())
            found.append(Band(least, most, count, float(sure[inside].mean()), float(right[inside].mean())))
    return tuple(found)
