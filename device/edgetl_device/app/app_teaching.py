"""AppTeaching: what a running app learns from its frames, and from photos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..errors import InputError, MismatchError
from ..inference.backbone import Backbone
from ..labels import check_sample_label
from ..photos import Image, thumbnail
from ..region import cut, region_of
from .answers import Watched
from .app_samples import AppSamples
from .captured import CapturedSample
from .subscription import Recognition


class AppTeaching(AppSamples):
    """The part of an app that stores samples; methods may be called from any thread."""

    _thumbnails: bool

    def capture(self, recognition: Recognition) -> CapturedSample:
        """What is kept of a recognition that will be taught; its frame can go."""
        image = recognition.frame.image
        if recognition.view:  # what a view looks at is what is taught
            image = cut(image, region_of(list(recognition.part)))
        picture = thumbnail(image) if self._thumbnails else None
        return CapturedSample(recognition.raw, picture, recognition.backbone, recognition.view, recognition.name)

    def teach(
        self,
        label: str,
        recognitions: Sequence[Recognition | CapturedSample],
        groups: Mapping[str, str] | None = None,
    ) -> list[int]:
        """Store what recognition saw as samples of a label: its embeddings, so nothing is computed again.

        Args:
            label: "" where they are labelled in groups alone.
            groups: group → what they are labelled as there.

        Returns:
            Their ids; durable when it returns. :meth:`retrain` makes a head that knows them.

        Raises:
            InputError: no recognitions, or not a label.
            MismatchError: another bundle was installed since.
            StorageError: the store is full or cannot be written.
        """
        labels = _labels(label, groups)
        if not recognitions:
            raise InputError(f"nothing to learn as {', '.join(labels.values())}: no frame was captured")
        captured = [self.capture(each) if isinstance(each, Recognition) else each for each in recognitions]
        pictures = [each.picture for each in captured if each.picture is not None]
        with self._lock, self._learner.lock():  # or others could forget them before their place is noted
            if any(each.backbone != self._backbone.digest for each in captured):
                raise MismatchError(
                    "a different bundle was installed after these frames were captured: capture them again"
                )
            views = {(each.view, each.name) for each in captured}
            if len(views) > 1:
                raise MismatchError("another view was chosen while these frames were captured: capture them again")
            raw = np.stack([each.raw for each in captured])
            ((view, name),) = views
            ids = self._opened.groups.add(labels, raw, pictures, view=view)
            self._learner.store.views.note_place(ids, *name)
            return ids

    def teach_photos(
        self,
        label: str,
        photos: Iterable[Image],
        groups: Mapping[str, str] | None = None,
        view: Watched | None = None,
    ) -> list[int]:
        """Store photos (height, width, 3) uint8 BGR as samples of a label; returns their ids.

        Args:
            label, groups: as of :meth:`teach`.
            view: of whose camera they are; None looks at them as commands do.

        Raises as :meth:`teach`.
        """
        labels = _labels(label, groups)
        pictures = []
        with self._lock:
            looking = self._backbone.looking if view is None else view.looking
            rows = []
            for photo in photos:
                rows.append(self._backbone.embed_photo(looking(photo)))
                pictures += [thumbnail(looking.shown(photo))] if self._thumbnails else []
            if not rows:
                raise InputError(f"nothing to learn as {', '.join(labels.values())}: no photo")
            with self._learner.lock():
                ids = self._opened.groups.add(labels, np.stack(rows), pictures, view=looking.key)
                if view is not None:
                    self._learner.store.views.note_place(ids, *view.name)
            return ids

    @property
    def _backbone(self) -> Backbone:
        return self._opened.backbone


def _labels(label: str, groups: Mapping[str, str] | None) -> dict[str, str]:
    """Labels by group, "" for that without a name; raises InputError where there is none, or what is none."""
    if not label and groups:
        return dict(groups)
    return {"": check_sample_label(label), **(groups or {})}
