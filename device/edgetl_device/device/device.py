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

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..app.app import App
from ..app.smoothing import DEFAULT_S
from ..camera import Camera, open_camera
from ..environment import default_home
from ..errors import InputError
from ..home import Home
from ..inference.classifier import Prediction
from ..labels import NOTHING, check_sample_label
from ..learning.gate_words import already
from ..learning.retraining import Outcome
from ..learning.taught_health import TaughtHealth, Why, causes_of, health_of
from ..photos import ColorOrder, thumbnail
from ..starter import install_starter
from ..store.schema import SampleRow, VersionRow
from ..verification import Verified, verify
from .current_home import CurrentHome
from .group_verbs import DeviceGroups
from .images import Photo, decoded, given, photos_to_learn
from .inspection_verbs import DeviceInspection
from .pending_verbs import INSIST, PendingVerbs, retrain_after
from .results import Forgotten, Installed, Learned, Relabelled


class Device(PendingVerbs):
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

    Attributes:
        groups: further questions about the same photos, each with labels and a head of its own.
        inspection: visual inspection: learns what good parts look like, and flags others.

    Raises:
        HomeError: most methods, where no bundle is installed; :meth:`learn` and :meth:`run` then start with the one
            that comes with the package, which knows nothing yet.
        StorageError: the disk is full or fails, or another program was learning for more than ten seconds.
    """

    def __init__(self, home: str | Path | None = None, *, runtime: str = "auto", threads: int | None = None) -> None:
        self.home = Home(Path(home) if home is not None else default_home())
        self._runtime = runtime
        self._threads = threads
        super().__init__(CurrentHome(self.home, runtime, threads))
        self.groups = DeviceGroups(self._current, self.home, runtime)
        self.inspection = DeviceInspection(self._current, self.home, runtime)

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
        with self._current.turn():
            key = None if public_key is None else Path(public_key)
            installed, agreement = self.home.install(
                Path(bundle), self._runtime, public_key=key, allow_downgrade=allow_downgrade
            )
            with self._now() as opened:
                learner = opened.learner
                outcome = retrain_after(learner, "installed") if learner.is_new_to_its_samples else None
                for of_group in opened.groups.new_to_their_samples().values():
                    retrain_after(of_group, "installed")
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
        photo = decoded(given(image, color))
        with self._now() as opened:
            backbone = opened.backbone
            codes = backbone.codes(backbone.embed(photo)[None])
            self._current.drift(opened.learner).update(codes)
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
        photos, unused = photos_to_learn(label, images, color)
        if not photos:
            raise InputError(f"nothing to learn as {label}: no image was given")
        with self._current.turn():
            install_starter(self.home, self._runtime)
        with self._now() as opened:
            if not new_label:
                opened.learner.refuse_slip(label, INSIST)
            looking = opened.backbone.looking
            embedded = opened.backbone.embed_readable(photos)
            pictures = [thumbnail(looking.shown(decoded(photo))) for photo in embedded.used] if keep_photos else []
            learner = opened.learner
            with learner.lock():
                ids = learner.add(label, embedded.raw, pictures, view=looking.key)
                outcome = retrain_after(learner, "stored") if retrain else None
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
        """Move samples to another label, then retrain; where all are learned under it already, nothing changes.

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
                opened.learner.refuse_slip(label, INSIST)
            numbers = _ids(ids)
            moved = opened.learner.relabel(label, numbers)
            if not moved:
                return Relabelled(0, opened.learner.unchanged(already(label, len(set(numbers)))))
            return Relabelled(moved, retrain_after(opened.learner, "moved"))

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
            return Forgotten(removed, hidden, retrain_after(learner, "forgotten"))

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
            self._current.keep_drift()
            return self.home.status(opened.learner)

    def health(self) -> TaughtHealth:
        """Which labels look wrong, and how well each class is known: every sample, as if it had not been taught.

        >>> Device("home").health().doubtful
        ()
        """
        with self._now() as opened:
            return health_of(opened.learner)

    def why(self, image: Photo, *, color: ColorOrder | None = None) -> Why:
        """Which samples make a photo be called what it is called; each is taken out in turn, exactly.

        >>> Device("home").why("ball.png").label
        'ball'
        """
        photo = decoded(given(image, color))
        with self._now() as opened:
            return causes_of(opened.learner, opened.backbone.codes(opened.backbone.embed(photo)[None]))

    def verify(self) -> list[Verified]:
        """All that is kept here, worked out again and compared, byte for byte.

            >>> all(each.ok for each in Device("home").verify())
            True

        What is found damaged is repaired by whoever opens the home next.
        """
        with self._current.turn():
            return list(verify(self.home, self._runtime))

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
        with self._current.turn():
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
        self._current.close()

    def __enter__(self) -> Device:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def _ids(ids: int | Iterable[int]) -> Sequence[int]:
    return [int(ids)] if isinstance(ids, (int, np.integer)) else [int(number) for number in ids]
