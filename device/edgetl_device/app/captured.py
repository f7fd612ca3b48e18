"""What is kept of a recognition that will be taught."""

from __future__ import annotations

from dataclasses import dataclass

from ..codes import Int8
from ..view_names import UNNAMED, ViewName


@dataclass(frozen=True, eq=False)
class CapturedSample:
    """A sample that is not stored yet: ten kilobytes, whatever the size of its frame.

    Args:
        raw: (d,) int8 raw embedding.
        picture: a small JPEG; None where none is kept.
        backbone: digest of the backbone that made ``raw``.
        view: how the frame was looked at, as of a recognition.
        name: of the camera and the region, as of a recognition.
    """

    raw: Int8
    picture: bytes | None
    backbone: str
    view: str = ""
    name: ViewName = UNNAMED
