"""What inspection leads to, as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..view import View


@dataclass(frozen=True, eq=False)
class Finding:
    """What inspection says of a photo.

    Args:
        score: standard deviations above the average good photo.
        threshold: the score above which a photo is flagged.
        good: whether it is not.
        heat: (h, w) float32 on the places of the finest inner map; 1 is as unusual as a photo at the threshold.
        where: (x, y, width, height) of the most unusual region, as shares of the prepared photo; None where it is good.
    """

    score: float
    threshold: float
    good: bool
    heat: npt.NDArray[np.float32]
    where: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class Taught:
    """What teaching led to.

    Args:
        ids: of the photos that were stored, in their order.
        good: how many good photos are known now, corrected ones included.
        skipped: the photos that were not used, each with the reason.
        warnings: what is wrong with all that was taught, one sentence each.
        odd: ids of those taught as good that would have been flagged by what was taught before.
        aside: ids of those that the gate set aside: nothing uses them before a person decides.
        version: the one in use.
    """

    ids: tuple[int, ...]
    good: int
    skipped: tuple[tuple[Path | None, str], ...]
    warnings: tuple[str, ...]
    odd: tuple[int, ...] = ()
    aside: tuple[int, ...] = ()
    version: int | None = None


@dataclass(frozen=True)
class InspectionStatus:
    """What inspection knows.

    Args:
        good, fine, bad: photos of each verdict.
        elsewhere: photos of other backbones.
        threshold: score above which a photo is flagged; None before enough good photos were taught.
        expected_false_alarms: (share, low, high) of good photos that will be flagged, with its 90 % interval.
        target: the share that was asked for.
        warnings: one sentence each.
        view: how photos are looked at; None before the first.
        aside: photos that the gate set aside, and nobody decided about.
        unused: photos taught after the version in use, which was gone back to.
        version: the one in use; None before the first.
    """

    good: int
    fine: int
    bad: int
    elsewhere: int
    threshold: float | None
    expected_false_alarms: tuple[float, float, float] | None
    target: float
    warnings: tuple[str, ...]
    view: View | None
    aside: int = 0
    unused: int = 0
    version: int | None = None
