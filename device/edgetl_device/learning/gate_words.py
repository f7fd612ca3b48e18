"""What the gate says, for a person who reads it on the page or in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..labels import NOTHING
from ..percent import percent

_MOST_NAMED = 3
_UPDATED = "updated"  # where neither samples nor labels came or went


@dataclass(frozen=True)
class Done:
    """What was done to samples since the last retraining.

    Args:
        words: for a person.
        did: ``forgot`` or ``moved``; None for anything else.
        samples: how many.
        label: whose they were, if it is still known, or where they went.
    """

    words: str
    did: str | None = None
    samples: int = 0
    label: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For the metrics of a version."""
        return {"did": self.did, "samples": self.samples, "label": self.label}


def learned_change(
    counts: Mapping[str, int], before: float | None, after: float | None, known: int, gone: Sequence[str] = ()
) -> str:
    """What was learned, and what that did to the rest.

    Args:
        counts: label → new samples.
        before, after: share of the held-out photos recognised; None where there are none.
        known: how many labels the device tells apart now; 0 where all that it knows is the background.
        gone: labels that it told apart before and does not any more.

    Example:
        >>> learned_change({"bottles": 19}, None, None, 1)
        'learned bottles (19 samples); now teach a second thing'
        >>> learned_change({"daisy": 1}, 0.87, 0.833, 5)
        'learned daisy (1 sample); the classes it knew are 4 points worse (87 % → 83 %)'
        >>> learned_change({"tulip": 2}, 0.716, 0.734, 5)
        'learned tulip (2 samples); the classes it knew are 1 point better (72 % → 73 %)'
        >>> learned_change({"(nothing)": 8}, None, None, 2)
        'learned the background (8 samples)'
    """
    subject, others = f"learned {_named(counts)}" if counts else _UPDATED, "the classes it knew"
    if gone and not counts:
        more = f" and {len(gone) - _MOST_NAMED} more" if len(gone) > _MOST_NAMED else ""
        subject, others = f"forgot {', '.join(gone[:_MOST_NAMED])}{more}", "the other classes"
    if before is None or after is None:
        more = (
            "; now teach a second thing" if known == 1 else "; now teach a first thing" if counts and not known else ""
        )
        return subject + more
    points = round(100 * after) - round(100 * before)  # of what is shown
    if not points:
        return f"{subject}; {others} are as good as before ({percent(after)})"
    better = "better" if points > 0 else "worse"
    unit = "point" if abs(points) == 1 else "points"
    return f"{subject}; {others} are {abs(points)} {unit} {better} ({percent(before)} → {percent(after)})"


def with_what_was_done(reason: str, done: Sequence[str]) -> str:
    """A reason that names no change, with what was done to samples or the rule.

    Example:
        >>> with_what_was_done("updated; others are as good", ["forgot 3 samples of roses"])
        'forgot 3 samples of roses; others are as good'
    """
    words = ", ".join(done[-_MOST_NAMED:])
    return words + reason.removeprefix(_UPDATED) if words and reason.startswith(_UPDATED) else reason


def already(label: str, samples: int) -> str:
    """So many samples were to be moved to a label that they have, and are learned under.

    Example:
        >>> already("mug", 2)
        'all 2 samples are mug already: nothing changed'
    """
    if not samples:
        return "no sample was named: nothing changed"
    return f"{'the sample is' if samples == 1 else f'all {samples} samples are'} {label} already: nothing changed"


def counted(samples: int) -> str:
    """So many samples."""
    return f"{samples} sample{'s' if samples != 1 else ''}"


def gained_and_lost(changes: Sequence[tuple[str, float, float, int, bool]]) -> list[str]:
    """(label, share recognised before and after, photos, whether held out) of classes that changed → lines.

    Example:
        >>> gained_and_lost([("tulips", 0.81, 0.88, 100, True), ("cup", 1.0, 0.9, 10, False)])
        ['tulips gained: 81 % → 88 % of 100 photos', 'cup lost: 100 % → 90 % of its 10 samples']
    """
    lines = []
    for word, sign in (("gained", 1), ("lost", -1)):
        some = [change for change in changes if (change[2] - change[1]) * sign > 0]
        some.sort(key=lambda change: (change[1] - change[2]) * sign)
        for label, before, after, photos, held_out in some[:_MOST_NAMED]:
            shares = f"{percent(before)} → {percent(after)}"
            few = "s" if photos != 1 else ""
            lines.append(
                f"{label} {word}: {shares} of " + (f"{photos} photo{few}" if held_out else f"its {photos} sample{few}")
            )
        if len(some) > _MOST_NAMED:
            lines.append(f"{len(some) - _MOST_NAMED} more {word} less")
    return lines


def classes_that_lose(losers: Sequence[tuple[str, float, float]], photos: str) -> str:
    """(label, recall before, recall after) of the classes that get worse, the worst first.

    Example:
        >>> classes_that_lose([("dog", 1.0, 0.7), ("cat", 0.9, 0.2)], "held-out photos")
        'fewer of the held-out photos would be recognised: cat 90 % → 20 %, dog 100 % → 70 %'
    """
    worst = sorted(losers, key=lambda loser: loser[2] - loser[1])
    parts = [f"{label} {percent(before)} → {percent(after)}" for label, before, after in worst[:_MOST_NAMED]]
    more = f" (and {len(worst) - _MOST_NAMED} other classes)" if len(worst) > _MOST_NAMED else ""
    return f"fewer of the {photos} would be recognised: {', '.join(parts)}{more}"


def in_all(before: float, after: float, photos: str) -> str:
    """The loss of all classes together."""
    return f"{percent(after)} of the {photos} would be recognised instead of {percent(before)}"


def too_few_to_tell(loss: str, count: int, photos: str) -> str:
    """A loss that no test can confirm."""
    return f"{loss}; with only {count} {photos} that may be chance or a wrong label, so you decide"


def looks_like(label: str, count: int, total: int, looks: npt.NDArray[np.str_]) -> str:
    """``count`` of ``total`` new photos of a label that look like these other labels.

    Example:
        >>> import numpy as np
        >>> looks_like("daisy", 12, 12, np.array(["roses"] * 12))
        '12 of the 12 new photos of daisy look like roses'
        >>> looks_like("daisy", 12, 13, np.array(["roses"] * 7 + ["tulips"] * 5))
        '12 of the 13 new photos of daisy look like other things: 7 like roses, 5 like tulips'
    """
    names, counts = np.unique(looks, return_counts=True)
    verb = "looks" if count == 1 else "look"
    subject = f"{count} of the {total} new photos of {label} {verb} like"
    if len(names) == 1:
        return f"{subject} {names[0]}"
    order = np.argsort(-counts, kind="stable")
    more = f" and {int(counts[order[_MOST_NAMED:]].sum())} like others" if len(names) > _MOST_NAMED else ""
    return f"{subject} other things: {', '.join(f'{counts[n]} like {names[n]}' for n in order[:_MOST_NAMED])}{more}"


def same_thing(label: str, count: int, other: str) -> str:
    """A new label whose photos cannot be told from those of a known one.

    Example:
        >>> same_thing("pets", 25, "dandelion")
        'the 25 photos of the new label pets cannot be told from dandelion: the same thing under another name?'
    """
    return (
        f"the {count} photos of the new label {label} cannot be told from {other}: the same thing under another name?"
    )


def _named(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    samples = f"({total} sample{'s' if total != 1 else ''})"
    names = sorted(counts, key=lambda label: (-counts[label], label))
    names = ["the background" if label == NOTHING else label for label in names]
    if len(names) > _MOST_NAMED:
        return f"{', '.join(names[:2])} and {len(names) - 2} more {samples}"
    return f"{', '.join(names[:-1])}{' and ' if len(names) > 1 else ''}{names[-1]} {samples}"
