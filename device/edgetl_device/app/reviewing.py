"""Which of a running app's frames are kept for a person to glance at, and what the person decides about them.

The thread is one listener of the pipeline, so recognition does not wait for it. Most frames cost it a comparison of two
numbers; at most one in ten seconds is written, the most uncertain one of these, for SD cards wear.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import EdgetlError, InputError
from ..inference.classifier import Prediction
from ..learning.learner import Learner
from ..learning.review import directions, drop_frames, frames_for_review, frames_of_samples, samples_of_frames
from ..store.review import MOST_FRAMES, ReviewFrame
from ..view_names import ViewName
from .background import Listener
from .captured import CapturedSample
from .pipeline import Pipeline
from .subscription import Recognition

log = logging.getLogger("edgetl.reviewing")

KEEP_S = 10.0  # between two frames that are kept
LET_GO_S = 3600.0  # between two looks at which are too old
UNSURE_BELOW = 0.6  # the probability of a label that is not sure
CLOSE = 0.2  # the margin between two labels of which either may be right
ALIKE = 0.95  # cosine of two frames of which one is enough
NEIGHBOUR_S = 1.0  # the longest time between two frames that show the same thing
UNDOABLE = 4  # labellings that can be taken back; a frame is kept in memory for it, some 10 kB
_LEAST = {"unknown": 1.0, "uncertain": 0.0, "differs": 0.5}  # doubt that its neighbours raise, however sure it is


@dataclass(frozen=True, eq=False)
class _Candidate:
    frame: ReviewFrame
    direction: np.ndarray
    doubt: float


@dataclass(eq=False)
class _Labelled:
    """Frames that became samples: each sample's id and its frame."""

    backbone: str
    label: str
    was_hidden: bool
    samples: dict[int, ReviewFrame]
    group: str | None = None


@dataclass(frozen=True)
class _Glimpse:
    """What is remembered of a frame for its neighbours; ``label`` is None where it is unknown."""

    label: str | None
    time_s: float
    head: tuple[str, int]

    @classmethod
    def of(cls, recognition: Recognition) -> _Glimpse:
        told = recognition.instant
        head = recognition.backbone, recognition.version
        return cls(None if told.unknown else told.label, recognition.frame.time_s, head)

    def agrees_with(self, other: _Glimpse) -> bool:
        return self._is_near(other) and self.label == other.label

    def contradicts(self, other: _Glimpse) -> bool:
        return self._is_near(other) and self.label != other.label

    def _is_near(self, other: _Glimpse) -> bool:
        near = self.head == other.head and self.time_s - other.time_s <= NEIGHBOUR_S
        return near and None not in (self.label, other.label)


class Reviewing:
    """The review of a running app.

    Args:
        pipeline: whose frames are looked at.
        lock: of the app, which keeps users of the store apart.
        learner: group or None → the one in use now, also of a group that begins; called with the lock.
        capture: what is kept of a recognition, picture included.
        keeps: whether frames are kept at all; those that were can be decided about all the same.
        live: whether frames that follow each other show the same thing, as of a camera.
        keep_s: seconds between two frames that are kept.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        lock: threading.RLock,
        learner: Callable[[str | None], Learner],
        capture: Callable[[Recognition], CapturedSample],
        *,
        keeps: bool = True,
        live: bool = True,
        keep_s: float = KEEP_S,
    ) -> None:
        self._lock, self._learner_of, self._capture = lock, learner, capture
        self._live, self._keep_s = live, keep_s
        self._kept_s = self._looked_s = float("-inf")
        self._candidate: _Candidate | None = None
        self._glimpses: dict[ViewName, deque[_Glimpse]] = {}  # of the last two frames of each view
        self._odd: dict[ViewName, _Candidate | None] = {}  # the last frame, where it contradicts the one before
        self._labelled: deque[_Labelled] = deque(maxlen=UNDOABLE)
        # Of what was kept, also after it was dropped: what nobody wants to see does not come back at once.
        self._seen: deque[np.ndarray] = deque(maxlen=2 * MOST_FRAMES)
        self._of: str | None = None  # digest of the backbone that made them
        self._listener = Listener("reviewing", pipeline, self._see, keep_only=self._keep_only) if keeps else None

    def start(self) -> None:
        """Begin; once."""
        if self._listener is not None:
            self._listener.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End; whether that was done in time."""
        return self._listener is None or self._listener.stop(timeout_s)

    def _learner(self, group: str | None = None) -> Learner:
        return self._learner_of(group)

    # what a person decides ---------------------------------------------------------------------------------------

    def frames(self) -> list[ReviewFrame]:
        """What is kept, in the order in which to ask."""
        with self._lock:
            return frames_for_review(self._learner())

    def thumbnail(self, frame: int) -> bytes | None:
        """The picture of a frame as JPEG, or None."""
        with self._lock:
            return self._learner().store.review.thumbnail(frame)

    def label(self, label: str, ids: Sequence[int], group: str | None = None) -> list[int]:
        """As :func:`~edgetl_device.learning.review.label_frames`, in a group too; the last few can be undone."""
        with self._lock:
            learner = self._learner(group)
            backbone = learner.bundle.backbone_digest
            was_hidden = label in learner.store.hidden(backbone)
            samples = samples_of_frames(learner, label, ids)
            self._labelled.append(_Labelled(backbone, label, was_hidden, samples, group))
            return list(samples)

    def undo(self, samples: Sequence[int]) -> tuple[int, str | None]:
        """Take a labelling back: forget its samples exactly and keep their frames again; → how many, and its group.

        Args:
            samples: ids of all the samples that it made.

        Raises:
            InputError: it is not one of the last few since the start, or nothing of it is left.
        """
        with self._lock:
            for labelled in self._labelled:
                learner = self._learner(labelled.group)
                if labelled.backbone == learner.bundle.backbone_digest and set(labelled.samples) == set(samples):
                    with learner.lock():  # or another process could teach the label in between
                        undone = frames_of_samples(learner, labelled.label, labelled.samples)
                        self._labelled.remove(labelled)
                        if labelled.was_hidden:
                            self._hide_again(labelled, learner)
                    return undone, labelled.group
        raise InputError("this is none of the last labellings of frames: forget their samples instead")

    def _hide_again(self, undone: _Labelled, learner: Learner) -> None:
        """A label that was hidden is so again, once nothing is left that was taught of it since."""
        if not learner.store.newest_samples(undone.backbone, undone.label, limit=1):
            learner.hide(undone.label)
            return
        of = undone.backbone, undone.label, undone.group
        for other in self._labelled:
            if (other.backbone, other.label, other.group) == of:
                other.was_hidden = True  # whoever is undone last hides it

    def drop(self, ids: Sequence[int] | None = None) -> int:
        """As :func:`~edgetl_device.learning.review.drop_frames`."""
        with self._lock:
            return drop_frames(self._learner(), ids)

    # what is kept ------------------------------------------------------------------------------------------------

    def _see(self, recognition: Recognition) -> None:
        if recognition.group is not None:  # what is asked for review is the label without a group
            return
        why = worth_a_glance(recognition.instant)
        if why is not None:
            self._consider(self._compared(recognition, why))
        if self._live:
            self._look_back(recognition)
        now = time.monotonic()
        if self._candidate is not None and now - self._kept_s >= self._keep_s:
            candidate, self._candidate = self._candidate, None
            self._kept_s = now
            self._keep(candidate)
        elif now - self._looked_s >= LET_GO_S:
            self._looked_s = now
            self._let_go()

    def _keep_only(self, names: Collection[ViewName]) -> None:
        self._glimpses = {name: glimpses for name, glimpses in self._glimpses.items() if name in names}
        self._odd = {name: odd for name, odd in self._odd.items() if name in names}

    def _look_back(self, recognition: Recognition) -> None:
        """Consider the frame before this one where it is called otherwise than both of its neighbours, which agree."""
        glimpse, name = _Glimpse.of(recognition), recognition.name
        glimpses = self._glimpses.setdefault(name, deque(maxlen=2))
        last, odd = (glimpses[-1] if glimpses else None), self._odd.pop(name, None)
        if len(glimpses) == 2 and odd is not None and glimpse.agrees_with(glimpses[0]):
            self._consider(odd)
        if last is not None and glimpse.contradicts(last):
            self._odd[name] = self._compared(recognition, "differs")  # the frame itself may be 25 MB
        glimpses.append(glimpse)

    def _consider(self, candidate: _Candidate | None) -> None:
        """Remember the frame that is worth most, until one is to be kept."""
        if candidate is not None and (self._candidate is None or candidate.doubt > self._candidate.doubt):
            self._candidate = candidate

    def _compared(self, recognition: Recognition, why: str) -> _Candidate | None:
        """What would be kept of a frame; None unless it is worth more than what is remembered, and new."""
        doubt = max(1.0 - _margin(recognition.instant), _LEAST[why])
        if self._candidate is not None and doubt <= self._candidate.doubt:
            return None
        direction = self._direction(recognition)
        if direction is None or any(float(direction @ other) >= ALIKE for other in self._seen):
            return None
        kept = self._capture(recognition)
        if kept.picture is None:
            return None
        told = recognition.instant.label, recognition.instant.probability
        frame = ReviewFrame(kept.backbone, "", kept.view, why, *told, kept.raw, kept.picture)
        return _Candidate(frame, direction, doubt)

    def _direction(self, recognition: Recognition) -> np.ndarray | None:
        with self._lock:
            learner = self._learner()
            if learner.bundle.backbone_digest != recognition.backbone:
                return None
            transform = learner.transform
            if self._of != recognition.backbone:
                self._of = recognition.backbone
                self._candidate = None
                self._seen.clear()
                kept = [each.raw for each in learner.store.review.frames(recognition.backbone)]
                rows = [raw for raw in kept if len(raw) == transform.dimension]
                self._seen.extend(directions(transform(np.stack(rows)), transform.origin) if rows else [])
        row: np.ndarray = directions(transform(recognition.raw[None]), transform.origin)[0]
        return row

    def _keep(self, candidate: _Candidate) -> None:
        try:
            with self._lock:
                learner = self._learner()
                kept = learner.store.review.keep(candidate.frame, learner.runtime)
        except EdgetlError as error:
            log.info("no frame was kept for review: %s", error)
            return
        if kept:
            self._seen.append(candidate.direction)

    def _let_go(self) -> None:
        try:
            with self._lock:
                self._learner().store.review.let_go()
        except EdgetlError as error:
            log.info("old frames for review stay for now: %s", error)


def worth_a_glance(prediction: Prediction) -> str | None:
    """Why a frame is worth a person's glance by itself; None where it is not, or where nothing is known yet.

    >>> worth_a_glance(Prediction("box", 0.55, False, (("box", 0.55), ("ball", 0.45))))
    'uncertain'
    >>> worth_a_glance(Prediction("box", 0.97, False, (("box", 0.97), ("ball", 0.03))))
    """
    if prediction.label is None:
        return None
    if prediction.unknown:
        return "unknown"
    return "uncertain" if prediction.probability < UNSURE_BELOW or _margin(prediction) < CLOSE else None


def _margin(prediction: Prediction) -> float:
    first, second = (*(probability for _, probability in prediction.top[:2]), 0.0, 0.0)[:2]
    return first - second
