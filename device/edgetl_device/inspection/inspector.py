"""Good photos → an inspector: how unusual is a photo, is that too much, and where?

Two questions, each in units of what good photos do when they are left out: how unusual are the most unusual places,
all maps taken together (a scratch, a hole), and how unusual is the coarsest map as a whole (a wrong or misshapen part)?
The larger answer is the score. Everything is solved from exact sums, so the order of photos, merging and forgetting
leave no trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..codes import Codes, Int8
from ..errors import InputError, MismatchError
from .bursts import bursts_of
from .place_codes import place_codes
from .place_gaussians import Float32, PlaceGaussians, solve_gaussians
from .place_statistics import PlaceStatistics, place_statistics_of
from .threshold import TARGET, FalseAlarms, Sensitivity, choose_threshold, sensitivity

GOOD = ("good", "fine")
KINDS = ("good", "fine", "bad")
TOP_PLACES = 0.01  # share of the finest map's places that a local defect is judged by
FEW_PHOTOS = 20

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class InspectionSample:
    """One photo that was taught.

    Args:
        maps: its inner feature maps, finest first, each (t, h, w, c) int8: t = 1, or one for each turn, upright first.
        burst: photos of one burst may be near-copies of each other.
        kind: ``good``, ``fine`` (called bad by mistake, so good) or ``bad``.
        id: how the store knows it.
    """

    maps: tuple[Int8, ...]
    burst: str = ""
    kind: str = "good"
    id: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"a photo is one of {', '.join(KINDS)}, got {self.kind!r}")


@dataclass(frozen=True, eq=False)
class Finding:
    """What an inspector says of one photo.

    Args:
        score: standard deviations above the average good photo.
        threshold: the score above which it alarms.
        is_good: whether it does not.
        heat: (h, w) float32 on the finest map's places; 1 is as unusual as the places of a photo at the threshold.
        where: (top, left, bottom, right) of the most unusual region as shares of the prepared photo; None if good.
    """

    score: float
    threshold: float
    is_good: bool
    heat: Float32
    where: Box | None


@dataclass(frozen=True, eq=False)
class Scale:
    """Location and spread of something among good photos that were left out."""

    mean: float
    deviation: float

    def __call__(self, values: Float32) -> Float32:
        """In standard deviations above the mean."""
        return np.asarray((values - np.float32(self.mean)) / np.float32(self.deviation), np.float32)


@dataclass(frozen=True, eq=False)
class Inspector:
    """Judges photos. Made by :func:`solve_inspector`.

    Args:
        grids: (h, w) of each map, finest first.
        gaussians: of each map.
        scales: of each map's unusualness of one place.
        local, whole: scales of the two questions.
        threshold: score above which a photo is not good.
        expected: false alarms to be expected there.
        left_out: (n,) scores of good photos, each without its burst.
        bad: scores of the bad photos that were taught.
        warnings: what is wrong with what was taught, one sentence each.
    """

    grids: tuple[tuple[int, int], ...]
    gaussians: tuple[PlaceGaussians, ...]
    scales: tuple[Scale, ...]
    local: Scale
    whole: Scale
    threshold: float
    expected: FalseAlarms
    left_out: npt.NDArray[np.float64]
    bad: npt.NDArray[np.float64]
    warnings: tuple[str, ...]

    def check(self, maps: Sequence[Int8]) -> Finding:
        """The maps of one photo, each (h, w, c) int8 → what is to be said of it.

        Raises:
            MismatchError: they are not of the shapes that were taught.
        """
        codes = _codes([each[None] for each in maps], self.grids, self.gaussians)
        distances = [gaussian.distances(each) for gaussian, each in zip(self.gaussians, codes, strict=True)]
        unusual = [scale(np.cbrt(each).astype(np.float32)) for scale, each in zip(self.scales, distances, strict=True)]
        fused = _fused(unusual, self.grids)
        local, whole = float(self.local(_top(fused))[0]), float(self.whole(_whole(unusual))[0])
        score = max(local, whole)
        heat = self._heat(fused[0], score)
        good = score <= self.threshold
        return Finding(score, self.threshold, good, heat, None if good else _where(heat))

    def sensitivity(self) -> tuple[Sensitivity, ...]:
        """Thresholds to choose from, with the false alarms and the defects found to be expected at each."""
        return sensitivity(self.left_out, self.bad)

    def _heat(self, fused: Float32, score: float) -> Float32:
        alarm = self.local.mean + self.threshold * self.local.deviation  # what the top places of a photo there have
        heat = np.maximum(fused, 0) / max(alarm, 1e-6)
        if score > self.threshold:  # it alarms as a whole: then its most unusual places are where
            heat = heat * max(1.0, 1.0 / max(float(_top(np.asarray(heat[None], np.float32))[0]), 1e-6))
        return np.asarray(heat.reshape(self.grids[0]), np.float32)


def solve_inspector(
    samples: Sequence[InspectionSample], target: float = TARGET, statistics: PlaceStatistics | None = None
) -> Inspector:
    """Photos that were taught → an inspector.

    Args:
        samples: good, fine and bad ones, in any order.
        target: share of good photos that may alarm.
        statistics: exact sums of the codes of the good and fine ones; None makes them here.

    Raises:
        InputError: fewer than two good photos.
        MismatchError: their maps differ in shape.
    """
    good = [sample for sample in samples if sample.kind in GOOD]
    if len(good) < 2:
        raise InputError(f"inspection needs at least 2 good photos, got {len(good)}: teach more good parts")
    grids = _grids(good[0])
    stacked = [_stacked([sample.maps[index] for sample in samples]) for index in range(len(grids))]
    is_good = np.array([sample.kind in GOOD for sample in samples])
    codes = [place_codes(each[is_good]) for each in stacked]  # (n, t, h, w, c)
    turns = codes[0].shape[1]
    grids_of_rows = [each.reshape(-1, *each.shape[2:]) for each in codes]
    if statistics is None:
        statistics = place_statistics_of(grids_of_rows, "", "", [str(index) for index in range(len(grids))])
    gaussians = solve_gaussians(statistics)
    rows = [each.reshape(len(each), -1, each.shape[3]) for each in grids_of_rows]
    bursts, warnings = bursts_of([sample.burst for sample in good], codes[-1][:, 0])
    groups = [(np.flatnonzero(bursts == burst)[:, None] * turns + np.arange(turns)).ravel() for burst in set(bursts)]
    loose = [np.cbrt(gaussian.left_out(each, groups)[::turns]) for gaussian, each in zip(gaussians, rows, strict=True)]
    scales = tuple(_scale(each) for each in loose)
    unusual = [scale(each) for scale, each in zip(scales, loose, strict=True)]
    top, whole = _top(_fused(unusual, grids)), _whole(unusual)
    scale_top, scale_whole = _scale(top), _scale(whole)
    left_out = np.maximum(scale_top(top), scale_whole(whole)).astype(np.float64)
    threshold, expected = choose_threshold(left_out, bursts, target)
    if len(good) < FEW_PHOTOS:
        warnings = (*warnings, f"{len(good)} good photos are few: teach at least {FEW_PHOTOS}, of different parts")
    inspector = Inspector(
        grids, gaussians, scales, scale_top, scale_whole, threshold, expected, left_out, np.zeros(0), warnings
    )
    bad = [inspector.check([each[row, 0] for each in stacked]).score for row in np.flatnonzero(~is_good)]
    return Inspector(
        grids, gaussians, scales, scale_top, scale_whole, threshold, expected, left_out, np.array(bad), warnings
    )


def _grids(sample: InspectionSample) -> tuple[tuple[int, int], ...]:
    return tuple((int(each.shape[1]), int(each.shape[2])) for each in sample.maps)


def _stacked(maps: Sequence[Int8]) -> Int8:
    if len({each.shape for each in maps}) > 1:
        raise MismatchError("the photos were taught with different views or backbones: forget all and teach again")
    return np.stack(maps)


def _codes(
    maps: Sequence[Int8], grids: tuple[tuple[int, int], ...], gaussians: tuple[PlaceGaussians, ...]
) -> list[Codes]:
    shapes = [(1, *grid, gaussian.mean.shape[1]) for grid, gaussian in zip(grids, gaussians, strict=True)]
    if [each.shape for each in maps] != shapes:
        raise MismatchError(f"expected feature maps {shapes}, got {[each.shape for each in maps]}")
    return [place_codes(each).reshape(1, -1, each.shape[3]) for each in maps]


def _fused(unusual: Sequence[Float32], grids: tuple[tuple[int, int], ...]) -> Float32:
    """(n, P) of each map → (n, P of the finest), the mean of all maps at each place."""
    height, width = grids[0]
    total = np.zeros((len(unusual[0]), height, width), np.float32)
    for each, (rows, columns) in zip(unusual, grids, strict=True):
        down, across = np.arange(height) * rows // height, np.arange(width) * columns // width
        total += each.reshape(-1, rows, columns)[:, down[:, None], across]
    return total.reshape(len(total), -1) / np.float32(len(unusual))


def _top(fused: Float32) -> Float32:
    """(n, P) → (n,), the mean of the most unusual places."""
    count = max(1, int(fused.shape[1] * TOP_PLACES))
    return np.asarray(np.partition(fused, -count, axis=1)[:, -count:].mean(axis=1), np.float32)


def _whole(unusual: Sequence[Float32]) -> Float32:
    """(n,), the mean of the coarsest map's places."""
    return np.asarray(unusual[-1].mean(axis=1), np.float32)


def _scale(values: Float32) -> Scale:
    return Scale(float(values.mean(dtype=np.float64)), max(float(values.std(ddof=1, dtype=np.float64)), 1e-6))


def _where(heat: Float32) -> Box:
    """The region around the hottest place that is at least half as hot."""
    height, width = heat.shape
    _, labels = cv2.connectedComponents((heat >= heat.max() / 2).astype(np.uint8))
    rows, columns = np.nonzero(labels == labels.flat[int(heat.argmax())])
    return (
        float(rows.min() / height), float(columns.min() / width),
        float((rows.max() + 1) / height), float((columns.max() + 1) / width),
    )  # fmt: skip
