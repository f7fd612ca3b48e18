"""Would a lesson make inspection worse on the photos that are known, each judged without itself?

The threshold follows the good photos, so a bad part among them does not alarm: it hides bad parts. Those that were
called bad show it. Where none are known, nobody can tell, and a lesson is only asked about photo by photo.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .inspector import Inspector

TOLERANCE = 10  # one photo in so many may fare worse: photos at the threshold go to and fro with any lesson


def objection(before: Inspector, after: Inspector) -> str | None:
    """What gets worse by photos that were added, in words; None where nothing does.

    Args:
        before, after: without and with them; photos of the first come first in the second, in the same order.
    """
    missed, missed_before = _not(after.bad > after.threshold, len(before.bad)), _not(before.bad > before.threshold)
    if (missed - missed_before) * TOLERANCE > len(before.bad):
        return f"{missed} of {len(before.bad)} photos known as not good would be missed, {missed_before} before"
    known = len(before.left_out)
    flagged = known - _not(after.left_out > after.threshold, known)
    flagged_before = known - _not(before.left_out > before.threshold)
    if (flagged - flagged_before) * TOLERANCE > known:
        return f"{flagged} of {known} photos known as good would be flagged, {flagged_before} before"
    return None


def _not(alarms: npt.NDArray[np.bool_], first: int | None = None) -> int:
    return int((~alarms[:first]).sum())
