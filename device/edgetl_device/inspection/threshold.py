"""Above which score does a photo alarm, and how many good ones will, known from good photos alone?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TARGET = 0.05
_STEPS = (0.2, 0.1, 0.05, 0.02, 0.01)


@dataclass(frozen=True)
class FalseAlarms:
    """Share of good photos that will alarm: what is expected, and a 90 % interval."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Sensitivity:
    """One position of the slider.

    Args:
        target: share of good photos that may alarm.
        threshold: score above which a photo alarms.
        false_alarms: share of the good photos taught that alarm, each without its burst.
        found: share of the bad photos taught that alarm; None where none was.
    """

    target: float
    threshold: float
    false_alarms: float
    found: float | None


def choose_threshold(
    scores: npt.NDArray[np.float64], independent: float, target: float = TARGET
) -> tuple[float, FalseAlarms]:
    """Left-out scores → threshold and the false alarms to expect.

    The next good photo's score follows Student's t around the mean of those seen, as wide as their spread, with as many
    degrees of freedom as there are independent photos less one: with few of them the threshold is higher by itself.

    Args:
        scores: (n,) of good photos, each left out.
        independent: how many photos these are worth.
        target: share of good photos that may alarm.
    """
    worth = max(independent, 2.0)
    spread = float(scores.std()) * (worth / (worth - 1)) ** 0.5
    quantile = student_quantile(1 - target, worth - 1)
    threshold = float(scores.mean()) + quantile * spread * (1 + 1 / worth) ** 0.5
    alarms = float((scores > threshold).mean()) * worth
    low, high = _interval(alarms, worth)
    return threshold, FalseAlarms((alarms + target * 2) / (worth + 2), low, high)


def sensitivity(
    scores: npt.NDArray[np.float64], bad: npt.NDArray[np.float64], threshold_of: Callable[[float], float]
) -> tuple[Sensitivity, ...]:
    """What the slider shows, from the most sensitive position on.

    Args:
        scores: (n,) of good photos, each left out.
        bad: (n,) of bad ones, each without itself.
        threshold_of: the threshold for a share of good photos that may alarm.
    """
    rows = []
    for target in _STEPS:
        threshold = threshold_of(target)
        found = float((bad > threshold).mean()) if len(bad) else None
        rows.append(Sensitivity(target, threshold, float((scores > threshold).mean()), found))
    return tuple(rows)


def student_quantile(share: float, degrees: float) -> float:
    """Quantile of Student's t, by the Cornish–Fisher expansion (Hill, 1970); within 2 % from 3 degrees on.

    Between one and three degrees, where the expansion fails, it is interpolated in the logarithm.
    """
    if degrees >= 3:
        return _expanded(share, degrees)
    one = float(np.tan(np.pi * (share - 0.5)))
    two = float((2 * share - 1) * np.sqrt(2 / (4 * share * (1 - share))))
    known = np.log([one, two, _expanded(share, 3.0)])
    return float(np.exp(np.interp(degrees, [1.0, 2.0, 3.0], known)))


def _expanded(share: float, degrees: float) -> float:
    z = _normal_quantile(share)
    first = (z**3 + z) / (4 * degrees)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * degrees**3)
    return z + first + second + third


def _normal_quantile(share: float) -> float:
    from statistics import NormalDist  # 0.7 MB with what it imports, and most devices inspect nothing

    return NormalDist().inv_cdf(share)


def _interval(successes: float, trials: float) -> tuple[float, float]:
    """Wilson's 90 % interval of a share."""
    z = _normal_quantile(0.95)
    share = successes / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * np.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))
