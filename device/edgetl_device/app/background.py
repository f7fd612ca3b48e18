"""Threads beside the pipeline: one that listens to it, one that does something again and again."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from typing import Generic, TypeVar

from ..addresses import without_secrets
from .pipeline import Pipeline
from .subscription import Recognition, Slot

log = logging.getLogger("edgetl.background")

T = TypeVar("T")


class Listener:
    """Calls a function with the newest recognition, again and again, in a thread of its own.

    However long the function takes, it slows nobody; what it missed meanwhile is gone.

    Args:
        name: of the thread.
        pipeline: to listen to.
        function: gets a :class:`Recognition`; if it raises, it is called no more.
    """

    def __init__(self, name: str, pipeline: Pipeline, function: Callable[[Recognition], object]) -> None:
        self._subscription = pipeline.subscribe()
        self._function = function
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End; whether it ended in time."""
        self._subscription.close()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while (recognition := self._subscription.get()) is not None:
                self._function(recognition)
        except Exception as error:  # a listener's fault is its own
            _log_failure(self._thread.name, error)
            self._subscription.close()


class Taker(Generic[T]):
    """Calls a function with each value that is left in a slot, in a thread of its own.

    Args:
        name: of the thread.
        slot: where values are left.
        function: gets them one after the other; if it raises, it is called no more.
    """

    def __init__(self, name: str, slot: Slot[T], function: Callable[[T], object]) -> None:
        self._slot, self._function = slot, function
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End; whether it ended in time."""
        self._slot.close()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while (value := self._slot.get()) is not None:
                self._function(value)
        except Exception as error:  # its fault is its own
            _log_failure(self._thread.name, error)
            self._slot.close()


class Periodic:
    """Calls a function again and again in a thread of its own; a call that fails is logged, and the next one comes.

    Args:
        name: of the thread.
        interval_s: seconds between the end of one call and the next.
        function: must return in less than the time that stopping may take.
    """

    def __init__(self, name: str, interval_s: float, function: Callable[[], object]) -> None:
        self._interval_s = interval_s
        self._function = function
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End; whether it ended in time."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self._function()
            except Exception:  # whatever it is, the next call may succeed
                log.exception("%s failed", self._thread.name)


def _log_failure(name: str, error: Exception) -> None:
    *_, place = traceback.extract_tb(error.__traceback__)
    reason = without_secrets(f"{type(error).__name__}: {error}")  # it may name an address
    log.error("%s failed and is off: %s (%s:%s)", name, reason, place.filename, place.lineno)
