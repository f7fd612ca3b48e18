"""The home that a Device works on, for threads that take turns."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import EdgetlError, InputError
from ..home import Home
from ..learning.drift import Drift
from ..learning.learner import Learner
from ..open_home import OpenHome

log = logging.getLogger("edgetl.device")


class CurrentHome:
    """A home, opened at its first use, and anew where another bundle or store took the place of its own.

    Args:
        home: the folder.
        runtime, threads: as for :class:`~edgetl_device.open_home.OpenHome`.
    """

    def __init__(self, home: Home, runtime: str, threads: int | None) -> None:
        self.home = home
        self._runtime = runtime
        self._threads = threads
        self._lock = threading.RLock()
        self._opened: OpenHome | None = None
        self._drift: tuple[tuple[int, int], Drift] | None = None  # of which head, by version and revision
        self._closed = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The turn of one thread, with nothing opened; raises InputError where the home was closed."""
        with self._lock:
            if self._closed:
                raise InputError("this Device was closed: make another")
            yield

    @contextmanager
    def now(self) -> Iterator[OpenHome]:
        """The home as it is now, for one thread at a time."""
        with self.turn():
            if self._opened is None:
                self._opened = OpenHome(self.home, self._runtime, self._threads)
            elif self._opened.replaced() is not None:
                self._opened.reload()
                self._drift = None
            self._opened.look_again()
            yield self._opened

    def drift(self, learner: Learner) -> Drift:
        """What tells whether the scene still resembles what the head in use knows."""
        head = learner.active_version, learner.store.revision()
        if self._drift is None or self._drift[0] != head:
            self._drift = head, learner.drift()
        return self._drift[1]

    def keep_drift(self) -> None:
        """Note it on disk, for ``status`` and the next program: rarely, SD cards wear."""
        if self._drift is None or self._opened is None:
            return
        (version, _), drift = self._drift
        learner = self._opened.learner
        try:
            if not self._opened.replaced() and version == learner.active_version:
                learner.keep_drift(drift)
        except EdgetlError as error:  # labels are right all the same
            log.warning("drift was not kept: %s", error)
        self._drift = None

    def close(self) -> None:
        """Close the store, if it was opened; nothing can be done with the home any more."""
        with self._lock:
            self.keep_drift()
            self._closed = True
            if self._opened is not None:
                self._opened.close()
            self._opened = None
