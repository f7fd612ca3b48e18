"""When a part lies still: the moment at which a person or a machine has laid it before the camera."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ..photos import Image

REST_S = 0.4  # a picture must stay the same so long
MOVING = 3.0  # mean difference of grey levels, on a 32 × 32 picture, above which something moves; noise is below 1
_SIDE = 32


class Rest:
    """Tells when a new picture has come to rest: frame differences, which any camera and any light allows.

    Something that only passed by, so that the picture is what it was, is no new picture.

    Attributes:
        moved: whether the last frame was another than the one before.

    Example:
        >>> rest = Rest()
        >>> empty, part = np.zeros((48, 64, 3), np.uint8), np.full((48, 64, 3), 90, np.uint8)
        >>> [rest(image, 0.3 * number) for number, image in enumerate([empty, empty, empty, part, part, part, part])]
        [False, False, True, False, False, True, False]
    """

    def __init__(self) -> None:
        self._last: npt.NDArray[np.float32] | None = None
        self._rested: npt.NDArray[np.float32] | None = None
        self._since_s: float | None = None
        self.moved = False

    def __call__(self, image: Image, time_s: float) -> bool:
        """Take the next frame, (h, w, 3) uint8 BGR, and the camera's time; whether a new picture is at rest now."""
        small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        now = small.astype(np.float32)
        self.moved = self._last is None or _difference(now, self._last) > MOVING
        self._last = now
        if self.moved:
            self._since_s = time_s
            return False
        if self._since_s is None or time_s - self._since_s < REST_S:
            return False
        self._since_s = None
        is_new = self._rested is None or _difference(now, self._rested) > MOVING
        self._rested = now
        return is_new


def _difference(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    return float(np.abs(one - other).mean())
