"""How sure may a head be? One temperature for what resembles the holdout, and a higher one the less a photo does.

A temperature fitted on held-out photos (Guo et al. 2017, https://arxiv.org/abs/1706.04599) holds for photos like these.
In another scene, or before a thing that was shown once, a head is wrong more often and just as sure. How far such a
photo is from the bundled embeddings and from what was learned here says how little the temperature can be trusted
(compare Xiong et al., "Proximity-Informed Calibration", NeurIPS 2023, https://arxiv.org/abs/2306.04590):

    T = T₀ · (1 + β u²) · (1 + γ · mean over classes of 1 / (1 + n)),   u = (usual − nearness) / (usual − lowest), 0 … 4

with nearness the mean cosine to the five nearest, of which the holdout's median is the usual one and its 5 % quantile
the lowest, and n the samples of a class. T₀ is fitted on the holdout, each left out of what it is compared with. The
order of the labels never changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..metrics import fit_temperature
from .evidence import Evidence
from .neighbours import Bank, Vectors, mean_of_nearest, unit
from .novelty import newest
from .scatter import aligned_counts

SLOPE = 0.6  # β: the best of 0.3 to 1 on near, far and scene of ``benchmarks/calibration``
MOST_AWAY = 4.0  # of u
FEW_SHARE = 3.0  # γ: the best of 0 to 5 on the same
_ITSELF = 1 - 1e-6  # cosine of what is the same photo
LOWEST = 0.05  # quantile of nearness where u is 1


@dataclass(frozen=True, eq=False)
class Calibration:
    """What scores are divided by.

    Args:
        temperature: T₀ and what few samples make of it.
        known: (k, d) float32 unit vectors of the holdout and of what was learned here.
        usual: median mean cosine of the holdout to its nearest others.
        width: how far the lowest 5 % of these lie below it; 0 where too little is known to tell.
        origin: code of the value 0.
    """

    temperature: float
    known: Vectors
    usual: float
    width: float
    origin: int

    def temperatures(self, codes: Codes, *, known: bool = False) -> npt.NDArray[np.float32]:
        """(n, d) uint8 → (n, 1) float32.

        Args:
            known: the codes are among what is known, and none is compared with itself.
        """
        if self.width <= 0:
            return np.full((len(codes), 1), self.temperature, np.float32)
        cosine = unit(codes, self.origin) @ self.known.T
        if known:
            cosine[cosine > _ITSELF] = -1.0
        near = mean_of_nearest(cosine)
        return np.asarray(self.temperature * _factor(near, self.usual, self.width), np.float32)[:, None]


def constant(temperature: float) -> Calibration:
    """One temperature for everything."""
    return Calibration(temperature, np.zeros((0, 0), np.float32), 0.0, 0.0, 0)


def calibrate(
    evidence: Evidence, labels: tuple[str, ...], scores: npt.NDArray[np.float32], truth: npt.NDArray[np.intp]
) -> Calibration:
    """Scores (b, C) of the holdout that is shown, which must be enough, and its b labels → Calibration."""
    bank = evidence.bank
    lowest, usual = (float(value) for value in np.quantile(bank.familiarity, [LOWEST, 0.5]))
    width = max(usual - lowest, 1e-6)
    rows = _asked(bank)
    factor = _factor(bank.familiarity, usual, width)
    temperature = fit_temperature(scores[rows] / factor[:, None], truth[rows])
    counts = aligned_counts(evidence.factory, labels) + aligned_counts(evidence.device, labels)
    recent = unit(evidence.recent[newest(evidence.recent_labels)], evidence.origin)
    known = np.concatenate([bank.vectors, recent])
    few = 1.0 + FEW_SHARE * float((1.0 / (1.0 + counts)).mean())
    return Calibration(temperature * few, known, usual, width, evidence.origin)


def _factor(near: Vectors, usual: float, width: float) -> Vectors:
    away = np.clip((usual - near) / width, 0.0, MOST_AWAY)
    return np.asarray(1.0 + SLOPE * away**2, np.float32)


def _asked(bank: Bank) -> npt.NDArray[np.intp]:
    """Rows of the bank that :attr:`~.neighbours.Bank.familiarity` is of: all, or some, evenly spread."""
    asked = len(bank.familiarity)
    return np.linspace(0, len(bank.vectors) - 1, asked).round().astype(np.intp)
