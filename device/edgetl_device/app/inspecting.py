"""Inspection of what a camera sees, beside its recognition: findings, verdicts on parts, and counts of a shift.

The thread is one listener of the pipeline, so however long inspection takes, recognition does not wait for it. It has
its own copy of the backbone, because inspection looks at the frame in another way than recognition does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import EdgetlError, InputError, PhotoError
from ..inference.backbone import Backbone
from ..inspection.service import Finding, Inspection, Taught
from ..photos import Image
from ..store.shifts import Shift, Shifts
from ..view import UNIT, View
from .background import Listener
from .part_rest import Rest
from .pipeline import Pipeline
from .subscription import Recognition, Slot

log = logging.getLogger("edgetl.inspecting")

T = TypeVar("T")

TRIGGERS = ("rest", "frame", "request")
"""What counts as a part: a picture that has come to rest, every frame, or what a program asks for."""
KEEP_S = 60.0  # between two notes of the counts on disk: SD cards wear
MAX_WAITING = 64  # verdicts that a listener may be behind


@dataclass(frozen=True, eq=False)
class Inspected:
    """One inspected frame.

    Args:
        finding: what is to be said of it.
        number: of the frame.
        region: (x, y, width, height), the shares of the frame on which the finding's heat lies; None where the part
            was found and turned, so that it lies on ``photo``.
        photo: (h, w, 3) uint8 RGB, the part as it was looked at; None where ``region`` says it.
    """

    finding: Finding
    number: int
    region: tuple[float, float, float, float] | None
    photo: npt.NDArray[np.uint8] | None


@dataclass(frozen=True)
class PartVerdict:
    """What was said of one part.

    Args:
        time: UTC, ISO 8601.
        frame: number of the frame.
        good: whether nothing unusual was seen.
        score, threshold: as of :class:`~edgetl_device.inspection.service.Finding`.
        where: (x, y, width, height) of the most unusual place, as shares of what was looked at; None where it is good.
        good_parts, bad_parts: of this shift, this part included.
        camera: the name of the camera, where it has one.
    """

    time: str
    frame: int
    good: bool
    score: float
    threshold: float
    where: tuple[float, float, float, float] | None
    good_parts: int
    bad_parts: int
    camera: str = ""

    def to_json(self) -> dict[str, Any]:
        """With the keys of ``edgetl-device inspect check --json``."""
        fields = asdict(self)
        if not self.camera:
            del fields["camera"]
        return {"verdict": "good" if fields.pop("good") else "bad", **fields}


class Inspecting:
    """The inspection of a running app: of the first of its cameras, and of whole frames, whatever regions there are.

    What changes or reads what is known goes through :meth:`locked`; findings come from a thread of its own.

    Args:
        pipeline: whose frames are inspected.
        lock: of the app, which keeps users of the store apart.
        current: the inspection and the backbone in use now; called with the lock.
        trigger: one of :data:`TRIGGERS`.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        lock: threading.RLock,
        current: Callable[[], tuple[Inspection, Backbone]],
        trigger: str = "rest",
    ) -> None:
        self._lock, self._current_of = lock, current
        self._pipeline = pipeline
        self._using: tuple[Inspection, Backbone] | None = None
        self._revision: int | None = None
        self._backbone: Backbone | None = None
        self._view: View | None = None
        self._latest: Inspected | None = None
        self._problem: str | None = None
        self._counts = threading.Lock()
        self.camera = pipeline.cameras[0]
        self._number = 0  # of the last frame
        self._good = self._bad = 0
        self._earlier = (0, 0)  # of shifts before this one
        self._since = _now()
        self._kept: Shift | None = None  # what is on disk
        self._kept_s = float("-inf")
        self._rest = Rest()
        self._resting: deque[Finding] = deque(maxlen=5)
        self._last_good: bool | None = None
        self._listeners: tuple[Slot[PartVerdict], ...] = ()
        self.trigger = trigger
        self._is_on = False
        self._listener: Listener | None = None  # while enough is known: whoever does not inspect pays nothing

    def start(self) -> None:
        """Begin; once."""
        with self._lock:
            self._is_on = True
            self._revision = None
            self._using = None
            self._go_on()
            self.refresh()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End; whether that was done in time."""
        with self._lock:
            self._is_on = False
            listener, self._listener = self._listener, None
            self._keep()
        ended = listener is None or listener.stop(timeout_s)
        for slot in self._listeners:
            slot.close()
        return ended

    # what is seen ----------------------------------------------------------------------------------------------------

    @property
    def latest(self) -> Inspected | None:
        """The newest inspected frame; None while nothing is taught, or no part is in sight."""
        return self._latest

    @property
    def problem(self) -> str | None:
        """Why there is no finding although enough was taught."""
        return self._problem

    def newest(self) -> Recognition | None:
        """The newest recognition of the camera that is inspected; None before the first."""
        mine = [each for each in self._pipeline.latest_of_each() if each.name.camera == self.camera]
        return max(mine, key=lambda each: each.frame.number, default=None)

    def listen(self) -> Slot[PartVerdict]:
        """Room for verdicts, in which each part's is left; what is not taken in time gives way to newer ones."""
        slot: Slot[PartVerdict] = Slot(MAX_WAITING)
        self._listeners = (*self._listeners, slot)
        return slot

    def shift(self) -> dict[str, Any]:
        """Parts counted since the shift began, over restarts of the app."""
        with self._counts:
            return {"since": self._since, "good": self._good, "bad": self._bad}

    def totals(self) -> dict[str, int]:
        """Parts counted since the app started, by verdict."""
        with self._counts:
            return {"good": self._good + self._earlier[0], "bad": self._bad + self._earlier[1]}

    def begin_shift(self) -> None:
        """Count from nought."""
        with self._counts:
            self._earlier = self._earlier[0] + self._good, self._earlier[1] + self._bad
            self._good, self._bad, self._since = 0, 0, _now()
        with self._lock:
            self._keep()

    def _go_on(self) -> None:
        """Count on from where the camera's shift was when the app ended."""
        self._kept = self._shifts.of(self._camera)
        if self._kept is not None:
            with self._counts:
                self._since, self._good, self._bad = self._kept.since, self._kept.good, self._kept.bad
                self._earlier = -self._good, -self._bad  # totals are of this app alone

    def _keep(self) -> None:
        """Note the counts where they have changed; where that cannot be, they are lost with the app."""
        with self._counts:
            shift = Shift(self._since, self._good, self._bad)
        if shift == self._kept or (self._kept is None and not shift.good + shift.bad):
            return
        self._kept_s = time.monotonic()
        try:
            self._shifts.keep(self._camera, shift)
            self._kept = shift
        except EdgetlError as error:
            log.warning("the counts of parts were not kept: %s", error)

    @property
    def _shifts(self) -> Shifts:
        return self._current_of()[0].shifts

    @property
    def _camera(self) -> str:
        return self._pipeline.health(self.camera).camera

    # what is known ---------------------------------------------------------------------------------------------------

    def locked(self, work: Callable[[Inspection], T]) -> T:
        """Do something with the inspection in use; what it changed holds for the next frame."""
        with self._lock:
            inspection, _ = self._current_of()
            try:
                return work(inspection)
            finally:
                self.refresh()

    def teach(self, verdict: str, frames: Sequence[Image]) -> Taught:
        """Photos or frames, (h, w, 3) uint8 BGR, of parts with a verdict: ``good``, ``fine`` or ``bad``."""
        works: dict[str, Callable[[Inspection], Taught]] = {
            "good": lambda inspection: inspection.learn(frames),
            "fine": lambda inspection: inspection.fine(frames),
            "bad": lambda inspection: inspection.bad(frames),
        }
        if verdict not in works:
            raise InputError(f"a verdict is one of {', '.join(works)}, got {verdict[:40]!r}")
        return self.locked(works[verdict])

    def check(self, image: Image, number: int = 0) -> PartVerdict:
        """Inspect a photo, or what the camera sees, as one part that was asked for: it is counted."""
        finding = self.locked(lambda inspection: inspection.check(image))
        return self._tell(finding, number)

    def refresh(self) -> None:
        """Take over what was taught meanwhile, here or by a command."""
        with self._lock:
            inspection, backbone = self._current_of()
            if self._is_on and time.monotonic() - self._kept_s > KEEP_S:
                self._keep()
            revision = inspection.revision if inspection.available else None
            if self._using is not None and self._using[0] is inspection and revision == self._revision:
                return
            ready = inspection.ready
            if ready:
                inspection.refresh()
            if self._using is None or self._using[1] is not backbone:
                self._backbone = None
            if ready and self._backbone is None:  # whoever does not inspect pays for no second interpreter
                self._backbone = backbone.another() or backbone
            self._view = inspection.view or View()
            self._revision = revision
            self._using = inspection, backbone
            self._listen(ready)

    def _listen(self, ready: bool) -> None:
        """Inspect what the camera sees from now on, or no more."""
        if ready and self._is_on and self._listener is None:
            self._rest = Rest()
            mine = self.camera
            self._listener = Listener("inspection", self._pipeline, self._look, lambda name: name.camera == mine)
            self._listener.start()
        elif not ready:
            listener, self._listener = self._listener, None
            if listener is not None:
                listener.stop()
            self._latest = self._problem = None

    # the thread ------------------------------------------------------------------------------------------------------

    def _look(self, recognition: Recognition) -> None:
        using, backbone, view = self._using, self._backbone, self._view
        if using is None or backbone is None or view is None:
            return
        frame = recognition.frame
        if frame.number == self._number:  # another region of it
            return
        self._number = frame.number
        rested = self._rest(frame.image, frame.time_s)
        try:
            photo = using[0].photo(frame.image)
            finding = using[0].check_maps(backbone.embed_with_maps(photo)[1])
        except EdgetlError as error:  # no part in sight, or all was forgotten just now
            self._latest, self._problem = None, str(error)
            self._resting.clear()
            if not isinstance(error, PhotoError):
                log.info("%s", error)
            return
        region = view.region or (0, 0, UNIT, UNIT)
        x, y, width, height = (each / UNIT for each in region)
        posed = view.find_part
        self._latest = Inspected(
            finding, frame.number, None if posed else (x, y, width, height), photo if posed else None
        )
        self._problem = None
        self._judge(finding, frame.number, rested)

    def _judge(self, finding: Finding, number: int, rested: bool) -> None:
        """Count a part where there is one."""
        if self.trigger == "frame":
            self._tell(finding, number, news=finding.good != self._last_good)
            self._last_good = finding.good
        elif self.trigger == "rest":
            if self._rest.moved:
                self._resting.clear()
            self._resting.append(finding)
            if rested:  # the median of the last ones: one frame's noise is no verdict
                last = sorted(self._resting, key=lambda each: each.score)
                self._tell(last[len(last) // 2], number)

    def _tell(self, finding: Finding, number: int, *, news: bool = True) -> PartVerdict:
        with self._counts:
            self._good += finding.good
            self._bad += not finding.good
            verdict = PartVerdict(
                _now(), number, finding.good, round(finding.score, 4), round(finding.threshold, 4), finding.where,
                self._good, self._bad, self.camera,
            )  # fmt: skip
        if news:
            for slot in self._listeners:
                slot.put(verdict)
        return verdict


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
