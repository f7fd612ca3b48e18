"""App: the home, the learner and the pipeline as one object, for the program and the web alike."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from ..bundle.bundle import Bundle
from ..camera import Camera
from ..errors import CameraError, CheckFailedError
from ..home import Home
from ..inference.classifier import Classifier, Prediction
from ..learning.reliability import Reliability
from ..open_home import OpenHome
from ..photos import Image
from ..view_names import UNNAMED
from .app_looking import AppLooking
from .app_teaching import AppTeaching
from .background import Periodic
from .explaining import activation_of
from .head_watch import HeadWatch
from .health import health_json
from .history import HistorySettings, HistoryWriter
from .inspecting import Inspecting
from .pipeline import Pipeline
from .recorder import Recorder
from .reviewing import Reviewing
from .smoothing import DEFAULT_S
from .subscription import Recognition

T = TypeVar("T")

NOTICE_S = 0.5  # between two checks for what other processes did to this home


class App(AppTeaching, AppLooking):
    """A running camera that can be taught.

    Every method may be called from any thread: one lock keeps them apart, and recognition runs beside them. What
    ``edgetl-device`` commands do to the same home meanwhile is noticed within a second.

    Args:
        home: with a bundle installed.
        camera: where frames come from, or several by their names; the app closes them.
        runtime: ``auto``, ``litert`` or ``tflite``.
        threads: of the runtime; None for what proved best when the bundle was installed.
        smoothing_s: time constant of the smoothing of predictions, seconds; 0 turns it off.
        max_frames: stop after so many frames.
        thumbnails: keep a small picture with each sample, to show and to check.
        wait_for_camera: a camera that is not there yet may come later; otherwise it ends the app.
        part_trigger: what counts as an inspected part, one of :data:`~edgetl_device.app.inspecting.TRIGGERS`.
        review: keep frames that are worth a person's glance, where small pictures are kept.
        history: what is recorded of what it sees, and how much of it is kept; None to record nothing.

    Attributes:
        pipeline: what the camera sees, live.
        inspecting: visual inspection of it, as soon as good parts were taught.
        reviewing: frames that are worth a person's glance.
        history: what was recorded of what it saw.
        activation: recognition → (h, w) uint8 class activation; None where the bundle was not made ``--explainable``.

    Raises:
        HomeError: no bundle is installed.
        RuntimeMissingError: no runtime can run it.
    """

    def __init__(
        self,
        home: Home,
        camera: Camera | Mapping[str, Camera],
        *,
        runtime: str = "auto",
        threads: int | None = None,
        smoothing_s: float = DEFAULT_S,
        max_frames: int | None = None,
        thumbnails: bool = True,
        wait_for_camera: bool = False,
        part_trigger: str = "rest",
        review: bool = True,
        history: HistorySettings | None = None,
    ) -> None:
        self.home = home
        self._thumbnails = thumbnails
        self._runtime = runtime
        self._lock = threading.RLock()
        self.cameras = tuple(camera) if isinstance(camera, Mapping) else ("",)
        self._opened = OpenHome(home, runtime, threads, on_trial=True)
        head = self._learner.active_head()
        self._swapped = self._state()
        self._watch = HeadWatch(self._learner, self._backbone.transform)
        self.pipeline = Pipeline(
            camera,
            Classifier(self._backbone, head, self._opened.groups.heads()),
            version=self._learner.active_version,
            views=self._watched(),
            smoothing_s=smoothing_s,
            max_frames=max_frames,
            on_first_frame=self._first_frame,
            wait_for_camera=wait_for_camera,
        )
        self.activation = activation_of(self._backbone, head)
        self.inspecting = Inspecting(
            self.pipeline, self._lock, lambda: (self._opened.inspection, self._opened.backbone), part_trigger
        )
        self.reviewing = Reviewing(
            *(self.pipeline, self._lock, self._of_or_new, self.capture),
            keeps=review and thumbnails,
            live=all(each.live for each in (camera.values() if isinstance(camera, Mapping) else (camera,))),
        )
        self.history = HistoryWriter(home.history_path, history or HistorySettings(), records=history is not None)
        self._recorder = Recorder(self.pipeline, self.history, lambda seen: self.capture(seen).picture)
        self._noticing = Periodic("noticing", NOTICE_S, self.notice)

    def start(self) -> None:
        """Begin to recognise; once."""
        self.pipeline.start()
        self.inspecting.start()
        self.reviewing.start()
        self.history.start()
        self._recorder.start()
        self._noticing.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End all threads, close camera and store; whether that was done in time."""
        self._noticing.stop(timeout_s)
        ended = self.inspecting.stop(timeout_s) and self.reviewing.stop(timeout_s) and self.pipeline.stop(timeout_s)
        ended = self._recorder.stop(timeout_s) and self.history.stop(timeout_s) and ended
        with self._lock:
            self._observe()
            failure = self.pipeline.failure
            self._watch.end(good=failure is None)
            if self._watch.proven:
                self._opened.prove()
            elif failure is None or isinstance(failure, CameraError):
                self._opened.withdraw_start()
            self._learner.keep_head()
            self._opened.close()
        return ended

    def __enter__(self) -> App:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __iter__(self) -> Iterator[Recognition]:
        """The newest recognition again and again, until there are no more frames.

        What comes while the loop's body runs is skipped, but for the newest; ``pipeline.subscribe`` has more to offer.

        Raises:
            EdgetlError: what ended recognition, if that was no wish.
        """
        with self.pipeline.subscribe() as subscription:
            first = self.pipeline.latest()
            if first is not None:
                yield first
            while (recognition := subscription.get()) is not None:
                if recognition is not first:
                    yield recognition
        self.pipeline.wait(0)

    def undo_review(self, samples: Sequence[int]) -> tuple[int, str | None]:
        """As :meth:`.Reviewing.undo`; the head in use does not know the samples any more when it returns."""
        return self._change(lambda: self.reviewing.undo(samples))

    # reading -----------------------------------------------------------------------------------------------------

    def classify(self, photo: Image) -> Prediction:
        """What the head in use says of a (height, width, 3) uint8 BGR photo, all labels in ``top``."""
        return self.classify_in_groups(photo)[0]

    def classify_in_groups(self, photo: Image) -> tuple[Prediction, dict[str, Prediction]]:
        """As :meth:`classify`, and what each group of labels says of the photo."""
        with self._lock:
            head = self._learner.active_head()
            classifier = Classifier(self._backbone, head, self._opened.groups.heads())
        codes = self._backbone.codes(self._backbone.embed(photo)[None])
        groups = {name: told[0] for name, told in classifier.classify_groups(codes).items()}
        return classifier.classify_codes(codes, max(1, len(head.labels)))[0], groups

    def status(self) -> dict[str, Any]:
        """As ``edgetl-device status --json``, and ``camera``: the pipeline's health."""
        history = self.history.status()
        with self._lock:
            live = {"drift": self._watch.drift.to_json(), "camera": asdict(self.pipeline.health())}
            return self.home.status(self._learner, history) | live | self._status_of_views()

    def health_of_cameras(self) -> list[dict[str, Any]]:
        """How each camera is doing."""
        return [health_json(name, self.pipeline.health(name)) for name in self.cameras]

    def _status_of_views(self) -> dict[str, Any]:
        """Of each camera and view, where they have names."""
        views = self.pipeline.views
        if [view.name for view in views] == [UNNAMED]:
            return {}
        drifts = [self._watch.drift_of(view.name) for view in views]
        told = [
            {**view.name.to_json(), "group": view.group, "drift": drift.to_json() if drift else None}
            for view, drift in zip(views, drifts, strict=True)
        ]
        return {"cameras": self.health_of_cameras(), "views": told}

    def reliability(self) -> Reliability:
        """How well the probabilities of the head in use hold, on photos whose label is known."""
        with self._lock:
            return self._learner.reliability()

    def thumbnail(self, sample: int) -> bytes | None:
        """A sample's picture as JPEG, or None where none was kept."""
        with self._lock:
            return self._learner.store.thumbnail(sample)

    def install(self, path: Path) -> Bundle:
        """Verify a bundle, check it on this device and go on with it, without a gap in recognition.

        Raises as :meth:`Home.install <edgetl_device.home.Home.install>`; the current bundle then stays in use.
        """
        candidate = self.home.examine(path, self._runtime)  # it may take long: recognition and the page go on
        with self._lock:
            self.home.make_current(candidate)
            self._reopen()
            if self.bundle.digest != candidate.bundle.digest:
                raise CheckFailedError("the bundle cannot be used here, so the one before is back in use: see the log")
            return self.bundle

    # changes by others -------------------------------------------------------------------------------------------

    def notice(self) -> bool:
        """Take over what another process changed in this home; whether there was anything."""
        with self._lock:
            self._observe()
            if self._watch.proven:
                self._opened.prove()
            elif self.pipeline.is_waiting:  # for days perhaps, until the power is cut: no fault of the bundle
                self._opened.withdraw_start()
            self._learner.store.settle()
            replaced = self._opened.replaced()
            if replaced is not None:
                self._reopen(relearn=replaced == "bundle")
                return True
            seen_otherwise = self._opened.look_again()
            self.inspecting.refresh()
            if seen_otherwise or self._state() != self._swapped:
                self._swap()
                return True
        return False

    # inside ------------------------------------------------------------------------------------------------------

    def _reopen(self, *, relearn: bool = True) -> None:
        """Another bundle was installed or another store restored: load it beside the running one, then swap."""
        self._opened.reload()
        self._watch = HeadWatch(self._learner, self._backbone.transform)
        if relearn:
            self._opened.relearn()
        self._swap()
        self.inspecting.refresh()

    def _swap(self) -> None:
        if self._learner.active_version != self.pipeline.version:
            self._watch.started()
        head = self._learner.active_head()
        self._swapped = self._state()
        classifier, watched = Classifier(self._backbone, head, self._opened.groups.heads()), self._watched()
        self._watch.renew({view.name for view in watched})
        self.pipeline.swap(classifier, self._learner.active_version, watched)
        self.activation = activation_of(self._backbone, head)

    def _first_frame(self) -> None:
        """A start counts once there is something to recognise: a missing camera is not the head's fault."""
        with self._lock:
            self._opened.repeat_start()
            if self._watch.started():
                self._swap()

    def _observe(self) -> None:
        for recognition in self.pipeline.latest_of_each():
            if recognition.version == self.pipeline.version and recognition.backbone == self._backbone.digest:
                self._watch.observe(recognition)

    def _state(self) -> tuple[object, ...]:
        """What decides which heads are in use, and what is looked at."""
        groups = tuple((name, learner.active_version) for name, learner in self._opened.groups.items())
        regions = self._opened.regions.state(self.cameras)
        return self._learner.active_version, self._learner.store.revision(), groups, regions
