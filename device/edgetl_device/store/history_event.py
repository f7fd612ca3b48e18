"""What the history says of a label that lasted, which events are meant, and how many there were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..labels import check_unicode

OPEN, ENDED, CUT_OFF = "open", "ended", "cut off"


@dataclass(frozen=True)
class Event:
    """A label that lasted.

    Args:
        label: ``unknown`` where it resembled nothing learned.
        start: UTC, ISO 8601, milliseconds.
        duration_s: seconds, of a clock that does not jump; of an open event until it was written last.
        probability: mean over the event's frames, 0 … 1; None of an unknown thing.
        camera: its name.
        region: the part of the frame that was looked at, or None.
        group: of the label, or None.
        state: ``open`` while it lasts, ``ended``, or ``cut off``: the program ended before the event did, as when the
            power fails.
        picture: whether a snapshot is kept.
        id: ascending, never used again; 0 before it is kept.
    """

    label: str
    start: str
    duration_s: float
    probability: float | None
    camera: str
    region: str | None = None
    group: str | None = None
    state: str = ENDED
    picture: bool = False
    id: int = 0

    def to_json(self) -> dict[str, Any]:
        """With the keys of ``edgetl-device history --json``."""
        return {key: getattr(self, key) for key in KEYS}


KEYS = ("id", "start", "duration_s", "label", "group", "probability", "camera", "region", "state", "picture")
"""What is told of an event, in this order."""


@dataclass(frozen=True)
class Selection:
    """Which events are meant; None is any.

    Args:
        label, camera: theirs.
        since, until: they began at this moment or later, and before that one; UTC, ISO 8601, milliseconds.

    Raises:
        InputError: a label or a camera is no Unicode text, and nothing can have such a name.
    """

    label: str | None = None
    camera: str | None = None
    since: str | None = None
    until: str | None = None

    def __post_init__(self) -> None:
        check_unicode("label", self.label)
        check_unicode("camera", self.camera)

    @property
    def condition(self) -> tuple[str, list[str]]:
        """For SQL, and its values."""
        tests = {"label = ?": self.label, "camera = ?": self.camera, "start >= ?": self.since, "start < ?": self.until}
        used = {test: value for test, value in tests.items() if value is not None}
        return " AND ".join(used) or "1", list(used.values())


ANY = Selection()


@dataclass(frozen=True)
class Counts:
    """How many events began when.

    Args:
        hours: start of an hour (UTC, ISO 8601) → label → events; hours without any are left out.
        labels, cameras: all that there are between the two moments, whatever label and camera are selected.
    """

    hours: Mapping[str, Mapping[str, int]]
    labels: Mapping[str, int]
    cameras: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """With the keys of ``/api/v1/history/hours``."""
        hours = [
            {"start": start, "events": sum(labels.values()), "labels": dict(labels)}
            for start, labels in self.hours.items()
        ]
        return {"hours": hours, "labels": dict(self.labels), "cameras": dict(self.cameras)}
