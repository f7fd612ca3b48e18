"""How well a bundle inspects: taught good photos of a folder, checked on the others, defect by defect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgetl_device.bundle.bundle import Bundle
from edgetl_device.console import Stages, progress
from edgetl_device.errors import InputError, MismatchError, PhotoError
from edgetl_device.inference.backbone import NO_MAPS, Backbone, open_tried_backbone
from edgetl_device.inspection.finding import Finding
from edgetl_device.inspection.heat_map import heat_map
from edgetl_device.inspection.inspector import InspectionSample, Inspector, solve_inspector
from edgetl_device.metrics import auroc, wilson_interval
from edgetl_device.photo_folders import photos_in
from edgetl_device.photos import Image, read_photo
from edgetl_device.view import View

from .localisation import Localisation, localisation

GOOD = "good"
TAUGHT = 20  # good photos, where the folder does not say which
_SHOWN = 4  # pictures of each kind
_PICTURE = 224  # pixels a side


@dataclass(frozen=True)
class PartPhotos:
    """Photos of good parts and of others.

    Args:
        train: of good parts, to teach.
        test: kind and file of the others; the kind ``good`` holds good ones.
        masks: file → picture of the same size, not black where the defect is.
    """

    train: tuple[Path, ...]
    test: tuple[tuple[str, Path], ...]
    masks: dict[Path, Path]


@dataclass(frozen=True, eq=False)
class Checked:
    """One photo that was not taught.

    Args:
        picture: (h, w, 3) uint8 BGR, its heat map; None where it is not shown.
    """

    kind: str
    path: Path
    score: float
    flagged: bool
    picture: Image | None


@dataclass(frozen=True, eq=False)
class InspectionReport:
    """What was measured.

    Args:
        taught: how many good photos.
        threshold, expected: of the inspector: score above which it flags; (share, low, high) of false alarms expected.
        warnings: of the inspector.
        checked: the others.
        skipped: what could not be read.
        localisation: how well the heat marks the defects; None where there are no masks.
    """

    taught: int
    threshold: float
    expected: tuple[float, float, float]
    warnings: tuple[str, ...]
    checked: tuple[Checked, ...]
    skipped: tuple[str, ...]
    localisation: Localisation | None

    def scores(self, kind: str | None = None) -> npt.NDArray[np.float64]:
        """Of one kind; None of all that are not good."""
        chosen = [one.score for one in self.checked if (one.kind != GOOD if kind is None else one.kind == kind)]
        return np.array(chosen, np.float64)

    def flagged(self, kind: str | None = None) -> tuple[int, int]:
        """Of one kind, or of all that are not good: how many are flagged, of how many."""
        scores = self.scores(kind)
        return int((scores > self.threshold).sum()), len(scores)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of defects, sorted."""
        return tuple(sorted({one.kind for one in self.checked} - {GOOD}))

    @property
    def auroc(self) -> float:
        """Probability that a photo with a defect has a higher score than a good one."""
        return auroc(self.scores(), self.scores(GOOD))

    def roc(self) -> list[tuple[float, float]]:
        """False alarms and defects found at each threshold, from none to all."""
        good, bad = np.sort(self.scores(GOOD)), np.sort(self.scores())
        levels = [np.inf, *np.unique([*good, *bad])[::-1]]
        return [(float((good >= level).mean()), float((bad >= level).mean())) for level in levels]

    def to_json(self) -> dict[str, object]:
        """What ``edgetl inspection-report --json`` tells."""
        alarms, good = self.flagged(GOOD)
        found, bad = self.flagged()
        rows = []
        for kind in self.kinds:
            hits, total = self.flagged(kind)
            of_kind = auroc(self.scores(kind), self.scores(GOOD))
            rows.append({"kind": kind, "photos": total, "found": hits / total, "auroc": of_kind})
        place = self.localisation
        return {
            "auroc": self.auroc,
            "false_alarms": alarms / good,
            "found": found / bad,
            "intervals": {"false_alarms": wilson_interval(alarms, good), "found": wilson_interval(found, bad)},
            "defects": rows,
            "good": self.taught,
            "threshold": self.threshold,
            "expected_false_alarms": self.expected,
            "pixel_auroc": None if place is None else place.pixel_auroc,
            "pro": None if place is None else place.pro,
            "warnings": list(self.warnings),
            "skipped": list(self.skipped),
        }


def find_parts(folder: Path, taught: int | None, seed: int) -> PartPhotos:
    """Photos of good parts and of others, in ``train/good`` and ``test/KIND``, or in ``good`` and ``KIND``.

    Masks are in ``masks/KIND/NAME`` or ``ground_truth/KIND/NAME_mask``.

    Args:
        taught: how many good photos to teach; None all of ``train/good``, or twenty of ``good``.
        seed: which of them.

    Raises:
        InputError: there are no good photos to teach, none to check, or none with a defect.
    """
    if not folder.is_dir():
        raise InputError(f"no such folder: {folder}")
    root = folder / "test" if (folder / "test").is_dir() else folder
    reserved = {"train", "test", "masks", "ground_truth"}
    kinds = sorted(each.name for each in root.iterdir() if each.is_dir() and each.name not in reserved)
    if GOOD not in kinds or len(kinds) < 2:
        raise InputError(
            f"{root} must hold a folder `{GOOD}` and one for each kind of defect, got {', '.join(kinds) or 'none'}"
        )
    test = {kind: list(photos_in(root / kind).photos) for kind in kinds}
    order = np.random.default_rng(seed)
    if (folder / "train" / GOOD).is_dir():
        train = list(photos_in(folder / "train" / GOOD).photos)
        train = train if taught is None else [train[row] for row in sorted(order.permutation(len(train))[:taught])]
    else:
        chosen = set(order.permutation(len(test[GOOD]))[: TAUGHT if taught is None else taught].tolist())
        train = [path for row, path in enumerate(test[GOOD]) if row in chosen]
        test[GOOD] = [path for row, path in enumerate(test[GOOD]) if row not in chosen]
    if len(train) < 2 or not test[GOOD] or not any(test[kind] for kind in kinds if kind != GOOD):
        raise InputError(f"{folder} must hold at least two good photos to teach, good ones to check, and defects")
    masks = {path: mask for kind in kinds for path in test[kind] if (mask := _mask(folder, kind, path)) is not None}
    return PartPhotos(tuple(train), tuple((kind, path) for kind in kinds for path in test[kind]), masks)


def _mask(folder: Path, kind: str, path: Path) -> Path | None:
    for place, name in ((folder / "masks" / kind, path.stem), (folder / "ground_truth" / kind, f"{path.stem}_mask")):
        found = sorted(place.glob(f"{name}.*")) if place.is_dir() else []
        if found:
            return found[0]
    return None


def inspect_folder(bundle: Bundle, photos: PartPhotos, view: View, runtime: str = "auto") -> InspectionReport:
    """Teach the good photos of a folder, check the others.

    Raises:
        InputError: no photo can be read.
        MismatchError: the bundle cannot inspect.
    """
    if not bundle.maps:
        raise MismatchError(NO_MAPS)
    backbone = open_tried_backbone(bundle, runtime)
    skipped = list[str]()
    with Stages(2) as stage:
        stage("teaching good photos")
        inspector, taught = _taught(backbone, photos.train, view, skipped)
        stage("checking the others")
        checked, heats, masks = _checked(backbone, inspector, photos, view, skipped)
    expected = inspector.expected
    if not {one.kind for one in checked} > {GOOD}:
        raise InputError(f"too few photos could be read to measure anything: {skipped[0] if skipped else 'none'}")
    place = localisation(heats, masks) if any(mask.any() for mask in masks) else None
    told = (expected.rate, expected.low, expected.high)
    return InspectionReport(
        taught, inspector.threshold, told, inspector.warnings, tuple(checked), tuple(skipped), place
    )


def _taught(backbone: Backbone, paths: Sequence[Path], view: View, skipped: list[str]) -> tuple[Inspector, int]:
    samples = []
    for path in progress(paths, len(paths), "teaching"):
        try:
            runs = [backbone.embed_with_maps(turn)[1] for turn in view.turns(_photo(backbone, read_photo(path), view))]
        except PhotoError as error:
            skipped.append(f"{path}: {error}")
            continue
        samples.append(InspectionSample(tuple(np.stack(maps) for maps in zip(*runs, strict=True)), id=str(path)))
    return solve_inspector(samples), len(samples)


def _checked(
    backbone: Backbone, inspector: Inspector, photos: PartPhotos, view: View, skipped: list[str]
) -> tuple[list[Checked], list[npt.NDArray[np.float32]], list[npt.NDArray[np.bool_]]]:
    """What is said of each photo, and where there are masks, heat and mask of each that has one or is good."""
    checked, heats, masks, shown = list[Checked](), [], [], dict[str, int]()
    for kind, path in progress(photos.test, len(photos.test), "checking"):
        try:
            frame = read_photo(path)
            found = inspector.check(backbone.embed_with_maps(_photo(backbone, frame, view))[1])
        except PhotoError as error:
            skipped.append(f"{path}: {error}")
            continue
        picture = None
        if shown.get(kind, 0) < _SHOWN:
            shown[kind] = shown.get(kind, 0) + 1
            picture = _picture(frame, found, view)
        checked.append(Checked(kind, path, found.score, not found.is_good, picture))
        if photos.masks and not view.find_part and (kind == GOOD or path in photos.masks):
            mask = np.zeros((1, 1, 3), np.uint8) if kind == GOOD else view.cut(read_photo(photos.masks[path]))
            heats.append(found.heat)
            masks.append(np.asarray(mask.max(axis=2) > 127))
    return checked, heats, masks


def _photo(backbone: Backbone, frame: Image, view: View) -> npt.NDArray[np.uint8]:
    size = backbone.preprocessing
    return view.photo(frame, size.height, size.width)


def _picture(frame: Image, found: Finding, view: View) -> Image:
    if view.find_part:
        picture = np.asarray(cv2.cvtColor(view.photo(frame, _PICTURE, _PICTURE), cv2.COLOR_RGB2BGR), np.uint8)
    else:
        cut = view.cut(frame)
        factor = _PICTURE / max(cut.shape[:2])
        size = max(1, round(cut.shape[1] * factor)), max(1, round(cut.shape[0] * factor))
        picture = np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8)
    where = None
    if found.where is not None:
        top, left, bottom, right = found.where
        where = left, top, right - left, bottom - top
    return heat_map(picture, found.heat, where)
