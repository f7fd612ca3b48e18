"""How well heat marks defects: the share of pixels told apart, and the overlap with each defect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edgetl_device.metrics import auroc

_SIDE = 128  # pixels: heat has far fewer places, and memory is bounded
_MOST_FALSE = 0.3  # share of good pixels, up to which the overlap is integrated
_LEVELS = 200


@dataclass(frozen=True)
class Localisation:
    """Figures of the heat, as published for other methods.

    Args:
        pixel_auroc: probability that a pixel of a defect is hotter than one that is good.
        pro: per-region overlap, the mean share of each defect that is marked, over false positive rates up to 0.3
            (Bergmann et al., "Uninformed students", CVPR 2020, https://arxiv.org/abs/1911.02357), 1 at best.
        photos: how many masks there were.
    """

    pixel_auroc: float
    pro: float
    photos: int


def localisation(heats: Sequence[npt.NDArray[np.float32]], masks: Sequence[npt.NDArray[np.bool_]]) -> Localisation:
    """(h, w) float32 heat of photos and (any, any) masks of their defects, all False for good ones → the figures."""
    scaled = [cv2.resize(each, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR) for each in heats]
    heat = np.asarray(np.stack(scaled), np.float32)
    truth = np.stack([_scaled(each) for each in masks])
    levels = np.quantile(heat[~truth], np.linspace(1 - _MOST_FALSE, 1, _LEVELS))[::-1]
    false = np.array([float((heat[~truth] > level).mean()) for level in levels])
    regions = [(number, region) for number, each in enumerate(truth) for region in _regions(each)]
    overlap = np.array(
        [np.mean([(heat[number][region] > level).mean() for number, region in regions]) for level in levels]
    )
    rates, last = np.unique(false[::-1], return_index=True)  # of levels with one rate the lowest, which marks most
    marked = np.append(overlap[::-1][last], 1.0)
    at = np.linspace(0, _MOST_FALSE, 301)
    pro = float(np.interp(at, np.append(rates, 1.0), marked).mean())
    return Localisation(auroc(heat[truth], heat[~truth]), pro, sum(bool(each.any()) for each in masks))


def _scaled(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """A mask of the figures' size: a pixel is of the defect where any of what it stands for is."""
    soft = cv2.resize(mask.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(soft > 0)


def _regions(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    return [np.asarray(labels == number) for number in range(1, count)]
