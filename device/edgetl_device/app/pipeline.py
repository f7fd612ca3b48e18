"""Pipeline: camera → classifier → whoever listens. Threads live here and in ``background``, and nowhere else.

Three threads pass frames on through slots with little room: *capture* reads and preprocesses, *inference* runs the
backbone, *recognition* applies the head, smooths and delivers. The backbone and OpenCV release Python's lock, so
decoding and the head run beside the backbone. A live camera's frame that nobody took in time is replaced by the next;
a listener's too, so no listener can slow anything. Above a hundred frames a second the head takes several at once.
"""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType

import numpy as np
import numpy.typing as npt

from ..addresses import without_secrets
from ..camera import STALL_S, Camera, Frame
from ..codes import Int8
from ..errors import CameraError, EdgetlError
from ..inference.backbone import Backbone
from ..inference.classifier import Classifier
from ..looking import Shares
from ..photos import Image
from ..printable import printable
from .health import Health, rate
from .smoothing import DEFAULT_S, GroupSmoothers, Smoother
from .subscription import Recognition, Slot, Subscription

__all__ = ["Health", "Pipeline", "Recognition", "Subscription"]

log = logging.getLogger("edgetl.pipeline")

BACKOFF_S = (0.5, 10.0)  # first and longest pause before the next attempt to reach a camera
_STEADY_S = 5.0  # a connection that lasted so long starts again with the shortest pause
_AHEAD = 8  # frames of a file that may be read ahead; of a live camera only the newest counts
_TOGETHER = 16  # embeddings that may wait for the head
_PACE_S = 0.01  # the head comes no more often than this: it reads megabytes of weights, for one embedding or for eight
_RECENT = 64  # frames over which rates and medians are taken


@dataclass(frozen=True, eq=False)
class _Seen:
    """What was looked at in a frame: the photo, where it is, and with which view."""

    photo: npt.NDArray[np.uint8]
    part: Shares
    view: str


class Pipeline:
    """Recognises what a camera sees until it is stopped or the camera is at its end.

    A camera that worked and fails is connected again with growing pauses, for ever; at no time are there more threads
    or connections than one of each kind. One that never worked ends the pipeline unless it is waited for; a damaged
    file always does.

    Args:
        camera: where frames come from; the pipeline closes it.
        classifier: backbone and head.
        version: of the head.
        smoothing_s: time constant of :class:`~edgetl_device.app.smoothing.Smoother`, seconds; 0 turns it off.
        max_frames: stop after so many recognised frames.
        on_first_frame: called once, before the first frame is passed on.
        backoff_s: first and longest pause before a camera is tried again, seconds.
        wait_for_camera: a camera that never worked may come later.
    """

    def __init__(
        self,
        camera: Camera,
        classifier: Classifier,
        *,
        version: int = 0,
        smoothing_s: float = DEFAULT_S,
        max_frames: int | None = None,
        on_first_frame: Callable[[], None] | None = None,
        backoff_s: tuple[float, float] = BACKOFF_S,
        wait_for_camera: bool = False,
    ) -> None:
        self._camera = camera
        self._current = (classifier, version)
        self._smoother = Smoother(smoothing_s)
        self._of_groups = GroupSmoothers(smoothing_s)
        self._max_frames = max_frames
        self._on_first_frame = on_first_frame
        self._backoff_s = backoff_s
        self._wait_for_camera = wait_for_camera
        self._captured: Slot[tuple[Frame, _Seen, Backbone]] = Slot(1 if camera.live else _AHEAD)
        self._embedded: Slot[tuple[Frame, Int8, _Seen, Classifier, int]] = Slot(_TOGETHER)
        self._view_problem: str | None = None
        self._subscriptions: tuple[Subscription, ...] = ()
        self._lock = threading.Lock()  # subscriptions, and what health() reads in one piece
        self._stopping = threading.Event()
        self._finished = threading.Event()
        self._latest: Recognition | None = None
        self._number = self._frames = self._dropped = self._reconnects = 0
        self._captured_s: float | None = None
        self._embedded_s: float | None = None
        self._inference_ms: deque[float] = deque(maxlen=_RECENT)
        self._delivered_s: deque[float] = deque(maxlen=_RECENT)
        self._first_s = 0.0
        self._error: str | None = None
        self._failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(step, after), name=name, daemon=True)
            for name, step, after in (
                ("capture", self._capture, self._captured.close),
                ("inference", self._infer, self._embedded.close),
                ("recognition", self._recognise, self._finish),
            )
        ]

    # for everyone ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; once."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End all threads and close the camera; whether they ended in time."""
        self._stopping.set()
        self._camera.close()
        self._captured.close()
        self._embedded.close()
        until_s = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until_s - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def __enter__(self) -> Pipeline:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the camera is at its end, ``max_frames`` are done or it was stopped; False after the timeout.

        Raises:
            EdgetlError: what ended it otherwise.
        """
        done = self._finished.wait(timeout_s)
        if self._failure is not None:
            raise self._failure
        return done

    def latest(self) -> Recognition | None:
        """The newest recognition, or None before the first."""
        return self._latest

    def subscribe(self, notify: Callable[[], None] | None = None) -> Subscription:
        """Listen. The recognition thread calls ``notify`` when a recognition finds none waiting, and at the end.

        It must return at once; ``lambda: loop.call_soon_threadsafe(event.set)`` serves an asyncio listener.
        """
        subscription = Subscription(self._unsubscribe, notify)
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
        if self._finished.is_set():
            subscription.end()
        return subscription

    def swap(self, classifier: Classifier, version: int) -> None:
        """Use another head, or backbone and head, from the next frame on."""
        self._view_problem = None  # the next frame tells
        self._current = (classifier, version)

    @property
    def is_waiting(self) -> bool:
        """Whether there was no camera yet."""
        return not self._number and self._error is not None

    @property
    def view_problem(self) -> str | None:
        """Why frames cannot be looked at with the view that was chosen: they are looked at whole."""
        return self._view_problem

    @property
    def failure(self) -> BaseException | None:
        """What ended it, where that was no wish; :meth:`wait` raises it."""
        return self._failure

    @property
    def version(self) -> int:
        """Of the head in use."""
        return self._current[1]

    def health(self) -> Health:
        """How it is doing now."""
        now = time.monotonic()
        with self._lock:
            times_ms, delivered_s = list(self._inference_ms), list(self._delivered_s)
        frame_age_s = None if self._captured_s is None else now - self._captured_s
        error = self._error
        running = self._threads[0].ident is not None and not self._finished.is_set()
        if error is None and running and frame_age_s is not None and frame_age_s > STALL_S:
            error = f"{self._camera.name} has sent no frame for {frame_age_s:.0f} s"
        return Health(
            camera=self._camera.name,
            running=running,
            fps=rate(delivered_s, now),
            frames=self._frames,
            dropped=self._dropped,
            reconnects=self._reconnects,
            last_frame_age_s=frame_age_s,
            last_inference_age_s=None if self._embedded_s is None else now - self._embedded_s,
            inference_ms=statistics.median(times_ms) if times_ms else None,
            seconds=delivered_s[-1] - self._first_s if delivered_s else 0.0,
            error=error,
        )

    # the three threads -------------------------------------------------------------------------------------------

    def _capture(self) -> None:
        pause_s, longest_s = self._backoff_s
        told = None
        while not self._stopping.is_set():
            began_s = time.monotonic()
            try:
                self._connection()
                if self._camera.finite or self._stopping.is_set():
                    return
                self._error = f"{self._camera.name} has ended"
            except Exception as error:  # drivers raise what they like; a camera must not end the program
                log.info("the camera failed", exc_info=not isinstance(error, EdgetlError))
                failure = error if isinstance(error, EdgetlError) else self._unexpected(error)
                if self._camera.finite or not (self._number or self._wait_for_camera):
                    raise failure from None  # a camera that never worked is a mistake rather than a fault
                self._error = str(failure)
            if time.monotonic() - began_s > _STEADY_S:
                pause_s = self._backoff_s[0]
            level = logging.INFO if self._error == told else logging.WARNING  # a camera may be away for days
            log.log(level, "%s; trying again in %.1f s", self._error, pause_s)
            told = self._error
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, longest_s)
            self._reconnects += 1

    def _unexpected(self, error: Exception) -> CameraError:
        """A driver's own exception, in one line."""
        reason = printable(without_secrets(f"{type(error).__name__}: {error}"), 200)
        return CameraError(f"{self._camera.name} failed ({reason}): check that it is connected and not in use")

    def _connection(self) -> None:
        """Pass on the frames of one connection."""
        wait = not self._camera.live
        with closing(self._camera.frames()) as images:
            for image in images:
                if self._stopping.is_set():
                    return
                self._captured_s = time.monotonic()
                self._error = None
                self._number += 1
                if self._number == 1 and self._on_first_frame is not None:
                    self._on_first_frame()
                frame = Frame(image, self._number, self._captured_s)
                backbone = self._current[0].backbone
                if self._captured.put((frame, self._look(backbone, image), backbone), wait=wait):
                    self._dropped += 1

    def _look(self, backbone: Backbone, image: Image) -> _Seen:
        """What the backbone gets of a frame: the whole region, where a view finds nothing that it could look for."""
        photo, part, self._view_problem = backbone.looking.anyhow(image)
        return _Seen(photo, part, backbone.looking.key)

    def _infer(self) -> None:
        while (work := self._captured.get()) is not None and not self._stopping.is_set():
            frame, seen, prepared_for = work
            classifier, version = self._current
            backbone = classifier.backbone
            if prepared_for is not backbone:  # another bundle came in between
                seen = self._look(backbone, frame.image)
            began_s = time.perf_counter()
            raw = backbone.embed_photo(seen.photo)
            elapsed_ms = (time.perf_counter() - began_s) * 1e3
            with self._lock:
                self._inference_ms.append(elapsed_ms)
            self._embedded_s = time.monotonic()
            self._embedded.put((frame, raw, seen, classifier, version), wait=True)

    def _recognise(self) -> None:
        version = None
        while (waiting := self._embedded.get_all()) and not self._stopping.is_set():
            next_s = time.monotonic() + _PACE_S
            for backbone, works in groupby(waiting, lambda work: work[3].backbone):
                batch = list(works)
                classifier, used = self._current
                if classifier.backbone is not backbone:  # another bundle came in between
                    _, _, _, classifier, used = batch[-1]
                if used != version:
                    self._smoother.reset()
                    version = used
                codes = backbone.codes(np.stack([raw for _, raw, *_ in batch]))
                instants = classifier.classify_codes(codes, top=max(1, len(classifier.head.labels)))
                in_groups = classifier.classify_groups(codes)
                for row, ((frame, raw, seen, _, _), instant) in enumerate(zip(batch, instants, strict=True)):
                    smoothed = self._smoother(instant, frame.time_s)
                    answers = {name: told[row] for name, told in in_groups.items()}
                    groups = self._of_groups(classifier.groups, answers, frame.time_s)
                    self._deliver(
                        Recognition(frame, raw, smoothed, instant, used, backbone.digest, seen.part, seen.view, groups)
                    )
                    if self._frames == self._max_frames:
                        return
            self._stopping.wait(next_s - time.monotonic())  # at a camera's 30 frames a second nothing is kept waiting

    def _deliver(self, recognition: Recognition) -> None:
        now = time.monotonic()
        if not self._frames:
            self._first_s = now
        self._latest = recognition
        self._frames += 1
        with self._lock:
            self._delivered_s.append(now)
            subscriptions = self._subscriptions
        for subscription in subscriptions:
            subscription.offer(recognition)

    # ends --------------------------------------------------------------------------------------------------------

    def _guarded(self, step: Callable[[], None], after: Callable[[], None]) -> None:
        """Run a thread's work; whatever ends it, the threads behind it end too, and :meth:`wait` raises it."""
        try:
            step()
        except BaseException as error:
            if not isinstance(error, EdgetlError):
                log.exception("%s failed", threading.current_thread().name)
            self._failure = self._failure or error
        finally:
            after()

    def _finish(self) -> None:
        self._stopping.set()
        self._camera.close()
        self._captured.close()
        self._embedded.close()
        self._finished.set()
        with self._lock:
            subscriptions = self._subscriptions
        for subscription in subscriptions:
            subscription.end()

    def _unsubscribe(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = tuple(other for other in self._subscriptions if other is not subscription)
