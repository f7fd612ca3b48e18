"""The promotion gate: may a candidate head replace the active one?"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt

from .codes import Codes
from .heads import Head

TOLERANCE = 0.02  # of a class's recall on the holdout; a smaller loss is accepted without asking
SIGNIFICANCE = 0.05  # a loss that chance explains more often than this is accepted too


@dataclass(frozen=True)
class Verdict:
    """Whether the candidate may be promoted.

    Args:
        promoted: yes or no.
        reason: for a person: which class would lose how much.
        accuracy: of the candidate on the holdout, 0 … 1; None without a holdout.
    """

    promoted: bool
    reason: str
    accuracy: float | None


def judge(candidate: Head, active: Head, holdout: Codes, labels: tuple[str, ...]) -> Verdict:
    """Compare two heads on the same held-out codes (h, d) uint8 with their h labels.

    A class speaks against the candidate when its recall falls by more than the tolerance *and* the photos that changed
    sides are too one-sided for chance (exact sign test on discordant pairs, McNemar 1947); so do all classes together.
    Classes that either head
    cannot predict (forgotten, or new) do not vote.
    """
    common = set(candidate.labels) & set(active.labels)
    rows = [row for row, label in enumerate(labels) if label in common]
    if not rows:
        return Verdict(True, "promoted: no holdout to compare on", None)
    truth = np.array([labels[row] for row in rows])
    before, after = (_predicted(head, holdout[rows]) == truth for head in (active, candidate))
    losers = []
    for label in sorted(set(truth)):
        of_class = truth == label
        old, new = before[of_class], after[of_class]
        lost, gained = int((old & ~new).sum()), int((~old & new).sum())
        if (lost - gained) / of_class.sum() > TOLERANCE and _chance(lost, gained) < SIGNIFICANCE:
            losers.append((float(old.mean()), float(new.mean()), str(label)))
    accuracy = float(after.mean())
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    if not losers and (lost - gained) / len(rows) > TOLERANCE and _chance(lost, gained) < SIGNIFICANCE:
        # Many classes with a handful of photos each: none of them can speak alone.
        told = f"held-out accuracy would fall from {before.mean():.2f} to {accuracy:.2f}"
        return Verdict(False, f"rejected: {told}", accuracy)
    if losers:
        losers.sort(key=lambda loser: loser[1] - loser[0])
        told = ", ".join(f"{label} would fall from {old:.2f} to {new:.2f}" for old, new, label in losers[:3])
        return Verdict(False, f"rejected: {told}", accuracy)
    return Verdict(True, f"promoted: held-out accuracy {before.mean():.3f} -> {accuracy:.3f}", accuracy)


def _predicted(head: Head, codes: Codes) -> npt.NDArray[np.str_]:
    best = head.scorer.scores(codes).argmax(axis=1)
    labels: npt.NDArray[np.str_] = np.asarray(head.labels, np.str_)[best]
    return labels


def _chance(lost: int, gained: int) -> float:
    """Probability of at least this many losses among the photos that changed sides, if either way were as likely."""
    changed = lost + gained
    return float(sum(comb(changed, count) for count in range(lost, changed + 1)) / 2**changed)
