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
from .evidence import Evidence
from .neighbours import ENOUGH, NEIGHBOURS, Bank, Vectors, mean_of_nearest, unit
from .relative import RelativeDistance
from .space import Space
from .strangers import relative_of
from .taught import Taught, fit_taught, taught_labels

RECENT_PER_CLASS = 64  # device samples of each class that are remembered here, the newest
MOST_RECENT = 4096  # of all classes together: 5 MB, and what one frame is compared with
DEVIATIONS = 1.8  # below the mean likeness of samples to each other, for many samples
DOUBT = 6.0  # samples for which half of that is enough: a few show less likeness than more would
MOST_COMPARED = 256  # samples of all classes that a frame's cosines are taken to, but five of each at least
USUAL_DEVIATION = 0.05  # of likeness; worth two samples

TOO_LITTLE_TAUGHT = "cannot recognise strangers yet: teach a second thing"
NOTHING_TAUGHT = "cannot recognise strangers yet: teach a first thing"
TOO_FEW_HELD_OUT = f"cannot recognise strangers: the bundle has fewer than {ENOUGH} held-out photos"


@dataclass(frozen=True, eq=False)
class Novelty:
    """What is known, and the thresholds below which a thing is not.

    Args:
        known: (k, d) float32 unit vectors: the holdout, then device samples; the newest where there are many.
        origin: code of the value 0.
        threshold: mean cosine to the nearest of the known; −inf where one sample or none is known.
        space: None where nothing is asked there.
        relative: None where there is no holdout to set its threshold on; it then stands in place of the cosine.
        taught: None where nothing was taught that has to be recognised besides.
        shortcoming: for a person, why nothing can be called unknown; empty where strangers are.
        scene: (s, d) float32 unit vectors: all that was seen, also as nothing; None where that is what is known.
    """

    known: Vectors
    origin: int
    threshold: float
    space: Space | None = None
    relative: RelativeDistance | None = None
    taught: Taught | None = None
    shortcoming: str = ""
    scene: Vectors | None = None

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
    names, bank = evidence.recent_labels, evidence.bank
    recent = newest(names)
    seen = unit(evidence.recent[recent], evidence.origin)
    scene = np.concatenate([bank.vectors, seen])
    if bank.enough:
        labels = taught_labels(evidence)
        taught = fit_taught(evidence, evidence.space, labels) if labels else None
        return Novelty(scene, evidence.origin, float("-inf"), evidence.space, relative_of(evidence), taught)
    if not set(evidence.factory.labels) <= evidence.hidden:  # known, but nothing tells how alike its things are
        return Novelty(scene, evidence.origin, float("-inf"), shortcoming=TOO_FEW_HELD_OUT)
    return replace(_by_own_samples(evidence, seen, [names[row] for row in recent]), scene=scene)


def _by_own_samples(evidence: Evidence, seen: Vectors, names: Sequence[str]) -> Novelty:
    """With what was seen, (r, d) unit vectors with their r labels."""
    labels = taught_labels(evidence)
    counts = Counter(name for name in names if name in labels)
    most = max(NEIGHBOURS, MOST_COMPARED // max(len(counts), 1))
    rows = [row for row in newest(names, most) if names[row] in labels]
    known = Bank(seen[rows], np.asarray(names, np.str_)[rows])
    threshold = _left_out(known)
    few = _outnumbered(counts, labels)
    if not few:
        shortcoming = "" if len(rows) > 1 else TOO_LITTLE_TAUGHT if rows else NOTHING_TAUGHT
        return Novelty(known.vectors, evidence.origin, threshold, shortcoming=shortcoming)
    space = Space(evidence.centre)  # samples so few that a precision of them would have seen every one
    return Novelty(known.vectors, evidence.origin, threshold, space, None, fit_taught(evidence, space, few))


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


def newest(labels: Sequence[str], most: int | None = None) -> list[int]:
    """Indices of the newest of each label, ascending: as many as are remembered, or ``most``."""
    counts = Counter(labels)
    most = remembered_per_class(counts.values()) if most is None else most
    left = {label: min(count, most) for label, count in counts.items()}
    missing, row, chosen = sum(left.values()), len(labels), []
    while missing:  # backwards, no further than need be
        row -= 1
        if left[labels[row]]:
            left[labels[row]] -= 1
            missing -= 1
            chosen.append(row)
    return chosen[::-1]
