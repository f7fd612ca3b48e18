"""What a running app records of what it sees: labels that lasted, with their time and a small picture.

A recorder (:mod:`.recorder`) listens to a pipeline and says which events begin and end; the writer here, one for all
cameras, brings them to the disk in batches, for SD cards wear. Neither is waited for: of more events than the disk
takes some are dropped and counted, and where it takes none, recognition goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal, TypeVar

from ..errors import EdgetlError
from ..inference.classifier import Prediction
from ..store.history import DAYS, MAX_BYTES, History, summary_of
from ..store.history_event import ENDED, OPEN, Counts, Event, Selection
from .sinks.sink import UNKNOWN

log = logging.getLogger("edgetl.history")

T = TypeVar("T")

FLUSH_S = 30.0  # between two batches, and the most that a power cut takes
EARLY_S = 5.0  # between two batches where many events wait
MOST_WAITING = 500  # events; more are dropped
REFRESH_S = 600.0  # after so long, the duration of an event that goes on is written again
LET_GO_S = 3600.0  # between two looks at which are too old, where nothing new comes
GAP_S = 10.0  # without a frame, what was seen has ended


@dataclass(frozen=True)
class HistorySettings:
    """What is recorded, and how much of it is kept.

    Args:
        days, max_bytes: as of :class:`~edgetl_device.store.history.History`.
        flush_s: seconds between two batches.
    """

    days: float = DAYS
    max_bytes: int = MAX_BYTES
    flush_s: float = FLUSH_S


@dataclass(eq=False)
class Running:
    """An event in memory.

    Args:
        began_s, seen_s: the moments at which it began and was seen last; :func:`time.monotonic`.
    """

    label: str
    group: str | None
    camera: str
    region: str | None
    began_s: float
    seen_s: float
    picture: bytes | None = None
    ended: bool = False
    dropped: bool = False
    id: int = 0
    written_s: float = float("-inf")
    _sum: float = field(default=0.0, repr=False)
    _frames: int = field(default=0, repr=False)

    def see(self, prediction: Prediction, time_s: float) -> None:
        """One more frame of it."""
        self.seen_s = time_s
        self._sum += prediction.probability
        self._frames += 1

    def event(self, now_s: float, now: datetime) -> Event:
        """What is written of it. Its start is worked out then, so a clock that was set meanwhile is right."""
        start = (now - timedelta(seconds=now_s - self.began_s)).isoformat(timespec="milliseconds")
        probability = None if self.label == UNKNOWN else round(self._sum / max(self._frames, 1), 4)
        told = (self.label, start, round(max(self.seen_s - self.began_s, 0.0), 3), probability)
        state = ENDED if self.ended else OPEN
        return Event(*told, self.camera, self.region, self.group, state, id=self.id)


class HistoryWriter:
    """Brings events to the disk in batches, in a thread of its own; methods may be called from any thread.

    Args:
        path: of the history's file.
        settings: what is kept.
        records: whether anything is recorded; what was recorded before can be read and deleted all the same.
        clock: of the cameras' frames.
    """

    def __init__(
        self,
        path: Path,
        settings: HistorySettings,
        *,
        records: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._history = History(path, settings.days, settings.max_bytes)
        self._file_lock = threading.RLock()  # one at a time uses the file
        self._flush_s, self._records, self._clock = settings.flush_s, records, clock
        self._changed = threading.Condition()  # guards what follows
        self._waiting: list[Running] = []
        self._open: list[Running] = []
        self._stopping = False
        self._flushed_s = self._clock()
        self._let_go_s = float("-inf")
        self._clearing: tuple[int, str] | None = None  # the last time that all was deleted, as far as known here
        self._dropped = 0
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    @property
    def records(self) -> bool:
        """Whether anything is recorded."""
        return self._records

    def start(self) -> None:
        """Begin; once. What an earlier run left open is cut off also where nothing is recorded any more."""
        if self._records or self._history.path.exists():
            self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End all events, write them and give the file back; whether that was done in time."""
        with self._changed:
            for running in self._open:
                self._end(running)
            self._open.clear()
            self._stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        self._with_file(self._history.close)
        return True

    # recording ---------------------------------------------------------------------------------------------------

    def begin(self, running: Running) -> None:
        """An event begins; dropped where too many wait."""
        with self._changed:
            if self._stopping or len(self._waiting) >= MOST_WAITING:
                running.dropped = True
                self._dropped += 1
                return
            self._waiting.append(running)
            self._open.append(running)
            if len(self._waiting) >= MOST_WAITING // 2:
                self._changed.notify_all()

    def end(self, running: Running) -> None:
        """It lasts no longer."""
        with self._changed:
            self._end(running)
            if running in self._open:
                self._open.remove(running)

    def see(self, running: Running, prediction: Prediction, time_s: float) -> None:
        """One more frame of an event."""
        with self._changed:
            running.see(prediction, time_s)

    def flush(self) -> bool:
        """Write what waits; whether that could be done. What could not be written goes on waiting."""
        with self._file_lock:
            with self._changed:
                self._end_what_is_gone()
                self._flushed_s = now_s = self._clock()
                now = datetime.now(timezone.utc)
                told = [(running, running.event(now_s, now)) for running in self._batch()]
            is_late = now_s - self._let_go_s >= LET_GO_S
            if not told and not is_late:
                return True
            try:
                kept = self._write(told) if told else {}
                if is_late:
                    self._history.let_go()
                    self._let_go_s = now_s
            except EdgetlError as error:
                self._tell(str(error))
                return False
            self._tell(None)
            with self._changed:
                self._note(told, kept, now_s)
            return True

    # reading and deleting ----------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """As :func:`~edgetl_device.store.history.summary_of`, and how recording is doing; it never fails."""
        kept = self._with_file(lambda: summary_of(self._history))
        with self._changed:
            told = {"recording": self._records, "problem": self._problem or kept["problem"]}
            return kept | told | {"waiting": len(self._waiting), "dropped": self._dropped}

    def events(self, selection: Selection, before: int | None, limit: int) -> list[Event]:
        """As :meth:`~edgetl_device.store.history.History.events`."""
        return self._with_file(lambda: self._history.events(selection, before, limit))

    def count(self, selection: Selection) -> int:
        """As :meth:`~edgetl_device.store.history.History.count`."""
        return self._with_file(lambda: self._history.count(selection))

    def counts(self, selection: Selection) -> Counts:
        """As :meth:`~edgetl_device.store.history.History.counts`."""
        return self._with_file(lambda: self._history.counts(selection))

    def snapshot(self, event: int) -> bytes | None:
        """As :meth:`~edgetl_device.store.history.History.snapshot`."""
        return self._with_file(lambda: self._history.snapshot(event))

    def delete(self, what: Sequence[int] | Selection | Literal["all"], before: int | None = None) -> int:
        """As :meth:`~edgetl_device.store.history.History.delete`; what waits to be written is deleted with it,
        but for what ``before`` leaves out: it gets higher numbers than all that was listed.
        """
        with self._file_lock:
            self.flush()
            deleted = self._history.delete(what, before)
            self._clearing = self._history.last_clearing()
            return deleted

    # inside ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._cut_off()
        while self._records:
            with self._changed:
                while not self._stopping and (next_s := self._next_s()) > 0:  # sooner, once many wait
                    self._changed.wait(next_s)
                stopping = self._stopping
            try:
                self.flush()
            except Exception:  # whatever it is, the next batch may succeed
                log.exception("a batch of the history failed")
            if stopping:
                return

    def _next_s(self) -> float:
        many = len(self._waiting) >= MOST_WAITING // 2
        return self._flushed_s + (min(EARLY_S, self._flush_s) if many else self._flush_s) - self._clock()

    def _cut_off(self) -> None:
        try:
            with self._file_lock:
                self._clearing = self._history.last_clearing()
                self._history.cut_off_open()
        except EdgetlError as error:
            if self._records:
                self._tell(str(error))
            else:
                log.info("what an earlier run left open stays so: %s", error)

    def _batch(self) -> list[Running]:
        now_s = self._clock()
        going_on = [running for running in self._open if running not in self._waiting]
        if not self._waiting:  # nothing else is written, so it is not worth a write of its own yet
            going_on = [running for running in going_on if now_s - running.written_s >= REFRESH_S]
        return [*self._waiting, *going_on]

    def _write(self, told: Sequence[tuple[Running, Event]]) -> dict[Running, int]:
        """→ the numbers of those that are in the file now."""
        clearing = self._history.last_clearing()
        new = [(running, event) for running, event in told if not running.id]
        if clearing != self._clearing:  # another program deleted all that was until then
            new = [(running, event) for running, event in new if clearing is None or event.start > clearing[1]]
        known = {running: event for running, event in told if running.id}
        ids = self._history.write([(event, running.picture) for running, event in new], list(known.values()))
        self._clearing = clearing
        return dict(zip((running for running, _ in new), ids, strict=True)) | {each: each.id for each in known}

    def _note(self, told: Sequence[tuple[Running, Event]], kept: Mapping[Running, int], now_s: float) -> None:
        done = set()
        for running, event in told:
            running.id, running.dropped = kept.get(running, 0), running not in kept
            running.written_s, running.picture = now_s, None
            if running.dropped or running.ended == (event.state == ENDED):
                done.add(running)
        self._waiting = [running for running in self._waiting if running not in done]
        self._open = [running for running in self._open if not running.dropped]

    def _end_what_is_gone(self) -> None:
        """No frame has come for a while: the camera is away, and nobody knows what it would see."""
        now_s = self._clock()
        for running in [each for each in self._open if now_s - each.seen_s > GAP_S]:
            self._end(running)
            self._open.remove(running)

    def _end(self, running: Running) -> None:
        if not running.ended and not running.dropped:
            running.ended = True
            if running not in self._waiting:
                self._waiting.append(running)

    def _with_file(self, work: Callable[[], T]) -> T:
        with self._file_lock:
            return work()

    def _tell(self, problem: str | None) -> None:
        """Once, not at every batch of a long night."""
        with self._changed:
            before, self._problem = self._problem, problem
        if problem is not None and before is None:
            log.warning("nothing is recorded in the history, recognising goes on: %s", problem)
        elif problem is None and before is not None:
            log.warning("the history is recorded again")
