"""Lines on stdout: JSON for programs, changes of label for people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TextIO

from ...view_names import ViewName
from ..subscription import Recognition
from .sink import UNKNOWN, Changes, GroupChanges

if TYPE_CHECKING:
    from ..inspecting import PartVerdict


class JsonLines:
    """One JSON object a line for every recognition: time (UTC), frame, label, probability, unknown, version,
    where views have names camera and region, and where there are groups of labels what each says.

    Args:
        gone: called once when nobody reads any more, as after ``| head``.
        stream: where to write; default is stdout.
    """

    def __init__(self, gone: Callable[[], None], stream: TextIO | None = None) -> None:
        self._gone = gone
        self._stream = stream or sys.stdout

    def __call__(self, recognition: Recognition) -> None:
        """Write a line."""
        prediction = recognition.prediction
        line: dict[str, object] = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            **recognition.name.to_json(),
            "frame": recognition.frame.number,
            **({} if recognition.group is None else {"group": recognition.group}),
            "label": prediction.label,
            "probability": round(prediction.probability, 4),
            "unknown": prediction.unknown,
            "version": recognition.version,
        }
        if recognition.groups:
            line["groups"] = {
                name: {"label": told.label, "probability": round(told.probability, 4), "unknown": told.unknown}
                for name, told in recognition.groups.items()
            }
        _print(json.dumps(line, ensure_ascii=False), self._stream, self._gone)

    def part(self, verdict: PartVerdict) -> None:
        """Write a line with an inspected part: it has ``verdict`` in place of ``label``."""
        _print(json.dumps(verdict.to_json()), self._stream, self._gone)

    def close(self) -> None:
        """Nothing to end."""


class ChangeLines:
    """A line for a person with the first label, and at every change.

    Args:
        gone: called once when nobody reads any more.
        stream: where to write; default is stdout.
    """

    def __init__(self, gone: Callable[[], None], stream: TextIO | None = None) -> None:
        self._gone = gone
        self._stream = stream or sys.stdout
        self._changes = Changes(0.0, None)
        self._group_changes = GroupChanges(0.0)

    def __call__(self, recognition: Recognition) -> None:
        """Print a change."""
        where = f"{recognition.name.shown}: " if any(recognition.name) else ""
        only_groups = recognition.prediction.label is None and recognition.groups
        label = None if only_groups else self._changes(recognition)
        if label is not None:
            share = "" if label == UNKNOWN else f" {recognition.prediction.probability:.2f}"
            _print(f"{datetime.now():%H:%M:%S}  {where}{label}{share}", self._stream, self._gone)
        for group, label, _ in self._group_changes(recognition):
            share = "" if label == UNKNOWN else f" {recognition.groups[group].probability:.2f}"
            _print(f"{datetime.now():%H:%M:%S}  {where}{group}: {label}{share}", self._stream, self._gone)

    def keep_only(self, names: Collection[ViewName]) -> None:
        """Forget views that there are no more."""
        self._changes.keep_only(names)
        self._group_changes.keep_only(names)

    def part(self, verdict: PartVerdict) -> None:
        """Print an inspected part."""
        where = f"{verdict.camera}: " if verdict.camera else ""
        word = where + ("good part" if verdict.good else "BAD part")
        shift = f"{verdict.good_parts} good, {verdict.bad_parts} bad so far"
        score = f"{max(verdict.score, 0):.1f} of {verdict.threshold:.1f} allowed"
        _print(f"{datetime.now():%H:%M:%S}  {word}, {score} ({shift})", self._stream, self._gone)

    def close(self) -> None:
        """Nothing to end."""


def _print(line: str, stream: TextIO, gone: Callable[[], None]) -> None:
    try:
        stream.write(line + "\n")
        stream.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at exit; give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        gone()
