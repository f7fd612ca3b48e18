"""Inspection of a device home: teach good photos, check others, correct, forget.

What was taught is in the store, as maps and embeddings; no photo is kept. The inspector is solved from it, in some tens
of milliseconds, whenever it has changed.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..codes import Int8
from ..errors import InputError, MismatchError
from ..inference.backbone import NO_MAPS, Backbone
from ..photos import Image, read_photo
from ..store.inspected import ASIDE, VERDICTS, InspectedPhoto, InspectedRow, InspectionSetting
from ..store.schema import VersionRow
from ..store.shifts import Shifts
from ..store.store import Store
from ..view import View
from .export import InspectionExport
from .gate import objection
from .inspector import FEW_PHOTOS, InspectionSample, solve_inspector
from .known import LEAST, UNIT, Known
from .lesson import prepare, question_about, refuse_other_shape, sizes_of, split_maps, turns_of
from .lesson_words import aside, done, worse
from .results import Finding, InspectionStatus, Taught
from .threshold import Sensitivity

__all__ = ["Finding", "Inspection", "InspectionStatus", "Taught"]

NEAR_COPY = (
    0.2  # between unit embeddings, of photos of one scene in a row; different good parts are mostly farther apart
)
PICTURE = 448  # pixels a side, of a part that was found
_TEACH = "`edgetl-device inspect learn PHOTO…`"


class Inspection:
    """Visual inspection with one backbone.

    Teaching, correcting and forgetting use the store, so they are for the thread that has it. :meth:`check_maps` and
    :meth:`photo` use neither store nor lock: a camera may call them while another thread teaches.

    Args:
        store: of the home.
        backbone: of its bundle.
    """

    def __init__(self, store: Store, backbone: Backbone) -> None:
        self._store = store
        self._backbone = backbone
        self._known = Known(store, backbone)
        self._lock = threading.RLock()
        self._chosen: View | None = None

    # how photos are looked at --------------------------------------------------------------------------------------

    @property
    def available(self) -> bool:
        """Whether the bundle can inspect: its backbone gives inner maps."""
        return bool(self._backbone.maps)

    @property
    def view(self) -> View | None:
        """How photos are looked at; None before that was chosen."""
        return self._known.view

    def set_view(self, view: View) -> None:
        """Choose how photos are looked at.

        Raises:
            InputError: photos were taught with another view.
        """
        with self._lock:
            self._refuse_view(view)
            if self.view != view:
                self._choose(view, self.sensitivity)

    @property
    def sensitivity(self) -> float:
        """Share of good photos that may be flagged: smaller finds less and alarms less."""
        return self._known.target

    @sensitivity.setter
    def sensitivity(self, share: float) -> None:
        if not 1 / UNIT <= share < 1:
            raise InputError(f"the share of good photos that may be flagged must be 0.0001 to 0.9999, got {share}")
        with self._lock:
            self._choose(self.view or View(), share)

    def curve(self) -> tuple[Sensitivity, ...]:
        """Thresholds to choose from: at each the false alarms and, where bad photos are known, the defects found."""
        inspector = self._known.inspector()
        return () if inspector is None else inspector.sensitivity()

    @property
    def shifts(self) -> Shifts:
        """Parts that cameras have counted."""
        return self._store.shifts

    # teaching ------------------------------------------------------------------------------------------------------

    def learn(self, images: Sequence[Path | Image], view: View | None = None, *, together: bool = False) -> Taught:
        """Teach photos of good parts.

        Args:
            images: photo files, or (height, width, 3) uint8 BGR; files that cannot be read are skipped.
            view: how to look at them; None as before, at first the whole frame.
            together: they are frames of one part that was held before the camera: one burst, which says less about
                other parts than so many photos of different ones.

        Raises:
            InputError: no photo can be used, or others were taught with another view. Nothing was stored.
            MismatchError: the bundle cannot inspect.
            StorageError: the store is full, the disk is full or fails. Nothing was stored.
        """
        return self._teach("good", images, view, together=together)

    def fine(self, images: Sequence[Path | Image], *, together: bool = False) -> Taught:
        """Correct a false alarm: these photos are good. At once, and as :meth:`learn`."""
        return self._teach("fine", images, together=together)

    def bad(self, images: Sequence[Path | Image], *, together: bool = False) -> Taught:
        """These photos are not good. As :meth:`learn`."""
        return self._teach("bad", images, together=together)

    def judge(self, ids: Sequence[int], verdict: str) -> int:
        """As :meth:`decide`; → how many had another one."""
        return len(self.decide(ids, verdict))

    def decide(self, ids: Sequence[int], verdict: str) -> tuple[int, ...]:
        """Give stored photos another verdict, ``good``, ``fine`` or ``bad``; → ids of those that had another one.

        Photos that the gate had set aside get new ids and are used from now on.
        """
        if verdict not in VERDICTS:
            raise InputError(f"a verdict is one of {', '.join(VERDICTS)}, got {verdict!r}")
        with self._lock, self._store.lock():
            self._refuse_unknown(ids)
            digest, said = self._backbone.digest, {row.id: row.verdict for row in self._known.rows()}
            self._known.note_before()
            changed = [number for number in dict.fromkeys(ids) if said[number] not in (verdict, ASIDE)]
            self._store.inspected.judge(digest, changed, verdict)
            changed += self._store.inspected.admit(digest, [each for each in ids if said[each] == ASIDE], verdict)
            if changed:
                self._known.note(done(verdict, len(changed)))
            return tuple(changed)

    def forget(self, ids: Sequence[int] | None = None) -> int:
        """Remove photos exactly, as if they had never been taught; None all of them, and the view. → how many."""
        with self._lock:
            if ids is None:
                return self._store.inspected.remove_all()
            self._refuse_unknown(ids)
            return self._store.inspected.remove(self._backbone.digest, ids)

    def samples(self) -> list[InspectedRow]:
        """The photos that were taught, oldest first."""
        return self._known.rows()

    def versions(self) -> list[VersionRow]:
        """What was taught, lesson by lesson, oldest first."""
        return self._known.versions.rows()

    def unused(self) -> tuple[int, ...]:
        """Ids of photos that were taught after the version in use, which was gone back to."""
        used = {row.id for row in self._known.used()}
        return tuple(row.id for row in self._known.rows() if row.verdict != ASIDE and row.id not in used)

    def rollback(self, number: int | None = None) -> int:
        """Use what was known at an earlier version, by default the one before; → its number.

        Photos that were taught after it stay stored, and the next lesson uses them again.
        """
        with self._lock, self._store.lock():
            return self._known.versions.rollback(number).id

    # checking ------------------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether enough good photos were taught to check others."""
        return self.available and self._known.inspector() is not None

    @property
    def revision(self) -> int:
        """Changes whenever what is known changes, by this process or another."""
        return self._known.revision

    def refresh(self) -> None:
        """Solve the inspector again if what is known has changed, for :meth:`check_maps`; for the store's thread."""
        with self._lock:
            self._known.inspector()
            self._chosen = self.view

    def check(self, image: Path | Image) -> Finding:
        """What is to be said of a photo file, or (height, width, 3) uint8 BGR.

        Raises:
            InputError: too few good photos were taught.
            PhotoError: it cannot be read, has another shape than those taught, or shows no part.
            MismatchError: the bundle cannot inspect.
        """
        self._refuse_without_maps()
        with self._lock:
            self.refresh()
            frame = read_photo(image) if isinstance(image, Path) else image
            refuse_other_shape(frame, self._known.rows())
        return self.check_maps(self._backbone.embed_with_maps(self.photo(frame))[1])

    def check_maps(self, maps: Sequence[Int8]) -> Finding:
        """As :meth:`check`, of the inner maps of a photo that :meth:`photo` prepared, as known at :meth:`refresh`."""
        inspector = self._known.solved
        if inspector is None:
            raise InputError(
                f"nothing to compare with yet: teach at least {LEAST} good photos, better twenty: {_TEACH}"
            )
        found, where = inspector.check(maps), None
        if found.where is not None:
            top, left, bottom, right = found.where
            where = left, top, right - left, bottom - top
        return Finding(found.score, found.threshold, found.is_good, found.heat, where)

    def photo(self, frame: Image) -> npt.NDArray[np.uint8]:
        """A (height, width, 3) uint8 BGR frame → the RGB photo that the backbone takes, as of :meth:`refresh`.

        Raises:
            PhotoError: no part was found in it.
        """
        size = self._backbone.preprocessing
        return (self._chosen or View()).photo(frame, size.height, size.width)

    def picture(self, frame: Image) -> Image:
        """What the heat map of a frame lies on, (any, any, 3) uint8 BGR: its region, or the part found in it.

        Raises:
            PhotoError: no part was found in it.
        """
        view = self._chosen or View()
        if not view.find_part:
            return view.cut(frame)
        return np.asarray(cv2.cvtColor(view.photo(frame, PICTURE, PICTURE), cv2.COLOR_RGB2BGR), np.uint8)

    def status(self) -> InspectionStatus:
        """What is known."""
        rows, used = self._known.rows(), self._known.used()
        counts = Counter(row.verdict for row in used)
        inspector = self._known.inspector() if self.available else None
        expected = None if inspector is None else inspector.expected
        return InspectionStatus(
            good=counts["good"],
            fine=counts["fine"],
            bad=counts["bad"],
            elsewhere=self._store.inspected.count_elsewhere(self._backbone.digest),
            threshold=None if inspector is None else inspector.threshold,
            expected_false_alarms=None if expected is None else (expected.rate, expected.low, expected.high),
            target=self.sensitivity,
            warnings=() if inspector is None else inspector.warnings,
            view=self.view,
            aside=sum(row.verdict == ASIDE for row in rows),
            unused=len(self.unused()),
            version=self._known.versions.active,
        )

    # other devices -------------------------------------------------------------------------------------------------

    def export(self) -> InspectionExport:
        """What was taught, for other devices with the same bundle: embeddings and maps, no photo.

        Raises:
            InputError: nothing was taught.
        """
        view = self.view
        stored = self._store.inspected.photos(self._backbone.digest, *sizes_of(self._backbone))
        photos = tuple(photo for photo in stored if photo.verdict != ASIDE)
        if view is None or not photos:
            raise InputError(f"nothing to export: no photo was taught: {_TEACH}")
        return InspectionExport(self._store.device, self._backbone.digest, self._backbone.runtime, view, photos)

    def merge(self, exports: Sequence[InspectionExport]) -> int:
        """Add what other devices were taught, exactly as if it had been taught here; → how many photos were new.

        Photos that are here already are left out, so an export may be merged again.

        Raises:
            MismatchError: an export is of another bundle.
            InputError: an export's photos were taught with another view. Nothing was stored.
        """
        self._refuse_without_maps()
        with self._lock, self._store.lock():
            self._known.note_before()
            for export in exports:
                export.check(self._backbone.digest, *sizes_of(self._backbone), turns_of(export.view, self._backbone))
            views = [self.view] if self.view is not None and self._known.rows() else []
            if len({view.digest for view in (*views, *(export.view for export in exports))}) > 1:
                raise InputError("they were taught with different views: teach all devices with the same options")
            digest = self._backbone.digest
            known = {photo.digest for photo in self._store.inspected.photos(digest, *sizes_of(self._backbone))}
            new = 0
            for export in exports:
                photos = [photo for photo in export.photos if photo.digest not in known]
                known |= {photo.digest for photo in photos}
                if photos:
                    setting = None if self.view == export.view else self._setting(export.view, self.sensitivity)
                    self._store.inspected.add(photos, digest, export.runtime, export.view.digest, setting)
                    self._chosen = export.view
                new += len(photos)
            if new:
                self._known.note(done("merged", new))
            return new

    # inside --------------------------------------------------------------------------------------------------------

    def _teach(
        self, verdict: str, images: Sequence[Path | Image], view: View | None = None, *, together: bool = False
    ) -> Taught:
        self._refuse_without_maps()
        with self._lock, self._store.lock():
            known = self.view
            if verdict == "bad" and known is None:
                raise InputError(f"teach good photos first: {_TEACH}")
            chosen = view or known or View()
            if known is not None and chosen != known:
                self._refuse_view(chosen)
            photos, skipped = prepare(images, chosen, self._backbone, self._known.rows(), verdict, together)
            unlike = self._odd(photos) if verdict == "good" else []
            why = self._objection(photos)
            held = why is not None and verdict == "good"  # what a person corrects counts at once
            if held:
                photos, unlike = [replace(photo, verdict=ASIDE) for photo in photos], []
            self._known.note_before()
            setting = None if known == chosen else self._setting(chosen, self.sensitivity)
            ids = self._store.inspected.add(
                photos, self._backbone.digest, self._backbone.runtime, chosen.digest, setting
            )
            self._chosen = chosen
            odd = tuple(ids[number] for number in unlike)
            warnings = [aside(why, ids) if held else worse(why)] if why is not None else []
            warnings += [question_about(odd, len(ids))] if odd else []
            if held:
                self._known.versions.reject(f"set aside: {why}", ids[-1])
            else:
                self._known.note(done(verdict, len(ids)))
            inspector = self._known.inspector()
            warnings += [] if inspector is None else inspector.warnings
            good = sum(row.verdict != "bad" for row in self._known.used())
            left = tuple(ids) if held else ()
            return Taught(tuple(ids), good, tuple(skipped), tuple(warnings), odd, left, self._known.versions.active)

    def _objection(self, photos: Sequence[InspectedPhoto]) -> str | None:
        """What would get worse with these photos; nothing is asked where no photo is known as not good."""
        before = self._known.inspector()
        if before is None or not len(before.bad):
            return None
        new = [
            InspectionSample(split_maps(photo.maps, self._backbone), f"new {_burst(photo, number)}", photo.verdict)
            for number, photo in enumerate(photos)
        ]
        return objection(before, solve_inspector([*self._known.samples(None), *new], self.sensitivity))

    def _odd(self, photos: Sequence[InspectedPhoto]) -> list[int]:
        """Which photos what was taught before would flag: one of them may not be good."""
        inspector = self._known.inspector() if len(self._known.rows()) >= FEW_PHOTOS else None
        if inspector is None:
            return []
        found = [inspector.check([each[0] for each in split_maps(photo.maps, self._backbone)]) for photo in photos]
        return [number for number, each in enumerate(found) if not each.is_good]

    def _choose(self, view: View, share: float) -> None:
        self._store.inspected.choose(self._backbone.digest, self._setting(view, share))
        self._chosen = view

    def _setting(self, view: View, share: float) -> InspectionSetting:
        return InspectionSetting(json.dumps(view.to_json(), sort_keys=True), round(share * UNIT))

    def _refuse_view(self, view: View) -> None:
        """Raise InputError where photos were taught with another view."""
        known = self.view
        if known is not None and known != view and self._known.rows():
            raise InputError(
                f"photos were taught with {known.describe()}, not with {view.describe()}: "
                "`edgetl-device inspect forget --all` first, or leave out the options"
            )

    def _refuse_without_maps(self) -> None:
        if not self.available:
            raise MismatchError(NO_MAPS)

    def _refuse_unknown(self, ids: Sequence[int]) -> None:
        strange = sorted(set(ids) - {row.id for row in self._known.rows()})
        if strange:
            raise InputError(f"no photo {strange[0]} was taught: `edgetl-device inspect status --list` lists them")


def _burst(photo: InspectedPhoto, number: int) -> str:
    return str(number) if photo.group is None else f"group {photo.group}"
