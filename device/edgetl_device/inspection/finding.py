"""What an inspector says of one photo."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .place_gaussians import Float32

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Finding:
    """What an inspector says of one photo.

    Args:
        score: standard deviations above the average good photo.
        threshold: the score above which it alarms.
        is_good: whether it does not.
        heat: (h, w) float32 on the finest map's places; 1 is as unusual as the top places of a photo at the threshold.
        where: (top, left, bottom, right) of the most unusual region as shares of the prepared photo; None if good.
    """

    score: float
    threshold: float
    is_good: bool
    heat: Float32
    where: Box | None


def hottest(heat: Float32) -> Box:
    """(h, w) heat → the region around the hottest place that is at least half as hot, as shares of the photo."""
    height, width = heat.shape
    _, labels = cv2.connectedComponents((heat >= heat.max() / 2).astype(np.uint8))
    inside = labels == labels.flat[int(heat.argmax())]
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return rows[0] / height, columns[0] / width, (rows[-1] + 1) / height, (columns[-1] + 1) / width
