"""Watches the head in use: does it work at all, and does the scene still resemble what it knows?"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from typing import TypeVar

from ..codes import CodeTransform
from ..errors import EdgetlError
from ..learning.drift import Drift, DriftState
from ..learning.learner import Learner
from ..view_names import ViewName
from .subscription import Recognition

log = logging.getLogger("edgetl.watch")

T = TypeVar("T")

GOOD_OBSERVATIONS = 4  # of a version that works, until it counts as healthy
KEEP_DRIFT_S = 600.0  # between two notes of the drift on disk: SD cards wear


class HeadWatch:
    """Notes starts, health and drift of one learner's active version; drift of each view by itself.

    Not to be able to write a note, as on a full disk, is logged and harms nothing else.

    Args:
        learner: whose head is in use.
        codes: of its backbone.

    Attributes:
        proven: whether recognition worked with this learner, so with its bundle too.
    """

    def __init__(self, learner: Learner, codes: CodeTransform) -> None:
        self._learner = learner
        self._codes = codes
        self._kept_s = time.monotonic()
        self._observed: dict[ViewName, int] = {}  # number of the last observed frame
        self._unproven: int | None = None  # the version that was started and is not known to be healthy
        self._good_observations = 0
        self.proven = False
        self.renew()

    @property
    def drift(self) -> DriftState:
        """What the stream looks like to the head in use; of several views that of the strangest."""
        return self._strangest().state

    def drift_of(self, name: ViewName) -> DriftState | None:
        """As :attr:`drift`, of one view; None of one that asks another question, or before its first frame."""
        found = self._drifts.get(name)
        return None if found is None else found.state

    def renew(self, names: Collection[ViewName] = ()) -> None:
        """Another head is in use, or other views: of these names."""
        self._observed = {name: number for name, number in self._observed.items() if name in names}
        self._drifts: dict[ViewName, Drift] = {}
        self._first: Drift = self._learner.drift()  # goes on where the last process ended

    def started(self) -> bool:
        """The active version is put to use; whether it was given up for an earlier one, as it never ran well."""
        start = self._note(self._learner.mark_started)
        self._unproven, self._good_observations = self._learner.active_version, 0
        return start is not None and start.failed is not None

    def observe(self, recognition: Recognition) -> None:
        """A recognition that the head in use recognised."""
        if self._unproven == recognition.version:
            self._good_observations += 1
            if self._good_observations >= GOOD_OBSERVATIONS:
                self._prove()
        if recognition.group is None and recognition.frame.number != self._observed.get(recognition.name):
            self._observed[recognition.name] = recognition.frame.number
            self._drift_of(recognition.name).update(self._codes(recognition.raw[None]))
        if time.monotonic() - self._kept_s > KEEP_DRIFT_S:
            self._keep()

    def end(self, good: bool) -> None:
        """The app ends; ``good`` unless recognition failed."""
        if good and self._good_observations:  # a short run is no failed one
            self._prove()
        self._keep()

    def _prove(self) -> None:
        self.proven = True
        if self._unproven is not None:
            self._unproven = None
            self._note(self._learner.mark_healthy)

    def _keep(self) -> None:
        self._kept_s = time.monotonic()
        self._note(lambda: self._learner.keep_drift(self._strangest()))

    def _drift_of(self, name: ViewName) -> Drift:
        if name not in self._drifts:
            self._drifts[name] = self._learner.drift(anew=True) if self._drifts else self._first
        return self._drifts[name]

    def _strangest(self) -> Drift:
        def strangeness(drift: Drift) -> tuple[bool, float]:
            state = drift.state
            return state.state == "drifting", -1.0 if state.rank is None else -state.rank

        return max(self._drifts.values(), key=strangeness, default=self._first)

    def _note(self, write: Callable[[], T]) -> T | None:
        try:
            return write()
        except EdgetlError as error:
            log.warning("%s", error)
            return None
