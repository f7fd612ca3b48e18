"""Visual inspection as a :class:`~edgetl_device.Device` has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import InputError
from ..home import Home
from ..inspection.results import Finding, InspectionStatus, Taught
from ..photos import ColorOrder
from ..starter import install_starter
from ..store.inspected import InspectedRow
from ..store.schema import VersionRow
from ..view import View, parse_region
from .current_home import CurrentHome
from .images import Photo, decoded, given, photos_to_learn


class DeviceInspection:
    """Learns what good parts look like, and flags others: ``Device.inspection``.

    >>> inspection = Device("home").inspection
    >>> inspection.learn("boxes").good
    12
    >>> finding = inspection.check("ball.png")
    >>> finding.good, finding.score > finding.threshold
    (False, True)
    >>> inspection.forget()
    12
    """

    def __init__(self, current: CurrentHome, home: Home, runtime: str) -> None:
        self._current = current
        self._home = home
        self._runtime = runtime

    def learn(
        self,
        images: Photo | Iterable[Photo],
        *,
        region: str | None = None,
        find_part: bool = False,
        turned: bool = False,
        color: ColorOrder | None = None,
        together: bool = False,
    ) -> Taught:
        """Teach images of good parts; about twenty different ones are a good start.

        Args:
            images: photo files, folders of them, or (height, width, 3) uint8 arrays.
            region: look at this part of the frame alone: ``X,Y,W,H`` in pixels or in shares of the frame.
            find_part: find the part on its background, and turn it always the same way.
            turned: teach each image in its turns and mirrors. These three are chosen with the first images and kept.
            color: of arrays: ``bgr`` (OpenCV) or ``rgb`` (Pillow).
            together: they are frames of one part.

        Raises:
            InputError: no image can be used, or others were taught looking at something else. Nothing was stored.
            MismatchError: the bundle cannot inspect.
            StorageError: as for the class.
        """
        photos, _ = photos_to_learn("good", images, color)
        if not photos:
            raise InputError("nothing to learn: no image was given")
        view = None
        if region is not None or find_part or turned:
            area = None
            if region is not None:
                height, width = decoded(photos[0]).shape[:2]
                area = parse_region(region, width, height)
            view = View(area, find_part, turned)
        with self._current.turn():
            install_starter(self._home, self._runtime)
        with self._current.now() as opened:
            return opened.inspection.learn(photos, view, together=together)

    def check(self, image: Photo, *, color: ColorOrder | None = None) -> Finding:
        """What is to be said of an image: ``good``, ``score``, ``threshold``, ``heat``, ``where``.

        Raises:
            InputError: too few good images were taught; PhotoError where it cannot be read, or shows no part.
        """
        with self._current.now() as opened:
            return opened.inspection.check(given(image, color))

    def fine(self, images: Photo | Iterable[Photo], *, color: ColorOrder | None = None) -> Taught:
        """Correct a false alarm: these are good. Raises as :meth:`learn`."""
        photos, _ = photos_to_learn("fine", images, color)
        with self._current.now() as opened:
            return opened.inspection.fine(photos)

    def bad(self, images: Photo | Iterable[Photo], *, color: ColorOrder | None = None) -> Taught:
        """These are not good. Raises as :meth:`learn`."""
        photos, _ = photos_to_learn("bad", images, color)
        with self._current.now() as opened:
            return opened.inspection.bad(photos)

    def judge(self, ids: Sequence[int], verdict: str) -> int:
        """Give images that were taught another verdict, ``good``, ``fine`` or ``bad``; → how many had another one."""
        with self._current.now() as opened:
            return opened.inspection.judge(ids, verdict)

    def versions(self) -> list[VersionRow]:
        """What was taught, lesson by lesson, oldest first."""
        with self._current.now() as opened:
            return opened.inspection.versions()

    def rollback(self, version: int | None = None) -> int:
        """Use what was known at an earlier version, by default the one before; → its number. Raises InputError."""
        with self._current.now() as opened:
            return opened.inspection.rollback(version)

    def forget(self, ids: Sequence[int] | None = None) -> int:
        """Remove images exactly; None all of them, and how they were looked at. → how many."""
        with self._current.now() as opened:
            return opened.inspection.forget(ids)

    def samples(self) -> list[InspectedRow]:
        """What was taught, oldest first."""
        with self._current.now() as opened:
            return opened.inspection.samples()

    def status(self) -> InspectionStatus:
        """What is known, the threshold, and the false alarms to expect."""
        with self._current.now() as opened:
            return opened.inspection.status()

    def allow(self, false_alarms: float) -> InspectionStatus:
        """Choose the share of good parts that may be flagged; → the status with it."""
        with self._current.now() as opened:
            opened.inspection.sensitivity = false_alarms
            return opened.inspection.status()
