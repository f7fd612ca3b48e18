"""Heat → a picture of where a photo is unusual."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ..photos import Image

MAX_SIDE = 1024  # pixels
_FROM = 0.5  # of the threshold: below nothing is drawn, nor below a third of the hottest place
_STRONGEST = 0.65  # opacity
_BGR = (0, 90, 255)  # orange: told from green and blue by those who see no red


def heat_map(
    picture: Image, heat: npt.NDArray[np.float32], where: tuple[float, float, float, float] | None = None
) -> Image:
    """A picture with its heat over it, and a box around the most unusual region.

    Args:
        picture: (height, width, 3) uint8 BGR, as :meth:`.service.Inspection.picture` gives it.
        heat, where: of :class:`.service.Finding`.

    Returns:
        (height, width, 3) uint8 BGR, at most 1024 pixels a side.
    """
    factor = min(1.0, MAX_SIDE / max(picture.shape[:2]))
    width, height = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
    base = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    smooth = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
    low, high = max(_FROM, float(smooth.max()) / 3), max(3 * _FROM, float(smooth.max()))
    opacity = np.clip((smooth - low) / (high - low), 0, 1)[:, :, None] * _STRONGEST
    drawn = np.rint(base * (1 - opacity) + np.array(_BGR, np.float32) * opacity).astype(np.uint8)
    if where is not None:
        x, y, across, down = where
        corner, other = (round(x * width), round(y * height)), (round((x + across) * width), round((y + down) * height))
        cv2.rectangle(drawn, corner, other, _BGR, max(1, min(width, height) // 120))
    return np.asarray(drawn, np.uint8)
