"""Labels in groups as a :class:`~edgetl_device.Device` has them."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import InputError
from ..home import Home
from ..inference.classifier import Prediction
from ..labels import check_sample_label
from ..learning.retraining import Outcome
from ..photos import ColorOrder
from ..starter import install_starter
from ..store.schema import SampleRow, VersionRow
from .current_home import CurrentHome
from .images import Photo, decoded, given, photos_to_learn
from .pending_verbs import retrain_after
from .results import Forgotten, Learned


class DeviceGroups:
    """Further questions about the same photos, each with labels and a head of its own: ``Device.groups``.

    >>> groups = Device("home").groups
    >>> _ = groups.learn("condition", "worn", ["kite-1.png", "kite-2.png", "kite-3.png"])
    >>> _ = groups.learn("condition", "fine", "boxes")
    >>> groups.names()
    ('condition',)
    >>> groups.classify("kite.png")["condition"].label
    'worn'
    >>> groups.forget("condition", everything=True).removed
    15
    """

    def __init__(self, current: CurrentHome, home: Home, runtime: str) -> None:
        self._current = current
        self._home = home
        self._runtime = runtime

    def names(self) -> tuple[str, ...]:
        """The groups in which photos are labelled, sorted."""
        with self._current.now() as opened:
            return opened.groups.names

    def learn(
        self,
        group: str,
        label: str,
        images: Photo | Iterable[Photo],
        *,
        color: ColorOrder | None = None,
        retrain: bool = True,
    ) -> Learned:
        """Label images in a group, new or known, then retrain it. One that is stored already is not stored again.

        Args:
            images: photo files, folders of them, or (height, width, 3) uint8 arrays.
            color: of arrays: ``bgr`` (OpenCV) or ``rgb`` (Pillow).
            retrain: False only stores; :meth:`retrain` when all are in.

        Raises:
            InputError: not a group or label, no image, or none that can be read. Nothing was stored.
            StorageError: as for :class:`~edgetl_device.Device`.
        """
        label = check_sample_label(label)
        photos, unused = photos_to_learn(label, images, color)
        if not photos:
            raise InputError(f"nothing to learn as {label}: no image was given")
        with self._current.turn():
            install_starter(self._home, self._runtime)
        with self._current.now() as opened:
            learner = opened.groups.known_or_new(group)
            embedded = opened.backbone.embed_readable(photos)
            with learner.lock():
                ids = learner.add(label, embedded.raw, view=opened.backbone.looking.key)
                outcome = retrain_after(learner, "stored") if retrain else None
        return Learned(tuple(ids), (*unused, *(reason for _, reason in embedded.skipped)), outcome)

    def classify(self, image: Photo, *, color: ColorOrder | None = None, top: int = 3) -> dict[str, Prediction]:
        """What each group says of an image.

        Raises:
            InputError: no image; PhotoError where the file cannot be read.
        """
        photo = decoded(given(image, color))
        with self._current.now() as opened:
            codes = opened.backbone.codes(opened.backbone.embed(photo)[None])
            return {name: told[0] for name, told in opened.groups.classify(codes, top).items()}

    def retrain(self, group: str, head: str | None = None, *, accept_scene_change: bool = False) -> Outcome:
        """As :meth:`Device.retrain <edgetl_device.Device.retrain>`, of one group."""
        with self._current.now() as opened:
            return opened.groups.known(group).retrain(head, accept_scene_change=accept_scene_change)

    def samples(self, group: str, label: str | None = None) -> list[SampleRow]:
        """Photos that are labelled in a group; an id means the same photo in all groups."""
        with self._current.now() as opened:
            return opened.groups.known(group).samples(label)

    def forget(
        self, group: str, ids: Iterable[int] = (), *, label: str | None = None, everything: bool = False
    ) -> Forgotten:
        """Forget exactly what a group says of photos, then retrain it; a photo that has no label left is gone.

        Args:
            ids: of samples, or one of these:
            label: all samples of a label of the group.
            everything: the group.

        Raises:
            InputError: not exactly one of the three, or no such group, sample or label.
        """
        numbers = list(ids)
        if bool(numbers) + (label is not None) + everything != 1:
            raise InputError("say what to forget: samples by id, a label, or everything")
        with self._current.now() as opened:
            learner = opened.groups.known(group)
            with learner.lock():
                if label is not None:
                    removed, _ = learner.forget_label(label)
                else:
                    removed = learner.forget_all() if everything else learner.forget(numbers)
                return Forgotten(removed, False, retrain_after(learner, "forgotten"))

    def versions(self, group: str) -> list[VersionRow]:
        """Head versions of a group, oldest first."""
        with self._current.now() as opened:
            return opened.groups.known(group).versions()

    def rollback(self, group: str, version: int | None = None) -> int:
        """As :meth:`Device.rollback <edgetl_device.Device.rollback>`, of one group."""
        with self._current.now() as opened:
            return opened.groups.known(group).rollback(version)
