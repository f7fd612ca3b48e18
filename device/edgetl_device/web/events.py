"""Changes of label as server-sent events: ``GET /api/v1/events``.

https://html.spec.whatwg.org/multipage/server-sent-events.html. The last changes are kept, so that a program that was
cut off and names the last event it got misses none of them. A client that takes nothing holds a number, no queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import anyio

from ..app.background import Listener
from ..app.sinks import Changes
from ..app.sinks.sink import HOLD_S, GroupChanges, change
from ..view_names import ViewName
from .guard import Refused
from .streams import Stream

if TYPE_CHECKING:
    from ..app.app import App
    from ..app.subscription import Recognition

MAX_STREAMS = 16  # at once
MAX_KEPT = 256  # changes, for those who were cut off
HEARTBEAT_S = 15.0  # proxies and phones close connections on which nothing comes for a minute
WELCOME_S = 1.0  # between two looks at whether a session has ended
RETRY_MS = 3000  # before a browser connects again


@dataclass(frozen=True)
class Event:
    """A change of label.

    Args:
        number: of this run, from 1.
        data: JSON.
    """

    number: int
    data: str


class Events:
    """Notices changes of label from the first stream on, and hands them to all streams.

    Args:
        app: whose labels.
        hold_s: how long a label must last before it counts, seconds.
    """

    def __init__(self, app: App, hold_s: float = HOLD_S) -> None:
        self._changes = Changes(hold_s, None)
        self._kept: deque[Event] = deque(maxlen=MAX_KEPT)
        self._group_changes = GroupChanges(hold_s)
        self._count = 0
        self._run = secrets.token_hex(4)  # numbers of another run mean nothing here
        self._lock = threading.Lock()
        self._waiting: set[Callable[[], None]] = set()
        self._app = app
        self._listener: Listener | None = None
        self.streams = 0
        self.closed = False

    def close(self) -> None:
        """Let every stream end soon; from any thread."""
        self.closed = True
        self._wake()
        if self._listener is not None:
            self._listener.stop()

    def name_of(self, event: Event) -> str:
        """What ``id:`` is."""
        return f"{self._run}-{event.number}"

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """One of the places while inside; raises Refused where all are taken."""
        if self.streams >= MAX_STREAMS:
            raise Refused(503, f"all {MAX_STREAMS} places for streams of events are taken: close one")
        if self._listener is None:  # whom nobody asks costs nothing
            self._listener = Listener("events", self._app.pipeline, self._notice, keep_only=self._keep_only)
            self._listener.start()
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    def since(self, last: int) -> list[Event]:
        """Changes after the one of that number."""
        with self._lock:
            return [event for event in self._kept if event.number > last]

    def number_of(self, name: str | None) -> int:
        """The number in an ``id``; where it is of another run, or no longer kept, that of the last change but one."""
        run, _, number = (name or "").partition("-")
        known = run == self._run and number.isascii() and number.isdecimal() and len(number) <= 18
        with self._lock:
            oldest = self._count - len(self._kept)
            return int(number) if known and oldest <= int(number) <= self._count else max(self._count - 1, 0)

    @contextlib.contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """Inside, what is set at every change, and at the end."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def notify() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone
                loop.call_soon_threadsafe(changed.set)

        with self._lock:
            self._waiting.add(notify)
        try:
            yield changed
        finally:
            with self._lock:
                self._waiting.discard(notify)

    def _keep_only(self, names: Collection[ViewName]) -> None:
        self._changes.keep_only(names)
        self._group_changes.keep_only(names)

    def _notice(self, recognition: Recognition) -> None:
        changed = self._changes.with_before(recognition)
        changes = [
            change(named, before, recognition, group) for group, named, before in self._group_changes(recognition)
        ]
        if changed is not None:
            changes.insert(0, change(*changed, recognition))
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        with self._lock:
            for each in changes:
                self._count += 1
                self._kept.append(Event(self._count, json.dumps({"time": now, **each})))
        if changes:
            self._wake()

    def _wake(self) -> None:
        with self._lock:
            waiting = list(self._waiting)
        for notify in waiting:
            notify()


class EventStream(Stream):
    """One client's stream.

    Args:
        events: where changes come from.
        last: ``Last-Event-ID`` of the request, or None.
        is_welcome: asked again and again; a session may end while its stream is open.
    """

    def __init__(self, events: Events, last: str | None, is_welcome: Callable[[], bool]) -> None:
        headers = {"X-Accel-Buffering": "no"}  # nginx would collect what should arrive at once
        super().__init__(self._parts(), events.place(), "text/event-stream", headers)
        self._events, self._is_welcome = events, is_welcome
        self._last = events.number_of(last)

    async def _parts(self) -> AsyncIterator[str]:
        events = self._events
        quiet_s = 0.0
        with events.listening() as changed:
            yield f"retry: {RETRY_MS}\n\n"
            while self._is_welcome() and not events.closed:
                changed.clear()
                new = events.since(self._last)
                for event in new:
                    yield _written("change", events.name_of(event), event.data)
                    self._last = event.number
                if not new and quiet_s >= HEARTBEAT_S:
                    yield ": still there\n\n"
                quiet_s = 0.0 if new or quiet_s >= HEARTBEAT_S else quiet_s + WELCOME_S
                with anyio.move_on_after(WELCOME_S):
                    await changed.wait()


def _written(kind: str, name: str, data: Any) -> str:
    return f"event: {kind}\nid: {name}\ndata: {data}\n\n"
