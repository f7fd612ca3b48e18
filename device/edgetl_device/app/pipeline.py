"""Pipeline: cameras → classifier → whoever listens. Threads live here and in ``background``, and nowhere else.

A *capture* thread of each camera reads and prepares its frames, *inference* runs the backbone, *recognition* applies
the head, smooths and delivers. Between them there is little room. The backbone and OpenCV release Python's lock, so
decoding and the head run beside the backbone. A live camera's frame that nobody took in time is replaced by the next;
a listener's too, so no listener can slow anything. Above a hundred frames a second the head takes several at once.

There may be several cameras, and several views of each: regions that are recognised by themselves. They share the
backbone and take turns (:class:`~edgetl_device.app.turns.Turns`), each with its newest frame, so that none waits for
more than one frame of each other one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from types import TracebackType

import numpy as np

from ..camera import Camera, Frame
from ..codes import Int8
from ..errors import EdgetlError
from ..inference.classifier import Classifier
from ..view_names import ViewName
from .answers import Answer, Watched, answers
from .deliveries import Deliveries
from .feed import Feed
from .health import RECENT, Health, health_of
from .in_use import InUse, Seen
from .smoothing import DEFAULT_S, ViewSmoothers
from .subscription import Recognition, Slot, Subscription
from .turns import Turns

__all__ = ["Health", "Pipeline", "Recognition", "Subscription", "Watched"]

log = logging.getLogger("edgetl.pipeline")

BACKOFF_S = (0.5, 10.0)  # first and longest pause before the next attempt to reach a camera
_AHEAD = 8  # frames of a file that may be read ahead; of a live camera only the newest counts
_TOGETHER = 16  # embeddings that may wait for the head
_PACE_S = 0.01  # the head comes no more often than this: it reads megabytes of weights, for one embedding or for eight


class Pipeline:
    """Recognises what cameras see until it is stopped or they are all at their end.

    A camera that worked and fails is connected again with growing pauses, for ever; at no time are there more threads
    or connections than one of each kind for it. An only camera that never worked ends the pipeline unless it is waited
    for, and so does a damaged file; of several cameras the others go on, and :meth:`wait` tells at the end.

    Args:
        camera: where frames come from, or several by their names; the pipeline closes them.
        classifier: backbone and head.
        version: of the head.
        views: what is recognised; None is one view of each camera, as the backbone looks at frames.
        smoothing_s: time constant of :class:`~edgetl_device.app.smoothing.Smoother`, seconds; 0 turns it off.
        max_frames: stop after so many recognised frames.
        on_first_frame: called once, before the first frame is passed on.
        backoff_s: first and longest pause before a camera is tried again, seconds.
        wait_for_camera: a camera that never worked may come later.

    Attributes:
        names: of the views in use; another object after each :meth:`swap`.
    """

    def __init__(
        self,
        camera: Camera | Mapping[str, Camera],
        classifier: Classifier,
        *,
        version: int = 0,
        views: Sequence[Watched] | None = None,
        smoothing_s: float = DEFAULT_S,
        max_frames: int | None = None,
        on_first_frame: Callable[[], None] | None = None,
        backoff_s: tuple[float, float] = BACKOFF_S,
        wait_for_camera: bool = False,
    ) -> None:
        cameras = camera if isinstance(camera, Mapping) else {"": camera}
        self._stopping = threading.Event()
        self._finished = threading.Event()
        patient = wait_for_camera or len(cameras) > 1
        self._feeds = {
            name: Feed(name, each, self._take, backoff_s=backoff_s, patient=patient, stopping=self._stopping)
            for name, each in cameras.items()
        }
        self._current = InUse.of(classifier, version, views, self._feeds)
        self.names = frozenset(view.name for view in self.views)
        self._smoothers = ViewSmoothers(smoothing_s)
        self._max_frames = max_frames
        self._on_first_frame = on_first_frame
        self._first = threading.Lock()
        self._captured: Turns[ViewName, tuple[Seen, InUse]] = Turns()
        self._embedded: Slot[tuple[Seen, Int8, InUse]] = Slot(_TOGETHER)
        self._view_problems: dict[ViewName, str | None] = {}
        self._deliveries = Deliveries()
        self._lock = threading.Lock()  # what health() reads in one piece, and how many cameras are not at their end
        self._embedded_s: float | None = None
        self._inference_ms: deque[float] = deque(maxlen=RECENT)
        self._failure: BaseException | None = None
        self._reading = len(self._feeds)
        steps = [(f"capture {name}".strip(), feed.run, self._end_of_feed) for name, feed in self._feeds.items()]
        steps += [("inference", self._infer, self._embedded.close), ("recognition", self._recognise, self._finish)]
        self._threads = [
            threading.Thread(target=self._guarded, args=(step, after), name=name, daemon=True)
            for name, step, after in steps
        ]

    # for everyone ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; once."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End all threads and close the cameras; whether they ended in time."""
        self._close()
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
        """Wait until the cameras are at their end, ``max_frames`` are done or it was stopped; False after the timeout.

        Raises:
            EdgetlError: what ended it, or one of several cameras, otherwise.
        """
        done = self._finished.wait(timeout_s)
        if done and self._failure is not None:
            raise self._failure
        return done

    def latest(self, name: ViewName | None = None) -> Recognition | None:
        """The newest recognition, of any view or of one, or None before the first."""
        return self._deliveries.newest if name is None else self._deliveries.of.get(name)

    def latest_of_each(self) -> list[Recognition]:
        """The newest recognition of each view that has one."""
        return [found for view in self.views if (found := self.latest(view.name)) is not None]

    def subscribe(
        self, notify: Callable[[], None] | None = None, wanted: Callable[[ViewName], bool] | None = None
    ) -> Subscription:
        """Listen. The recognition thread calls ``notify`` when a recognition finds none of its view waiting, and at
        the end.

        It must return at once; ``lambda: loop.call_soon_threadsafe(event.set)`` serves an asyncio listener.

        Args:
            wanted: the views to listen to; None for all.
        """
        return self._deliveries.subscribe(notify, wanted)

    def swap(self, classifier: Classifier, version: int, views: Sequence[Watched] | None = None) -> None:
        """Use another head, or backbone and head, or views, from the next frame on."""
        self._view_problems = {}  # the next frame tells
        self._current = InUse.of(classifier, version, views, self._feeds)
        self.names = frozenset(view.name for view in self.views)
        self._deliveries.keep_only(self.names)

    @property
    def views(self) -> tuple[Watched, ...]:
        """What is recognised now, in the order of the cameras."""
        return tuple(view for of_one in self._current.views.values() for view in of_one)

    @property
    def cameras(self) -> tuple[str, ...]:
        """The names of the cameras; an only one may have an empty name."""
        return tuple(self._feeds)

    @property
    def is_waiting(self) -> bool:
        """Whether there was no camera yet."""
        feeds = self._feeds.values()
        return not any(feed.number for feed in feeds) and any(feed.error is not None for feed in feeds)

    @property
    def view_problem(self) -> str | None:
        """Why frames cannot be looked at with a view that was chosen: they are looked at whole."""
        return next((problem for problem in list(self._view_problems.values()) if problem), None)

    @property
    def failure(self) -> BaseException | None:
        """What ended it, where that was no wish; :meth:`wait` raises it."""
        return self._failure

    @property
    def version(self) -> int:
        """Of the head in use."""
        return self._current.version

    def health(self, camera: str | None = None) -> Health:
        """How it is doing now, or one of its cameras."""
        now_s = time.monotonic()
        with self._lock:
            times_ms = list(self._inference_ms)
        feeds = [feed for name, feed in self._feeds.items() if camera in (None, name)]
        return health_of(
            [(feed, *self._deliveries.tallies(feed.name)) for feed in feeds],
            running=self._threads[0].ident is not None and not self._finished.is_set(),
            inference_ms=float(np.median(times_ms)) if times_ms else None,
            inference_age_s=None if self._embedded_s is None else now_s - self._embedded_s,
            now_s=now_s,
        )

    # the threads -------------------------------------------------------------------------------------------------

    def _take(self, feed: Feed, frame: Frame) -> int:
        """Pass on a camera's frame to each of its views; how many earlier ones it replaced."""
        if self._on_first_frame is not None:
            with self._first:  # cameras may begin at the same moment
                first, self._on_first_frame = self._on_first_frame, None
                if first is not None:
                    first()
        using, live, dropped = self._current, feed.camera.live, 0
        for view in using.views[feed.name]:
            seen = self._look(view, frame)
            dropped += self._captured.put(view.name, (seen, using), room=1 if live else _AHEAD, wait=not live)
        return dropped

    def _look(self, view: Watched, frame: Frame) -> Seen:
        """What the backbone gets of a frame: the whole region, where a view finds nothing that it could look for."""
        photo, part, self._view_problems[view.name] = view.looking.anyhow(frame.image)
        return Seen(frame, photo, part, view)

    def _infer(self) -> None:
        while (work := self._captured.get()) is not None and not self._stopping.is_set():
            seen, prepared = work
            using = self._current
            if prepared.classifier.backbone is not using.classifier.backbone or prepared.views is not using.views:
                view = using.view(seen.view.name)
                if view is None:  # it was removed in between
                    continue
                if view.looking is not seen.view.looking or view.group != seen.view.group:
                    seen = self._look(view, seen.frame)
            began_s = time.perf_counter()
            raw = using.classifier.backbone.embed_photo(seen.photo)
            elapsed_ms = (time.perf_counter() - began_s) * 1e3
            with self._lock:
                self._inference_ms.append(elapsed_ms)
            self._embedded_s = time.monotonic()
            self._embedded.put((seen, raw, using), wait=True)

    def _recognise(self) -> None:
        version, names = None, self.names
        while (waiting := self._embedded.get_all()) and not self._stopping.is_set():
            next_s = time.monotonic() + _PACE_S
            for backbone, works in groupby(waiting, lambda work: work[2].classifier.backbone):
                batch = list(works)
                using = self._current
                if using.classifier.backbone is not backbone:  # another bundle came in between
                    using = batch[-1][2]
                if using.version != version:
                    self._smoothers.reset()
                    version = using.version
                if self.names is not names:
                    names = self.names
                    self._smoothers.keep_only(names)
                batch = [work for work in batch if work[0].view.name in names]  # the others were on their way
                if not batch:
                    continue
                codes = backbone.codes(np.stack([raw for _, raw, _ in batch]))
                told = answers(using.classifier, codes, [seen.view.group for seen, _, _ in batch], using.bound)
                for (seen, raw, _), answer in zip(batch, told, strict=True):
                    self._deliver(self._recognition(seen, raw, using, answer))
                    if self._deliveries.count == self._max_frames:
                        return
            self._stopping.wait(next_s - time.monotonic())  # at a camera's 30 frames a second nothing is kept waiting

    def _recognition(self, seen: Seen, raw: Int8, using: InUse, answer: Answer) -> Recognition:
        view, frame = seen.view, seen.frame
        shown, groups = self._smoothers(view, using.classifier.groups, answer, frame.time_s)
        backbone = using.classifier.backbone
        return Recognition(
            *(frame, raw, shown, answer.instant, using.version, backbone.digest, seen.part, view.looking.key, groups),
            *(view.name, view.group),
        )

    def _deliver(self, recognition: Recognition) -> None:
        self._deliveries.deliver(recognition)

    # ends --------------------------------------------------------------------------------------------------------

    def _guarded(self, step: Callable[[], None], after: Callable[[], None]) -> None:
        """Run a thread's work; whatever ends it, the threads behind it end too, and :meth:`wait` raises it."""
        try:
            step()
        except BaseException as error:
            if not isinstance(error, EdgetlError):
                log.exception("%s failed", threading.current_thread().name)
            elif len(self._feeds) > 1:
                log.error("%s", error)
            self._failure = self._failure or error
        finally:
            after()

    def _end_of_feed(self) -> None:
        with self._lock:
            self._reading -= 1
            reading = self._reading
        if not reading:
            self._captured.close()

    def _close(self) -> None:
        self._stopping.set()
        for feed in self._feeds.values():
            feed.camera.close()
        self._captured.close()
        self._embedded.close()

    def _finish(self) -> None:
        self._close()
        self._finished.set()
        self._deliveries.end()
