"""Threads beside the pipeline: one that listens to it, one that does something again and again."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Collection
from typing import Generic, Protocol, TypeVar

from ..addresses import without_secrets
from ..view_names import ViewName
from .pipeline import Pipeline
from .subscription import Recognition

log = logging.getLogger("edgetl.background")

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Source(Protocol[T_co]):
    """Where values are left: a :class:`~.subscription.Slot` or a :class:`~.subscription.Subscription`."""

    def get(self) -> T_co | None:
        """The next value, waited for; None when no more will come."""
        ...

    def close(self) -> None:
        """Let everyone go who waits."""
        ...


class Taker(Generic[T]):
    """Calls a function with each value that a source gives, in a thread of its own.

    Args:
        name: of the thread.
        source: where values are left; closed in the end.
        function: gets them one after the other; if it raises, it is called no more.
    """

    def __init__(self, name: str, source: Source[T], function: Callable[[T], object]) -> None:
        self._source, self._function = source, function
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End; whether it ended in time."""
        self._source.close()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while (value := self._source.get()) is not None:
                self._function(value)
        except Exception as error:  # its fault is its own
            _log_failure(self._thread.name, error)
            self._source.close()


class Listener(Taker[Recognition]):
    """Calls a function with the newest recognition of each view, again and again, in a thread of its own.

    However long the function takes, it slows nobody; what it missed meanwhile is gone.

    Args:
        name: of the thread.
        pipeline: to listen to.
        function: gets a :class:`Recognition`; if it raises, it is called no more.
        wanted: the views to listen to; None for all.
        keep_only: gets the names of the views that are left before the first recognition after they changed, in the
            same thread; then none of the others comes any more.
    """

    def __init__(
        self,
        name: str,
        pipeline: Pipeline,
        function: Callable[[Recognition], object],
        wanted: Callable[[ViewName], bool] | None = None,
        keep_only: Callable[[Collection[ViewName]], object] | None = None,
    ) -> None:
        super().__init__(name, pipeline.subscribe(wanted=wanted), function if keep_only is None else self._take)
        self._pipeline, self._take_current, self._keep_only = pipeline, function, keep_only
        self._names: Collection[ViewName] | None = None

    def _take(self, recognition: Recognition) -> None:
        names = self._pipeline.names
        if names is not self._names and self._keep_only is not None:
            self._names = names
            self._keep_only(names)
        if recognition.name in names:  # otherwise it was on its way when its view was removed
            self._take_current(recognition)


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
