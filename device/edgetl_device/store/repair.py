"""What repairs of a store could not save: in its event log, and so in every copy of it, until somebody accepts it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Rows = Callable[[str], Iterable[tuple[Any, ...]]]

RECOVERED, ACCEPTED = "recovered", "loss accepted"
"""Kinds of events."""


@dataclass(frozen=True)
class Repair:
    """A store that was damaged, incomplete or gone was made anew from what could be saved.

    Args:
        time: UTC, ISO 8601.
        problem: what was wrong with it, for a person.
        samples: how many were saved.
        acknowledged: how many there should have been; None where nobody knows.
    """

    time: str
    problem: str
    samples: int
    acknowledged: int | None

    @property
    def missing(self) -> int | None:
        """How many samples were lost; None where nobody knows."""
        return None if self.acknowledged is None else max(0, self.acknowledged - self.samples)

    @property
    def outcome(self) -> str:
        """What became of the samples, for a person."""
        if self.missing is None:
            return f"{self.samples} samples were saved; how many there were is not known"
        if self.missing:
            return f"{self.missing} of the {self.acknowledged} acknowledged samples are missing"
        return f"none of the {self.acknowledged} acknowledged samples is missing"

    def to_json(self) -> dict[str, Any]:
        """As ``edgetl-device status --json`` shows it."""
        return {
            "time": self.time,
            "problem": self.problem,
            "samples": self.samples,
            "acknowledged": self.acknowledged,
            "missing": self.missing,
        }


def repairs_in(rows: Rows) -> list[Repair]:
    """The repairs of a store that nobody accepted yet, oldest first.

    Args:
        rows: query → the rows it gives.
    """
    ((generation,),) = list(rows("SELECT generation FROM state"))
    if generation < 2:  # nothing ever took its place: no need to look through all events
        return []
    since = f"SELECT coalesce(max(id), 0) FROM events WHERE kind = '{ACCEPTED}'"
    query = f"SELECT time, detail FROM events WHERE kind = '{RECOVERED}' AND id > ({since}) ORDER BY id"
    found = []
    for time, text in rows(query):
        try:
            detail = json.loads(text)
            known = detail.get("acknowledged")
            known = None if known is None else int(known)
            found.append(Repair(time, str(detail["problem"]), int(detail["samples"]), known))
        except (ValueError, TypeError, KeyError, AttributeError):  # a restored backup may be anybody's
            continue
    return found
