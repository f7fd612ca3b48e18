"""Good photos → an inspector: how unusual is a photo, is that too much, and where?

Two questions, each in units of what good photos do when they are left out: how unusual are the most unusual places,
all maps taken together (a scratch, a hole), and how unusual is the coarsest map as a whole (a wrong or misshapen part)?
Together they are the score, to which photos called bad may add a direction. Everything is solved from exact sums and
from the photos themselves, so the order of photos, merging and forgetting leave no trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..codes import Codes, Int8
from ..errors import InputError, MismatchError
from .bursts import Alike, alike
from .corrections import Described, Direction, describe, learn_direction
from .finding import Finding, hottest
from .one_photo import OnePhoto, for_one_photo
from .place_codes import place_codes
from .place_gaussians import Float32, PlaceGaussians, solve_gaussians
from .place_statistics import PlaceStatistics, place_statistics_of
from .threshold import TARGET, FalseAlarms, Sensitivity, choose_threshold, sensitivity
from .unusual import Grids, Scale, either, fused, local, scale_of, steady, top, whole

GOOD = ("good", "fine")
KINDS = ("good", "fine", "bad")
FEW_PHOTOS = 20
Float64 = npt.NDArray[np.float64]


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
class Inspector:
    """Judges photos. Made by :func:`solve_inspector`.

    Args:
        grids: (h, w) of each map, finest first.
        gaussians: of each map.
        scales: of each map's unusualness of one place.
        local, whole: scales of the two questions.
        direction: what photos called bad add; None where they are too few, or it would not help.
        threshold: score above which a photo is not good.
        expected: false alarms to be expected there.
        left_out: (n,) scores of good photos, each without its burst and near-copies.
        bad: scores of the bad photos that were taught, each without itself.
        independent: how many good photos those are worth.
        taught: which of the good ones were taught as such, not corrected, and how many those are worth; None where
            they are too few to say anything by themselves.
        warnings: what is wrong with what was taught, one sentence each.
    """

    grids: Grids
    gaussians: tuple[PlaceGaussians, ...]
    scales: tuple[Scale, ...]
    local: Scale
    whole: Scale
    direction: Direction | None
    threshold: float
    expected: FalseAlarms
    left_out: Float64
    bad: Float64
    independent: float
    taught: tuple[npt.NDArray[np.bool_], float] | None
    warnings: tuple[str, ...]

    def check(self, maps: Sequence[Int8]) -> Finding:
        """The maps of one photo, each (h, w, c) int8 → what is to be said of it.

        Raises:
            MismatchError: they are not of the shapes that were taught.
        """
        _refuse_others([each.shape for each in maps], self.grids, self.gaussians)
        unusual, places = self._one.unusual(maps)
        place, part = self.local(float(local(places)[0])), self.whole(float(whole(unusual)[0]))
        score = float(either(place, part))
        if self.direction is not None:
            batch = [each[None] for each in maps]
            score += float(self.direction.scores(describe(batch, unusual, (np.array([place]), np.array([part]))))[0])
        good = score <= self.threshold
        heat = self._heat(places, good)
        return Finding(score, self.threshold, good, heat, None if good else hottest(heat))

    def sensitivity(self) -> tuple[Sensitivity, ...]:
        """Thresholds to choose from, with the false alarms and the defects found to be expected at each."""
        return sensitivity(self.left_out, self.bad, lambda target: self.choose(target)[0])

    def choose(self, target: float) -> tuple[float, FalseAlarms]:
        """The threshold at which a share ``target`` of good photos may alarm, and what to expect there.

        Fine photos are the most unusual good ones: they count for the threshold only where that lowers it.
        """
        chosen = choose_threshold(self.left_out, self.independent, target)
        if self.taught is None:
            return chosen
        only, worth = self.taught
        return min(chosen, choose_threshold(self.left_out[only], worth, target), key=lambda pair: pair[0])

    @cached_property
    def _one(self) -> OnePhoto:
        return for_one_photo(self.gaussians, self.scales, self.grids)

    def _unusual(self, maps: Sequence[Int8]) -> list[Float32]:
        codes = _codes(maps, self.grids, self.gaussians)
        steps = zip(self.scales, self.gaussians, codes, strict=True)
        return [scale(steady(gaussian.distances(each))) for scale, gaussian, each in steps]

    def _answers(self, unusual: Sequence[Float32], places: Float32) -> tuple[Float64, Float64]:
        return self.local(local(places)).astype(np.float64), self.whole(whole(unusual)).astype(np.float64)

    def _heat(self, places: Float32, good: bool) -> Float32:
        alarm = self.local.mean + max(self.threshold, 1.0) * self.local.deviation
        heat = np.maximum(places[0], 0) * np.float32(1 / max(alarm, 1e-3))
        if not good:  # it may alarm as a whole: then its most unusual places are where
            heat = heat * np.float32(max(1.0, 1.0 / max(float(top(heat[None])[0]), 1e-3)))
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
        MismatchError: their maps differ in shape, or the statistics are of others.
    """
    good = [sample for sample in samples if sample.kind in GOOD]
    if len(good) < 2:
        raise InputError(f"inspection needs at least 2 good photos, got {len(good)}: teach more good parts")
    maps = _stacked(good)
    grids = tuple((int(each.shape[2]), int(each.shape[3])) for each in maps)
    codes = [place_codes(each.reshape(-1, *each.shape[2:])) for each in maps]  # (n · t, h, w, c)
    statistics = statistics or place_statistics_of(codes, "", "", [str(index) for index in range(len(grids))])
    if statistics.count != len(codes[0]):
        raise MismatchError(f"place statistics are of {statistics.count} photos, but {len(codes[0])} are stored")
    gaussians = solve_gaussians(statistics)
    upright = [each[:, 0] for each in maps]
    likeness = alike([sample.burst for sample in good], codes[-1].reshape(maps[-1].shape)[:, 0])
    inspector, described = _measured(grids, gaussians, codes, upright, likeness, target)
    warnings = likeness.warnings
    if len(good) < FEW_PHOTOS:
        warnings = (*warnings, f"{len(good)} good photos are few: teach at least {FEW_PHOTOS}, of different parts")
    bad = [sample for sample in samples if sample.kind == "bad"]
    corrected = _corrected(inspector, described, [each[:, 0] for each in _stacked(bad)]) if bad else inspector
    taught = np.array([sample.kind == "good" for sample in good])
    alone = (taught, likeness.among(taught).independent) if taught.sum() > 1 else None
    settled = replace(corrected, taught=alone, warnings=warnings)
    threshold, expected = settled.choose(target)
    return replace(settled, threshold=threshold, expected=expected)


def _measured(
    grids: Grids, gaussians: tuple[PlaceGaussians, ...], codes: Sequence[Codes], upright: Sequence[Int8],
    likeness: Alike, target: float,
) -> tuple[Inspector, Described]:  # fmt: skip
    """An inspector with the scales of good photos left out burst by burst, and those photos' description."""
    turns = len(codes[0]) // len(likeness.near)
    without = [(np.flatnonzero(row)[:, None] * turns + np.arange(turns)).ravel() for row in likeness.near]
    asked = np.arange(len(without)) * turns
    rows = [each.reshape(len(each), -1, each.shape[3]) for each in codes]
    steps = zip(gaussians, rows, strict=True)
    loose = [steady(gaussian.left_out(each, asked, without)) for gaussian, each in steps]
    scales = tuple(scale_of(each) for each in loose)
    unusual = [scale(each) for scale, each in zip(scales, loose, strict=True)]
    places = fused(unusual, grids)
    place, part = scale_of(local(places)), scale_of(whole(unusual))
    nothing = FalseAlarms(target, 0.0, 1.0)
    inspector = Inspector(
        grids,
        gaussians,
        scales,
        place,
        part,
        None,
        0.0,
        nothing,
        np.zeros(0),
        np.zeros(0),
        likeness.independent,
        None,
        (),
    )
    answers = inspector._answers(unusual, places)
    return replace(inspector, left_out=either(*answers)), describe(upright, unusual, answers)


def _corrected(inspector: Inspector, good: Described, maps: Sequence[Int8]) -> Inspector:
    """The same with the scores of bad photos, (n, h, w, c) int8 each map, and their direction where it helps."""
    unusual = inspector._unusual(maps)
    answers = inspector._answers(unusual, fused(unusual, inspector.grids))
    bad = either(*answers)
    learned = learn_direction(good, describe(maps, unusual, answers), inspector.left_out, bad)
    if learned is None:
        return replace(inspector, bad=bad)
    direction, of_good, of_bad = learned
    return replace(inspector, direction=direction, left_out=inspector.left_out + of_good, bad=bad + of_bad)


def _stacked(samples: Sequence[InspectionSample]) -> list[Int8]:
    """The maps of all samples, each (n, t, h, w, c) int8."""
    if len({tuple(each.shape for each in sample.maps) for sample in samples}) > 1:
        raise MismatchError("the photos were taught with different views or backbones: forget all and teach again")
    return [np.stack(each) for each in zip(*(sample.maps for sample in samples), strict=True)]


def _codes(maps: Sequence[Int8], grids: Grids, gaussians: tuple[PlaceGaussians, ...]) -> list[Codes]:
    _refuse_others([each.shape[1:] for each in maps], grids, gaussians)
    return [place_codes(each).reshape(len(each), -1, each.shape[3]) for each in maps]


def _refuse_others(shapes: Sequence[tuple[int, ...]], grids: Grids, gaussians: tuple[PlaceGaussians, ...]) -> None:
    """Raise MismatchError unless maps have the shapes that were taught."""
    taught = [(*grid, gaussian.mean.shape[1]) for grid, gaussian in zip(grids, gaussians, strict=True)]
    if list(shapes) != taught:
        raise MismatchError(f"expected feature maps {taught}, got {list(shapes)}")
