"""Have I seen this kind of thing? Everything that is known is asked, and a threshold says below what it is none of it.

A bundle with enough held-out photos sets the threshold on them (:mod:`.relative`). Where there are none, the device's
own samples are compared with each other, each left out in turn, by their mean cosine to the nearest of the others (Sun
et al., "Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022, https://arxiv.org/abs/2204.06507): so
there is a threshold from the second sample on. What was taught here is recognised besides (:mod:`.taught`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..labels import NOTHING
from .evidence import Evidence
from .neighbours import ENOUGH, NEIGHBOURS, Bank, Vectors, mean_of_nearest, unit
from .relative import RelativeDistance, Space, fit_relative
from .taught import Taught, fit_taught, taught_labels

RECENT_PER_CLASS = 64  # device samples of each class that are remembered here, the newest
MOST_RECENT = 4096  # of all classes together: 5 MB, and what one frame is compared with
DEVIATIONS = 1.8  # below the mean likeness of samples to each other, for many samples
DOUBT = 6.0  # samples for which half of that is enough: a few show less likeness than more would
USUAL_DEVIATION = 0.05  # of likeness; worth two samples

TOO_LITTLE_TAUGHT = "cannot recognise strangers yet: teach a second thing"
TOO_FEW_HELD_OUT = f"cannot recognise strangers: the bundle was made with fewer than {ENOUGH} held-out photos"


@dataclass(frozen=True, eq=False)
class Novelty:
    """What is known, and the thresholds below which a thing is not.

    Args:
        known: (k, d) float32 unit vectors: the holdout, then device samples.
        origin: code of the value 0.
        threshold: mean cosine to the nearest of the known; −inf where one sample or none is known.
        space: None where nothing is asked there.
        relative: None where there is no holdout to set its threshold on; it then stands in place of the cosine.
        taught: None where nothing was taught that has to be recognised besides.
        shortcoming: for a person, why nothing can be called unknown; empty where strangers are.
        background: (b, d) float32 unit vectors: what was taught as nothing; a part of the scene.
    """

    known: Vectors
    origin: int
    threshold: float
    space: Space | None = None
    relative: RelativeDistance | None = None
    taught: Taught | None = None
    shortcoming: str = ""
    background: Vectors | None = None

    def familiarity(self, codes: Codes) -> npt.NDArray[np.floating]:
        """(n, d) uint8 → (n,), the larger the more familiar: relative distances, or cosines."""
        if self.relative is not None and self.space is not None:
            return self.relative(self.space(codes))
        return self._cosine(codes)

    def is_unknown(self, codes: Codes) -> npt.NDArray[np.bool_]:
        """(n, d) uint8 → (n,) bool: neither familiar nor like what was taught here."""
        whitened = self.space(codes) if self.space is not None else None
        if self.relative is not None and whitened is not None:
            unknown = self.relative(whitened) < self.relative.threshold
        else:
            unknown = self._cosine(codes) < self.threshold
        if self.taught is not None and whitened is not None:
            unknown = unknown & ~self.taught.recognises(whitened)
        return np.asarray(unknown)

    def _cosine(self, codes: Codes) -> Vectors:
        return mean_of_nearest(unit(codes, self.origin) @ self.known.T)


def fit_novelty(evidence: Evidence) -> Novelty:
    """A deterministic function of the evidence."""
    nothing = [row for row in newest(evidence.recent_labels) if evidence.recent_labels[row] == NOTHING]
    return replace(_fitted(evidence), background=unit(evidence.recent[nothing], evidence.origin))


def _fitted(evidence: Evidence) -> Novelty:
    bank, labels = evidence.bank, taught_labels(evidence)
    chosen = [row for row in newest(evidence.recent_labels) if evidence.recent_labels[row] in labels]
    known = np.concatenate([bank.vectors, unit(evidence.recent[chosen], evidence.origin)])
    if bank.enough:
        space = Space(evidence.centre, evidence.factory_core)
        taught = fit_taught(evidence, space, labels) if labels else None
        return Novelty(known, evidence.origin, float("-inf"), space, fit_relative(evidence), taught)
    if not set(evidence.factory.labels) <= evidence.hidden:  # known, but nothing tells how alike its things are
        return Novelty(known, evidence.origin, float("-inf"), shortcoming=TOO_FEW_HELD_OUT)
    names = [evidence.recent_labels[row] for row in chosen]
    threshold = _left_out(Bank(known, np.asarray(names, np.str_)))
    few = _outnumbered(Counter(names), labels)
    if not few:
        return Novelty(known, evidence.origin, threshold, shortcoming="" if len(known) > 1 else TOO_LITTLE_TAUGHT)
    space = Space(evidence.centre, None)  # samples so few that a precision of them would have seen every one
    return Novelty(known, evidence.origin, threshold, space, None, fit_taught(evidence, space, few))


def _left_out(known: Bank) -> float:
    """Below the likeness of samples to each other, by a share of its deviation that grows with their number."""
    count = len(known.vectors)
    if count < 2:
        return float("-inf")
    likeness = known.familiarity.astype(np.float64)
    squares = float(np.square(likeness - likeness.mean()).sum())
    deviation = float(np.sqrt((squares + 2 * USUAL_DEVIATION**2) / (len(likeness) + 1)))
    alone = len(set(known.labels)) == count  # likeness between classes alone: less than within them
    share = 1.0 if alone else count / (count + DOUBT)
    return float(likeness.mean()) - DEVIATIONS * share * deviation


def _outnumbered(counts: Counter[str], labels: Sequence[str]) -> list[str]:
    """Classes with too few samples to be the nearest neighbours of their own, where others have enough."""
    if max(counts.values(), default=0) < NEIGHBOURS:
        return []
    return [label for label in labels if counts[label] < NEIGHBOURS]


def remembered_per_class(counts: Iterable[int]) -> int:
    """Samples of each class → how many of a class may be remembered: 64, or as many as keep within the total."""
    sizes = np.minimum(np.fromiter(counts, np.int64), RECENT_PER_CLASS)
    most = RECENT_PER_CLASS
    while most > 1 and int(np.minimum(sizes, most).sum()) > MOST_RECENT:
        most -= 1
    return most


def newest(labels: Sequence[str]) -> list[int]:
    """Indices of the newest of each label that are remembered, ascending."""
    most = remembered_per_class(Counter(labels).values())
    kept: Counter[str] = Counter()
    chosen = []
    for row in range(len(labels) - 1, -1, -1):
        kept[labels[row]] += 1
        if kept[labels[row]] <= most:
            chosen.append(row)
    return chosen[::-1]
