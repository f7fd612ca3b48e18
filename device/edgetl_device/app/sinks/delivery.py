"""Messages that must arrive one after the other, at a receiver that may be away: a bounded queue, and patience.

The oldest message is tried again and again, with growing pauses. Where too many wait, the oldest are dropped, and the
next one that arrives says how many. Nobody who leaves a message waits.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger("edgetl.sinks")

T = TypeVar("T")

MAX_WAITING = 200  # messages
BACKOFF_S = (1.0, 60.0)  # first and longest pause before another attempt
_JITTER = 0.2  # of a pause, so that many devices do not come back at the same moment


class Trouble(Exception):
    """A message did not arrive.

    Args:
        reason: for a log; holds no secret.
        lasting: the receiver will never take it.
        wait_s: how long the receiver wants to be left alone, seconds.
    """

    def __init__(self, reason: str, *, lasting: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.lasting, self.wait_s = reason, lasting, wait_s


class Delivery(Generic[T]):
    """Sends messages in a thread of its own.

    Args:
        what: the receiver, for the log.
        send: delivers a message; gets how many were dropped before it. Raises Trouble.
        max_waiting: messages that may wait.
        backoff_s: first and longest pause, seconds.
    """

    def __init__(
        self,
        what: str,
        send: Callable[[T, int], None],
        *,
        max_waiting: int = MAX_WAITING,
        backoff_s: tuple[float, float] = BACKOFF_S,
    ) -> None:
        self._what, self._deliver = what, send
        self._max_waiting, self._backoff_s = max_waiting, backoff_s
        self._changed = threading.Condition()
        self._waiting: deque[T] = deque()
        self._dropped = 0
        self._closed = False
        self._told: str | None = None  # the trouble that was logged last
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to send; once."""
        self._thread.start()

    def put(self, message: T) -> None:
        """Leave a message; never waits."""
        with self._changed:
            if len(self._waiting) >= self._max_waiting:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(message)
            self._changed.notify_all()

    def close(self, timeout_s: float = 1.0) -> None:
        """End; what still waits is lost."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        pause_s = self._backoff_s[0]
        while (taken := self._next()) is not None:
            message, dropped = taken
            try:
                self._deliver(message, dropped)
            except Trouble as trouble:
                self._tell(trouble)
                if trouble.lasting:
                    self._leave(message, -1)
                    continue
                self._sleep(max(pause_s * (1 + random.uniform(-_JITTER, _JITTER)), trouble.wait_s))
                pause_s = min(2 * pause_s, self._backoff_s[1])
            else:
                self._leave(message, dropped)
                pause_s, self._told = self._backoff_s[0], None

    def _next(self) -> tuple[T, int] | None:
        """The oldest message, which stays in the queue, and how many were dropped; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return None if self._closed else (self._waiting[0], self._dropped)

    def _leave(self, message: T, reported: int) -> None:
        """A message arrived and reported how many were dropped; or it never will (-1).

        Meanwhile it may have been dropped itself, and counted as such.
        """
        with self._changed:
            is_first = bool(self._waiting) and self._waiting[0] is message
            if is_first:
                self._waiting.popleft()
            if reported >= 0:
                self._dropped -= reported + (not is_first)
            elif is_first:
                self._dropped += 1

    def _sleep(self, seconds: float) -> None:
        with self._changed:
            until_s = time.monotonic() + seconds
            self._changed.wait_for(lambda: self._closed or time.monotonic() >= until_s, seconds)

    def _tell(self, trouble: Trouble) -> None:
        """Once, not at every attempt of a long night."""
        if self._told != trouble.reason:
            self._told = trouble.reason
            then = "the message is dropped" if trouble.lasting else "trying again"
            log.warning("%s %s: %s", self._what, trouble.reason, then)
