"""Device: what the programs ``edgetl-device`` and its REST interface do, for a program of your own.

>>> from edgetl_device import Device
>>> device = Device("home")
>>> device.install("toys.edgetl").labels
('ball', 'box')
>>> device.classify("box.png").label
'box'
>>> device.learn("kite", ["kite-1.png", "kite-2.png", "kite-3.png"]).outcome.promoted
True
>>> device.classify("kite.png").label
'kite'
>>> device.rollback()
1
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from .app.app import App
from .app.smoothing import DEFAULT_S
from .camera import Camera, open_camera
from .environment import default_home
from .errors import EdgetlError, HeadError, InputError, StorageError
from .home import Home
from .inference.classifier import Prediction
from .labels import NOTHING, check_sample_label
from .learning.drift import Drift
from .learning.learner import Learner, Outcome
from .open_home import OpenHome
from .photo_folders import photos_of_one_class
from .photos import ColorOrder, Image, as_image, read_photo, thumbnail
from .starter import install_starter
from .store.pending import PendingBatch
from .store.schema import SampleRow, VersionRow

log = logging.getLogger("edgetl.device")

_INSIST = "`new_label=True`"

Photo = str | Path | npt.NDArray[Any]
"""A photo file, or (height, width, 3) uint8, whose order of channels ``color=`` says."""


@dataclass(frozen=True)
class Installed:
    """What :meth:`Device.install` led to.

    Args:
        name, labels: of the bundle.
        version: of the head in use.
        agreement: share of the bundle's check photos that get the workstation's label on this device.
        outcome: of learning what was stored here before with the new bundle; None where nothing was.
    """

    name: str
    labels: tuple[str, ...]
    version: int
    agreement: float
    outcome: Outcome | None


@dataclass(frozen=True)
class Learned:
    """What :meth:`Device.learn` led to.

    Args:
        ids: of the samples that were stored, in the order of the photos.
        skipped: what is wrong with each photo that could not be read.
        outcome: of the retraining; None where ``retrain=False`` asked for none.
    """

    ids: tuple[int, ...]
    skipped: tuple[str, ...]
    outcome: Outcome | None


@dataclass(frozen=True)
class Forgotten:
    """What :meth:`Device.forget` led to.

    Args:
        removed: how many samples.
        hidden: whether the label came with the bundle, and is hidden from now on.
        outcome: of the retraining.
    """

    removed: int
    hidden: bool
    outcome: Outcome


@dataclass(frozen=True)
class Relabelled:
    """What :meth:`Device.relabel` led to.

    Args:
        moved: how many samples.
        outcome: of the retraining.
    """

    moved: int
    outcome: Outcome


@dataclass(frozen=True)
class Settled:
    """What :meth:`Device.use_pending` or :meth:`Device.move_pending` led to.

    Args:
        label: of the samples now.
        ids: of the samples from now on.
        outcome: of the retraining.
    """

    label: str
    ids: tuple[int, ...]
    outcome: Outcome


class Device:
    """A device home with its bundle: classifies, learns, forgets.

    Everything that changes the home is on disk when the call returns. What the command line, a running app or another
    Device does to the same home counts from the next call on. Methods may be called from any thread; one at a time
    does its work. Nothing is opened before the first call needs it.

        >>> with Device("home") as device:
        ...     print(device.status()["samples"])
        {}

    Args:
        home: folder with the device's state; default is ``EDGETL_HOME``, else ``~/.local/share/edgetl``.
        runtime: TFLite runtime: ``auto``, ``litert`` or ``tflite``.
        threads: of the runtime; default is what proved best when the bundle was installed.

    Raises:
        HomeError: most methods, where no bundle is installed; :meth:`learn` and :meth:`run` then start with the one
            that comes with the package, which knows nothing yet.
        StorageError: the disk is full or fails, or another program was learning for more than ten seconds.
    """

    def __init__(self, home: str | Path | None = None, *, runtime: str = "auto", threads: int | None = None) -> None:
        self.home = Home(Path(home) if home is not None else default_home())
        self._runtime = runtime
        self._threads = threads
        self._lock = threading.RLock()
        self._opened: OpenHome | None = None
        self._drift: tuple[tuple[int, int], Drift] | None = None  # of which head, by version and revision
        self._closed = False

    def install(
        self, bundle: str | Path, *, public_key: str | Path | None = None, allow_downgrade: bool = False
    ) -> Installed:
        """Verify a bundle, check it on this device, make it the current one and teach it what is stored here.

            >>> Device("home").install("toys.edgetl").name
            'toys'

        Args:
            bundle: a file ``NAME.edgetl``.
            public_key: from now on accept only what this key signed.
            allow_downgrade: accept a bundle that was signed before the current one.

        Raises:
            InputError: it is damaged or too new (BundleError), not signed as it has to be (SignatureError), or holds
                what this device learned already.
            CheckFailedError: this device does not agree with the workstation. The current bundle stays, as above.
        """
        with self._lock:
            self._check_open()
            key = None if public_key is None else Path(public_key)
            installed, agreement = self.home.install(
                Path(bundle), self._runtime, public_key=key, allow_downgrade=allow_downgrade
            )
            with self._now() as opened:
                learner = opened.learner
                outcome = _retrain(learner, "installed") if learner.is_new_to_its_samples else None
                return Installed(installed.name, installed.labels, learner.active_version, agreement, outcome)

    def classify(self, image: Photo, *, color: ColorOrder | None = None, top: int = 3) -> Prediction:
        """What the head in use says of an image.

            >>> prediction = Device("home").classify("ball.png")
            >>> prediction.label, prediction.unknown
            ('ball', False)

        Args:
            image: a photo file, or (height, width, 3) uint8.
            color: of an array: ``bgr`` (OpenCV) or ``rgb`` (Pillow).
            top: how many labels the prediction lists, best first.

        Raises:
            InputError: no image; PhotoError where the file cannot be read.
        """
        photo = _decoded(_given(image, color))
        with self._now() as opened:
            backbone = opened.backbone
            codes = backbone.codes(backbone.embed(photo)[None])
            self._watched(opened.learner).update(codes)
            return opened.learner.classifier(backbone).classify_codes(codes, top)[0]

    def learn(
        self,
        label: str,
        images: Photo | Iterable[Photo],
        *,
        color: ColorOrder | None = None,
        keep_photos: bool = False,
        retrain: bool = True,
        new_label: bool = False,
    ) -> Learned:
        """Store images as samples of a label, new or known, then retrain.

        Samples that contradict their label or would make known classes worse are set aside: :meth:`pending` lists them,
        ``outcome.reason`` says why, and :meth:`use_pending`, :meth:`move_pending` or :meth:`forget_pending` decides.

            >>> learned = Device("home").learn("kite", ["kite-1.png", "kite-2.png"])
            >>> len(learned.ids), learned.outcome.promoted
            (2, True)

        Args:
            images: one or several, as for :meth:`classify`, or folders of photos of this one class; photo files that
                cannot be read are skipped.
            color: of arrays.
            keep_photos: keep a small picture (160 px) of each beside its sample.
            retrain: False only stores; :meth:`retrain` when all samples are in.
            new_label: the label is meant, although it looks like a slip of a known one.

        Raises:
            InputError: no label, no image, none that can be read, or a folder of several classes; SimilarLabelError
                where the label may be a slip of a known one. Nothing was stored.
            StorageError: as for the class. Where the message says that samples are stored, only the head is missing.
        """
        label = check_sample_label(label)
        photos, unused = _photos_to_learn(label, images, color)
        if not photos:
            raise InputError(f"nothing to learn as {label}: no image was given")
        with self._lock:
            self._check_open()
            install_starter(self.home, self._runtime)
        with self._now() as opened:
            if not new_label:
                opened.learner.refuse_slip(label, _INSIST)
            embedded = opened.backbone.embed_readable(photos)
            pictures = [thumbnail(_decoded(photo)) for photo in embedded.used] if keep_photos else []
            learner = opened.learner
            with learner.lock():
                ids = learner.add(label, embedded.raw, pictures)
                outcome = _retrain(learner, "stored") if retrain else None
        return Learned(tuple(ids), (*unused, *(reason for _, reason in embedded.skipped)), outcome)

    def learn_nothing(
        self, images: Photo | Iterable[Photo], *, color: ColorOrder | None = None, keep_photos: bool = False
    ) -> Learned:
        """Store images of the background: no class, and what looks like them is unknown from now on.

            >>> device = Device("home")
            >>> device.learn_nothing(["ball.png"]).outcome.promoted
            True
            >>> device.classify("ball.png").unknown
            True

        They are samples of the label ``"(nothing)"``, and listed, moved and forgotten as others are.

        Args and errors are those of :meth:`learn`.
        """
        return self.learn(NOTHING, images, color=color, keep_photos=keep_photos)

    def retrain(self, head: str | None = None, *, accept_scene_change: bool = False) -> Outcome:
        """Fit a new head from what the bundle brought and what is stored here.

            >>> Device("home").retrain("prototype").promoted
            True

        Args:
            head: the learning rule; default is that of the head in use.
            accept_scene_change: use everything that is stored, what is pending too, whatever the gate says.
        """
        with self._now() as opened:
            return opened.learner.retrain(head, accept_scene_change=accept_scene_change)

    def samples(self, label: str | None = None) -> list[SampleRow]:
        """Stored samples, oldest first.

        >>> Device("home").learn("kite", "kite-1.png").ids
        (1,)
        >>> [(sample.id, sample.label) for sample in Device("home").samples()]
        [(1, 'kite')]
        """
        with self._now() as opened:
            return opened.learner.samples(label)

    def relabel(self, label: str, ids: int | Iterable[int], *, new_label: bool = False) -> Relabelled:
        """Move samples to another label, then retrain.

            >>> device = Device("home")
            >>> ids = device.learn("dragon", ["kite-1.png", "kite-2.png"]).ids
            >>> device.relabel("kite", ids).moved
            2

        Args:
            new_label: the label is meant, although it looks like a slip of a known one.

        Raises:
            InputError: no label, no such sample; SimilarLabelError where the label may be a slip of a known one.
        """
        with self._now() as opened, opened.learner.lock():
            if not new_label:
                opened.learner.refuse_slip(label, _INSIST)
            moved = opened.learner.relabel(label, _ids(ids))
            return Relabelled(moved, _retrain(opened.learner, "moved"))

    def forget(self, ids: int | Iterable[int] = (), *, label: str | None = None, everything: bool = False) -> Forgotten:
        """Remove samples exactly, as if they had never been learned, then retrain.

            >>> device = Device("home")
            >>> ids = device.learn("kite", ["kite-1.png", "kite-2.png"]).ids
            >>> device.forget(ids[0]).removed, device.forget(label="kite").removed
            (1, 1)

        Args:
            ids: of samples, or one of these:
            label: all samples of a label; one that came with the bundle is hidden.
            everything: all samples, and what was hidden: back to what the bundle knew.

        Raises:
            InputError: not exactly one of the three, or no such sample or label.
        """
        numbers = _ids(ids)
        if bool(numbers) + (label is not None) + everything != 1:
            raise InputError("say what to forget: samples by id, a label, or everything")
        with self._now() as opened, opened.learner.lock():
            learner, hidden = opened.learner, False
            if label is not None:
                removed, hidden = learner.forget_label(label)
            else:
                removed = learner.forget_all() if everything else learner.forget(numbers)
            return Forgotten(removed, hidden, _retrain(learner, "forgotten"))

    def pending(self) -> list[PendingBatch]:
        """Batches that the gate set aside, oldest first: stored, and not learned before a person decides about each.

        >>> device = Device("home")
        >>> _ = device.learn("ball", "boxes")
        >>> [(batch.label, batch.looks_like, batch.samples) for batch in device.pending()]
        [('ball', 'box', 12)]
        """
        with self._now() as opened:
            return opened.learner.pending()

    def use_pending(self, batch: int) -> Settled:
        """Say that a pending batch is labelled rightly, then retrain; nobody asks about its samples again.

            >>> device = Device("home")
            >>> (batch,) = device.learn("ball", "boxes").outcome.set_aside
            >>> settled = device.use_pending(batch.id)
            >>> settled.label, len(settled.ids), settled.outcome.promoted
            ('ball', 12, True)

        Raises:
            InputError: there is no such batch.
        """
        with self._now() as opened, opened.learner.lock():
            label = opened.learner.pending_batch(batch).label
            ids = opened.learner.use_pending(batch)
            return Settled(label, tuple(ids), _retrain(opened.learner, "in use"))

    def move_pending(self, batch: int, label: str | None = None, *, new_label: bool = False) -> Settled:
        """Move a pending batch to a label, by default the one that it looks like, then retrain.

        A batch that looks like several things has no default: give a label, or :meth:`relabel` its samples.

            >>> device = Device("home")
            >>> (batch,) = device.learn("ball", "boxes").outcome.set_aside
            >>> device.move_pending(batch.id).label
            'box'

        Raises:
            InputError: there is no such batch, or it looks like no label or several and none is given.
                SimilarLabelError where the label may be a slip of a known one, and ``new_label`` does not say that
                it is meant.
        """
        with self._now() as opened, opened.learner.lock():
            if label is not None and not new_label:
                opened.learner.refuse_slip(label, _INSIST)
            target, ids = opened.learner.move_pending(batch, label)
            return Settled(target, tuple(ids), _retrain(opened.learner, "moved"))

    def forget_pending(self, batch: int) -> int:
        """Remove a pending batch exactly, as if it had never been stored; returns how many samples.

            >>> device = Device("home")
            >>> (batch,) = device.learn("ball", "boxes").outcome.set_aside
            >>> device.forget_pending(batch.id)
            12

        Raises:
            InputError: there is no such batch.
        """
        with self._now() as opened, opened.learner.lock():
            return opened.learner.forget_pending(batch)

    def versions(self) -> list[VersionRow]:
        """Head versions, oldest first; ``status()["version"]`` is the one in use.

        >>> [(version.id, version.state) for version in Device("home").versions()]
        [(1, 'factory')]
        """
        with self._now() as opened:
            return opened.learner.versions()

    def rollback(self, version: int | None = None) -> int:
        """Use an earlier version again, by default the last good one before the one in use; returns its number.

            >>> device = Device("home")
            >>> device.learn("kite", ["kite-1.png", "kite-2.png"]).outcome.version
            2
            >>> device.rollback()
            1

        Raises:
            InputError: there is no such version, or none before.
        """
        with self._now() as opened:
            return opened.learner.rollback(version)

    def status(self) -> dict[str, Any]:
        """What ``edgetl-device status --json`` tells: bundle, runtime, samples per label, version, disk and drift.

        >>> Device("home").status()["labels"]
        ['ball', 'box']
        """
        with self._now() as opened:
            self._keep_drift()
            return self.home.status(opened.learner)

    def run(
        self,
        camera: str | Path | Camera = "auto",
        *,
        loop: bool = False,
        smoothing_s: float = DEFAULT_S,
        max_frames: int | None = None,
        keep_photos: bool = True,
    ) -> App:
        """Recognise what a camera sees, in threads of its own. Iterating over the app gives the newest recognition.

            >>> with Device("home").run("photos", max_frames=2) as app:
            ...     for recognition in app:
            ...         label = recognition.prediction.label
            >>> label
            'box'

        The app may be taught with its own methods, or with this device's: it takes over what changes within a second.
        It has to be closed for itself, as by ``with``.

        Args:
            camera: as for :func:`edgetl_device.open_camera`, or a camera of your own.
            loop: video and photos begin again at their end.
            smoothing_s: over so many seconds predictions are averaged; photos and films are not.
            max_frames: stop after so many.
            keep_photos: keep a small picture (160 px) of what the app is taught.

        Raises:
            CameraError: there is no such camera.
        """
        with self._lock:
            self._check_open()
            install_starter(self.home, self._runtime)
            source = open_camera(str(camera), loop=loop) if isinstance(camera, (str, Path)) else camera
            return App(
                self.home,
                source,
                runtime=self._runtime,
                threads=self._threads,
                smoothing_s=smoothing_s if source.live else 0.0,
                max_frames=max_frames,
                thumbnails=keep_photos,
            )

    def close(self) -> None:
        """Close the store; the device cannot be used any more."""
        with self._lock:
            self._keep_drift()
            self._closed = True
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    def __enter__(self) -> Device:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("this Device was closed: make another")

    @contextmanager
    def _now(self) -> Iterator[OpenHome]:
        """The home as it is now, for one thread at a time."""
        with self._lock:
            self._check_open()
            if self._opened is None:
                self._opened = OpenHome(self.home, self._runtime, self._threads)
            elif self._opened.replaced() is not None:
                self._opened.reload()
                self._drift = None
            yield self._opened

    def _watched(self, learner: Learner) -> Drift:
        """What tells whether the scene still resembles what the head in use knows."""
        head = learner.active_version, learner.store.revision()
        if self._drift is None or self._drift[0] != head:
            self._drift = head, learner.drift()
        return self._drift[1]

    def _keep_drift(self) -> None:
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


def _retrain(learner: Learner, done: str) -> Outcome:
    """Retrain after something was done, which an error has to say."""
    try:
        return learner.retrain()
    except (HeadError, StorageError) as error:
        raise type(error)(f"the samples are {done}, but there is no new head: {error}") from error


def _given(image: object, color: ColorOrder | None) -> Path | Image:
    """What a caller gave, checked: a path, or (height, width, 3) uint8 BGR."""
    return Path(image) if isinstance(image, (str, Path)) else as_image(image, color)


def _photos_to_learn(
    label: str, images: Photo | Iterable[Photo], color: ColorOrder | None
) -> tuple[list[Path | Image], list[str]]:
    """The photos, those in folders included, and what else lies in the folders."""
    photos: list[Path | Image] = []
    unused: list[str] = []
    for image in _several(images):
        given = _given(image, color)
        if isinstance(given, Path) and given.is_dir():
            content = photos_of_one_class(given, label)
            photos += content.photos
            unused += map(str, content.unused)
        else:
            photos.append(given)
    return photos, unused


def _decoded(photo: Path | Image) -> Image:
    return read_photo(photo) if isinstance(photo, Path) else photo


def _several(images: Photo | Iterable[Photo]) -> Iterable[Photo]:
    single = isinstance(images, (str, Path)) or (isinstance(images, np.ndarray) and images.ndim == 3)
    return [images] if single else images  # type: ignore[list-item, return-value]


def _ids(ids: int | Iterable[int]) -> Sequence[int]:
    return [int(ids)] if isinstance(ids, (int, np.integer)) else [int(number) for number in ids]
