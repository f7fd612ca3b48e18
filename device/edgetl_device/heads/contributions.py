"""What each feature of one photo adds to the score of a label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Codes, CodeTransform
from .scorer import Floats, Scorer

_GAUSS = (0.5 - 0.5 / 3**0.5, 0.5 + 0.5 / 3**0.5)  # of two points on 0 … 1: exact for slopes up to cubic


@dataclass(frozen=True, eq=False)
class Contributions:
    """The score of a label over the mean of the others', less that of the empty embedding, feature by feature.

    Args:
        shares: (d,) float32, what each feature adds.
        score: what they would add up to if nothing were left out.
    """

    shares: Floats
    score: float


def contributions(scorer: Scorer, codes: Codes, transform: CodeTransform, number: int) -> Contributions:
    """One photo's codes (d,) uint8 → what each feature adds to the score of ``scorer.labels[number]``.

    That is the integral of the score's slope on the way from the empty embedding to this one (Integrated Gradients,
    Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365), by Gauss' rule. What all labels share moves no
    decision, so the mean of the other scores is subtracted; there must be others.
    """
    empty = np.full(len(codes), transform.origin, np.float32)
    path = codes.astype(np.float32) - empty
    slopes = np.mean([scorer.slopes(empty + np.float32(at) * path) for at in _GAUSS], axis=0)
    ends = scorer.scores(np.stack([codes.astype(np.float32), empty])).astype(np.float64)
    score = _over_the_others(ends.T, number)
    shares = np.asarray(_over_the_others(slopes, number) * path, np.float32)
    return Contributions(shares, float(score[0] - score[1]))


def _over_the_others(rows: npt.NDArray[np.floating], number: int) -> npt.NDArray[np.floating]:
    """(C, k) → (k,) one row less the mean of the others."""
    return np.asarray(rows[number] - (rows.sum(axis=0) - rows[number]) / (len(rows) - 1))
