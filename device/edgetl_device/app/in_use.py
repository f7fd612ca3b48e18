"""What is in use while frames pass through a pipeline, and what they carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..camera import Frame
from ..inference.classifier import Classifier
from ..looking import Shares
from ..view_names import ViewName
from .answers import Watched


@dataclass(frozen=True, eq=False)
class InUse:
    """What is in use for a frame, from its capture to its recognition.

    Args:
        views: camera → its views.
        bound: the groups of labels that a view is bound to.
    """

    classifier: Classifier
    version: int
    views: Mapping[str, tuple[Watched, ...]]
    bound: frozenset[str]

    @classmethod
    def of(cls, classifier: Classifier, version: int, views: Sequence[Watched] | None, cameras: Iterable[str]) -> InUse:
        """From a list of views; None is one of each camera, as the backbone looks at frames."""
        names, looking = list(cameras), classifier.backbone.looking
        views = [Watched(ViewName(name), looking) for name in names] if views is None else views
        by_camera = {name: tuple(each for each in views if each.name.camera == name) for name in names}
        return cls(classifier, version, by_camera, frozenset(each.group for each in views if each.group))

    def view(self, name: ViewName) -> Watched | None:
        """The view of that name; None where it was removed."""
        return next((each for each in self.views[name.camera] if each.name == name), None)


@dataclass(frozen=True, eq=False)
class Seen:
    """What was looked at in a frame: the photo, where it is, and for which view."""

    frame: Frame
    photo: npt.NDArray[np.uint8]
    part: Shares
    view: Watched
