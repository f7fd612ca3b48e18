"""Which events the history is made of: labels that lasted, one after the other, of each camera and group of labels.

A label that flickers up for a frame or two is none: predictions are smoothed, and a label counts after half a second.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import lru_cache

from ..inference.classifier import Prediction
from ..region import in_words
from ..view_names import ViewName
from .background import Listener
from .history import GAP_S, HistoryWriter, Running
from .pipeline import Pipeline
from .sinks.sink import HOLD_S, Changes, named
from .subscription import Recognition

CAMERA = "camera"  # what an only camera is called
SNAPSHOT_S = 1.0  # between two pictures of a view
_NOTHING_KNOWN = ""  # no head has a label


@dataclass(eq=False)
class _Stream:
    """The labels of one group, or those without a group."""

    changes: Changes
    running: Running | None = None


@dataclass(eq=False)
class _Seen:
    """What is remembered of one view: a camera, or a region of its frames."""

    streams: dict[str | None, _Stream] = field(default_factory=dict)
    last_s: float = float("-inf")
    snapshot_s: float = float("-inf")
    number: int = 0  # of the frame that the last snapshot shows
    jpeg: bytes | None = field(default=None, repr=False)


class Recorder:
    """Records what a pipeline recognises, of all of its cameras.

    Args:
        pipeline: to listen to; recognition does not wait.
        writer: takes the events.
        snapshot: the picture that is kept of a recognition, as JPEG; None for none.
        hold_s: how long a label must last before it is an event, seconds.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        writer: HistoryWriter,
        snapshot: Callable[[Recognition], bytes | None],
        hold_s: float = HOLD_S,
    ) -> None:
        self._writer, self._take, self._hold_s = writer, snapshot, hold_s
        self._seen: dict[ViewName, _Seen] = {}
        self._listener = Listener("history", pipeline, self.see, keep_only=self.keep_only) if writer.records else None

    def start(self) -> None:
        """Begin; once."""
        if self._listener is not None:
            self._listener.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End; whether that was done in time."""
        return self._listener is None or self._listener.stop(timeout_s)

    def keep_only(self, names: Collection[ViewName]) -> None:
        """What was seen in views that there are no more has ended."""
        for name in self._seen.keys() - set(names):
            for stream in self._seen.pop(name).streams.values():
                self._end(stream)

    def see(self, recognition: Recognition) -> None:
        """Take one recognition."""
        time_s = recognition.frame.time_s
        seen = self._seen.setdefault(recognition.name, _Seen())
        told: dict[str | None, Prediction] = {recognition.group: recognition.prediction}
        told.update(recognition.groups)
        was_away = time_s - seen.last_s > GAP_S
        for group in [each for each in seen.streams if was_away or each not in told]:
            self._end(seen.streams.pop(group))
        seen.last_s = time_s
        for group, prediction in told.items():
            stream = seen.streams.setdefault(group, _Stream(Changes(self._hold_s, None)))
            label = _NOTHING_KNOWN if prediction.label is None else named(prediction)
            changed = stream.changes.take(label, time_s)
            if changed is not None:
                self._end(stream)
                if changed != _NOTHING_KNOWN:
                    stream.running = self._begun(changed, group, stream.changes.since_s, recognition, seen)
            if stream.running is not None and stream.running.label == label:
                self._writer.see(stream.running, prediction, time_s)

    def _begun(self, label: str, group: str | None, began_s: float, recognition: Recognition, seen: _Seen) -> Running:
        camera, region = recognition.name.camera or CAMERA, recognition.name.region or region_in(recognition.view)
        picture = self._snapshot(recognition, seen)
        running = Running(label, group, camera, region, began_s, recognition.frame.time_s, picture)
        self._writer.begin(running)
        return running

    def _snapshot(self, recognition: Recognition, seen: _Seen) -> bytes | None:
        """The picture of a frame; None where the last one is of another frame and too new, for SD cards wear."""
        frame = recognition.frame
        if frame.number != seen.number or seen.jpeg is None:
            if frame.time_s - seen.snapshot_s < SNAPSHOT_S:
                return None
            seen.snapshot_s, seen.number, seen.jpeg = frame.time_s, frame.number, self._take(recognition)
        return seen.jpeg

    def _end(self, stream: _Stream) -> None:
        if stream.running is not None:
            self._writer.end(stream.running)
            stream.running = None


@lru_cache(maxsize=16)
def region_in(view: str) -> str | None:
    """The region that a view looks at, in words; None where it is the whole frame.

    >>> region_in("") is None
    True
    """
    region = json.loads(view).get("region") if view else None
    return None if region is None else in_words(tuple(region))
