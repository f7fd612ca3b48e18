"""Is the world before the camera still the one the head was trained on?

The familiarity of a frame is its mean cosine to the nearest known embeddings (see :mod:`.heads.neighbours`). What is
known says how familiar a frame should be, each embedding held against the others; a frame's rank among those is uniform
on 0 … 1 while the world stays the same, whatever the distribution of cosines. The mean rank of a sliding window is then
a Mann–Whitney test (Annals of Mathematical Statistics 1947) of recent frames against known ones, one of the two-sample
tests on representations compared in Rabanser, Günnemann and Lipton, "Failing Loudly", NeurIPS 2019,
https://arxiv.org/abs/1810.11953. Error rates are measured in ``benchmarks/drift``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..heads.neighbours import ENOUGH, cosines_to_others, mean_of_nearest, unit
from ..heads.novelty import Novelty

WINDOW = 100  # frames that differ, so minutes to hours, not seconds
FEWEST = 30
DRIFTING, STEADY = 0.15, 0.25  # mean rank below which it drifts, and above which it does no longer
Z = 4.0  # standard errors that it must lie below ½ as well: a small reference is no precise one
SAME = 0.99  # quantile, over known things, of how near another one comes: a frame nearer to the last shows the same
_REFERENCES = 256  # known embeddings whose familiarity is worked out
_BLOCK_ROWS = 32  # compared with all at once, to spare memory
_LEVELS = 1000  # ranks are kept in thousandths

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class DriftState:
    """What the stream looks like.

    Args:
        state: ``collecting`` (too few frames, or too little known to compare with), ``steady`` or ``drifting``.
        frames: in the window.
        rank: their mean rank, 0 … 1: ½ is as familiar as what is known, 0 stranger than all of it; None without frames.
    """

    state: str
    frames: int
    rank: float | None

    def to_json(self) -> dict[str, Any]:
        """What ``status --json`` shows."""
        return {"state": self.state, "frames": self.frames, "rank": self.rank}


class Drift:
    """The sliding window; cheap enough to be fed every frame (one product with the known embeddings).

    Args:
        novelty: of the head in use.
        kept: what :meth:`to_json` gave for the same head, or None to start anew.
    """

    def __init__(self, novelty: Novelty, kept: dict[str, Any] | None = None) -> None:
        self._known = novelty.known if novelty.scene is None else novelty.scene
        self._origin = novelty.origin
        count = min(len(self._known), _REFERENCES)
        rows = np.linspace(0, len(self._known) - 1, count).round().astype(np.intp)
        near, nearest = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
        for start in range(0, count, _BLOCK_ROWS):
            cosine = cosines_to_others(self._known, rows[start : start + _BLOCK_ROWS])
            near.append(mean_of_nearest(cosine))
            nearest.append(cosine.max(axis=1))
        self._reference = np.sort(np.concatenate(near))
        self._same = (
            float(np.interp(SAME * (count - 1), range(count), np.sort(np.concatenate(nearest)))) if count > 1 else 1.0
        )
        self._ranks: deque[int] = deque((kept or {}).get("ranks", ()), WINDOW)
        self._drifting = bool((kept or {}).get("drifting", False))
        self._last: Floats | None = None

    def update(self, codes: Codes) -> DriftState:
        """(n, d) uint8 codes of the next frames → the state after them; one like the frame before does not count."""
        if len(self._reference) < ENOUGH:
            return self.state
        for row in unit(codes, self._origin):
            if self._last is not None and float(row @ self._last) > self._same:
                continue
            self._last = row
            familiarity = mean_of_nearest((self._known @ row)[None])[0]
            below = np.searchsorted(self._reference, familiarity, "left")
            same = np.searchsorted(self._reference, familiarity, "right") - below
            self._ranks.append(round(_LEVELS * (float(below) + 0.5 * float(same) + 0.5) / (len(self._reference) + 1)))
        self._decide()
        return self.state

    @property
    def state(self) -> DriftState:
        """As after the last frame."""
        count = len(self._ranks)
        rank = sum(self._ranks) / _LEVELS / count if count else None
        name = "collecting" if count < FEWEST else "drifting" if self._drifting else "steady"
        return DriftState(name, count, rank)

    def to_json(self) -> dict[str, Any]:
        """The window, to go on with in another process."""
        return {"ranks": list(self._ranks), "drifting": self._drifting, **self.state.to_json()}

    def _decide(self) -> None:
        count = len(self._ranks)
        if count < FEWEST:
            return
        rank = sum(self._ranks) / _LEVELS / count
        error = ((1 / count + 1 / len(self._reference)) / 12) ** 0.5
        if self._drifting:
            self._drifting = rank < STEADY
        else:
            self._drifting = rank < min(DRIFTING, 0.5 - Z * error)
