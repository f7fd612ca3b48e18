"""Visual inspection: are defects seen after twenty or a hundred good photos, and how often is a good part refused?

Peers run on the same maps and draws. Thresholds come from the good photos taught, none from tests. Constants were
compared on all four sets, with few values each, and are on a plateau, so no set is untouched. Contrast and the weight
of the finest map help pills and tiles as well as coffee pods and screws by themselves; what is taken off a place for
all others was chosen on coffee pods and screws and confirmed on pills and tiles. Parts of `screw` are found against
their background; `pill` is shown both ways.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgetl.tflite.inner_maps import expose_inner_maps
from edgetl_device.codes import CodeTransform
from edgetl_device.errors import PhotoError
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.inspection.inspector import InspectionSample, Inspector, solve_inspector
from edgetl_device.inspection.place_codes import place_codes
from edgetl_device.inspection.place_statistics import place_statistics_of
from edgetl_device.metrics import auroc
from edgetl_device.photos import read_photo
from edgetl_device.view import View

from .harness import DATA, Report, need
from .inspection_peers import PEERS, Floats, Photos, padim_map
from .situations import BACKBONE, CACHE, backbone

FOLDER = "data/inspection"
SETS = {
    "pill": ("pill", False), "pill, part found": ("pill", True), "coffee": ("coffee", False), "tile": ("tile", False),
    "screw, part found": ("screw", True),
}  # fmt: skip
MEAN_OF = ("pill, part found", "coffee", "tile", "screw, part found")
DRAWS = {20: 5, 100: 2}
COPIES, PARTS = 4, 5  # near-copies: twenty photos of five parts
SIDE = 224
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Set:
    """One set, embedded.

    Args:
        maps: raw inner maps of all photos, finest first, each (n, h, w, c) int8.
        copies: the same of jittered copies of some good photos, each (parts, copies, h, w, c).
        photos: the same for peers.
        names, kinds: file and kind of each photo.
        train, test: rows.
    """

    maps: tuple[npt.NDArray[np.int8], ...]
    copies: tuple[npt.NDArray[np.int8], ...]
    photos: Photos
    names: npt.NDArray[np.str_]
    kinds: npt.NDArray[np.str_]
    train: Rows
    test: Rows

    @property
    def bad(self) -> npt.NDArray[np.bool_]:
        """Which of the tests are not good."""
        return np.asarray(self.kinds[self.test] != "good")

    def samples(self, rows: Iterable[int], kind: str = "good") -> list[InspectionSample]:
        """Photos as taught."""
        return [InspectionSample(tuple(each[row][None] for each in self.maps), kind=kind) for row in rows]

    def part(self, rows: Rows) -> Photos:
        """Photos as peers get them."""
        return Photos(tuple(each[rows] for each in self.photos.maps), self.photos.pooled[rows])

    def draws(self, count: int) -> list[Rows]:
        """Random good photos to teach; all of them where there are no more."""
        generator = np.random.default_rng(0)
        draws = 1 if count >= len(self.train) else DRAWS[count]
        return [generator.permutation(self.train)[:count] for _ in range(draws)]


def main() -> None:
    """Measure and save."""
    sets = {name: embedded(*what) for name, what in SETS.items()}
    report = Report(
        "inspection",
        f"Are defects seen after n good photos, and are good parts let pass? {BACKBONE}",
        reach="mean AUROC ≥ 0.93 at 20, ≥ 0.95 at 100 photos; false alarms ≤ 0.08 on every set; found ≥ 0.55, ≥ 0.75",
    )
    for count in DRAWS:
        _seen(report, sets, count)
    report.save()
    _near_copies(sets)
    _corrections(sets)
    _pixels(sets["tile"])
    _cost(sets["coffee"])


def _seen(report: Report, sets: dict[str, Set], count: int) -> None:
    means: dict[str, list[list[float]]] = {}
    for name, each in sets.items():
        found: dict[str, list[list[float]]] = {}
        for rows in each.draws(count):
            inspector = solve_inspector(each.samples(rows))
            found.setdefault("edgetl", []).append(_judged(inspector, each, each.test))
            for peer, score in PEERS.items():
                area = _area(score(each.part(rows), each.part(each.test)), each.bad)
                found.setdefault(peer, []).append([area, np.nan, np.nan])
        for method, measured in found.items():
            mean = np.mean(measured, axis=0)
            worst = float(np.max(np.array(measured)[:, 1]))
            _add(report, name, len(each.draws(count)[0]), method, *mean, worst)
            if name in MEAN_OF:
                means.setdefault(method, []).append([*mean, worst])
    for method, values in means.items():
        area, alarms, caught, _ = np.mean(values, axis=0)
        _add(report, "mean of four", count, method, area, alarms, caught, float(np.max(np.array(values)[:, 3])))


def _add(report: Report, name: str, count: int, method: str, *values: float) -> None:
    area, alarms, found, worst = (None if np.isnan(value) else float(value) for value in values)
    report.add(
        set=name, good_photos=count, method=method, auroc=area, false_alarms=alarms, worst_draw=worst, found=found
    )


def _judged(inspector: Inspector, each: Set, rows: Rows) -> list[float]:
    """AUROC, false alarms, defects found."""
    findings = [inspector.check([part[row] for part in each.maps]) for row in rows]
    alarms = np.array([not finding.is_good for finding in findings])
    bad = each.kinds[rows] != "good"
    area = _area(np.array([finding.score for finding in findings]), bad)
    return [area, float(alarms[~bad].mean()), float(alarms[bad].mean())]


def _area(scores: Floats, bad: npt.NDArray[np.bool_]) -> float:
    return auroc(np.asarray(scores[bad], np.float64), np.asarray(scores[~bad], np.float64))


def _near_copies(sets: dict[str, Set]) -> None:
    report = Report("inspection-copies", "Twenty near-copies of five parts: do good parts alarm?", reach="≤ 0.08")
    for name, each in sets.items():
        rows: dict[str, list[list[float]]] = {}
        for seed in range(DRAWS[20]):
            parts = np.random.default_rng(seed).permutation(len(each.copies[0]))[:PARTS]
            for what, burst in (("said to be bursts", True), ("not said", False)):
                samples = [
                    InspectionSample(tuple(each_map[part, copy][None] for each_map in each.copies), str(part) * burst)
                    for part in parts
                    for copy in range(COPIES)
                ]
                inspector = solve_inspector(samples)
                measured = _judged(inspector, each, each.test)
                rows.setdefault(what, []).append([*measured, float(bool(inspector.warnings))])
        for what, values in rows.items():
            area, alarms, found, warned = np.mean(values, axis=0)
            report.add(set=name, bursts=what, auroc=area, false_alarms=alarms, found=found, warned=warned)
    report.save()


def _corrections(sets: dict[str, Set]) -> None:
    report = Report(
        "inspection-corrections",
        "Twenty good photos, then k good ones of those that scored highest called fine, and any k bad ones called bad; "
        "the other half of the tests is asked",
        reach="ten of each: found ≥ 0.75 at false alarms ≤ 0.05",
    )
    means: dict[int, list[list[float]]] = {}
    for name, each in sets.items():
        rows: dict[int, list[list[float]]] = {}
        for seed, taught in enumerate(each.draws(20)):
            generator = np.random.default_rng([7, seed])
            tests = generator.permutation(each.test)
            shown, asked = tests[: len(tests) // 2], tests[len(tests) // 2 :]
            before = solve_inspector(each.samples(taught))
            good, bad = (shown[(each.kinds[shown] == "good") == wanted] for wanted in (True, False))
            scores = [before.check([part[row] for part in each.maps]).score for row in good]
            fine = good[np.argsort(scores)[::-1]]
            for count in (0, 1, 3, 5, 10):
                more = each.samples(fine[:count], "fine") + each.samples(bad[:count], "bad")
                inspector = solve_inspector(each.samples(taught) + more)
                rows.setdefault(count, []).append(_judged(inspector, each, asked))
        for count, values in rows.items():
            area, alarms, found = np.mean(values, axis=0)
            report.add(set=name, of_each=count, auroc=area, false_alarms=alarms, found=found)
            if name in MEAN_OF:
                means.setdefault(count, []).append([area, alarms, found])
    for count, values in means.items():
        area, alarms, found = np.mean(values, axis=0)
        report.add(set="mean of four", of_each=count, auroc=area, false_alarms=alarms, found=found)
    report.save()


def _pixels(tile: Set) -> None:
    report = Report(
        "inspection-pixels", "Where is the defect? tile, masks; pixel AUROC, and overlap of each region (PRO)"
    )
    broken = [row for row in tile.test if tile.kinds[row] != "good"]
    masks = [_mask(tile.names[row]) for row in broken]
    for count in DRAWS:
        rows = tile.draws(count)[0]
        inspector = solve_inspector(tile.samples(rows))
        ours = [inspector.check([part[row] for part in tile.maps]).heat for row in broken]
        peer = padim_map(tile.part(rows), tile.part(np.array(broken))).reshape(len(broken), 14, 14)
        for method, heats in (("edgetl", ours), ("PaDiM", list(peer))):
            large = [np.asarray(cv2.resize(np.asarray(heat), (SIDE, SIDE)), np.float32) for heat in heats]
            area = auroc(
                np.concatenate([heat[mask] for heat, mask in zip(large, masks, strict=True)]).astype(np.float64),
                np.concatenate([heat[~mask][::7] for heat, mask in zip(large, masks, strict=True)]).astype(np.float64),
            )
            report.add(good_photos=count, method=method, pixel_auroc=area, pro=_region_overlap(large, masks))
    report.save()


def _mask(name: str) -> npt.NDArray[np.bool_]:
    path = DATA / FOLDER / "tile" / "masks" / Path(name).parent.name / f"{Path(name).stem}.png"
    mask = read_photo(path)[:, :, 0]
    return np.asarray(cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 64)


def _region_overlap(heats: Sequence[npt.NDArray[np.float32]], masks: Sequence[npt.NDArray[np.bool_]]) -> float:
    """Mean overlap of each region, averaged over false-positive rates up to 0.3 (Bergmann et al. 2021)."""
    outside = np.sort(np.concatenate([heat[~mask][::7] for heat, mask in zip(heats, masks, strict=True)]))
    levels = outside[[int(len(outside) * (1 - rate)) - 1 for rate in np.linspace(0.003, 0.3, 60)]]
    regions = []
    for heat, mask in zip(heats, masks, strict=True):
        count, labels = cv2.connectedComponents(mask.astype(np.uint8))
        regions += [np.sort(heat[labels == label]) for label in range(1, count)]
    overlaps = [[1 - np.searchsorted(region, level) / len(region) for region in regions] for level in levels]
    return float(np.mean(overlaps))


def _cost(each: Set) -> None:
    report = Report(
        "inspection-cost",
        "What does inspection cost beyond the backbone? Processor time of one thread, medians in turn",
        reach="teaching ≤ 1.5 × the backbone, checking ≤ 1.12 ×",
    )
    plain, shown = TFLiteInterpreter(backbone()), TFLiteInterpreter(expose_inner_maps(backbone()))
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    (good, *_) = (each.names[row] for row in each.test if each.kinds[row] == "good")
    photo = View().photo(read_photo(DATA / FOLDER / "coffee" / str(good)), SIDE, SIDE)
    samples = each.samples(each.draws(20)[0])
    inspector = solve_inspector(samples)
    names = [str(index) for index in range(len(each.maps))]

    def taught() -> object:
        maps = [shown.with_maps(photo)[1] for _ in range(20)]
        return place_statistics_of([place_codes(np.stack(part)) for part in zip(*maps, strict=True)], "", "", names)

    frames = {
        "backbone": lambda: plain(photo),
        "backbone with maps": lambda: shown.with_maps(photo),
        "check a good part": lambda: inspector.check(shown.with_maps(photo)[1]),
        "check what is flagged": lambda: inspector.check(shown.with_maps(noise)[1]),
    }
    times = _processor_ms(frames, 501) | _processor_ms({"solve, 20 photos": lambda: solve_inspector(samples)}, 11)
    times["teach a photo, of 20"] = _processor_ms({"teach": taught}, 21)["teach"] / 20
    for name, value in times.items():
        report.add(what=name, ms=value, times=value / times["backbone"])
    report.save()


def _processor_ms(functions: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Median processor times of this thread for calls taken in turn, milliseconds: what else runs does not count."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(runs):
        for name, function in functions.items():
            started = time.thread_time()
            function()
            times[name].append((time.thread_time() - started) * 1e3)
    return {name: float(np.median(values)) for name, values in times.items()}


def embedded(name: str, find_part: bool) -> Set:
    """A set's photos by the backbone, kept in ``build/benchmarks``."""
    model = expose_inner_maps(backbone())
    digest = hashlib.sha256(model).hexdigest()[:12]
    path = CACHE / f"inspection-drawn-{name}-{'part' if find_part else 'frame'}-{digest}.npz"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        _embed(path, TFLiteInterpreter(model), need(DATA / FOLDER / name), View(find_part=find_part))
    with np.load(path) as file:
        stored = {key: file[key] for key in file.files}
    maps, copies = (tuple(stored[f"{what}{index}"] for index in range(3)) for what in ("map", "copy"))
    scales = stored["scales"]
    real = tuple(each.astype(np.float32) * np.float32(scale) for each, scale in zip(maps, scales, strict=True))
    pooled = CodeTransform(int(stored["zero"]), stored["pooled"].shape[1])(stored["pooled"])
    names = stored["names"]
    train = np.array([Path(each).parts[0] == "train" for each in names])
    kinds = np.array([Path(each).parts[1] for each in names])
    return Set(maps, copies, Photos(real, pooled), names, kinds, np.flatnonzero(train), np.flatnonzero(~train))


def _embed(path: Path, interpreter: TFLiteInterpreter, folder: Path, view: View) -> None:
    files = sorted(file for part in ("train", "test") for file in (folder / part).rglob("*.*"))
    generator = np.random.default_rng(0)
    taught = [file for file in files if file.parent.parent.name == "train"]
    copied_of = {taught[row] for row in generator.permutation(len(taught))[: 4 * PARTS]}  # the first are often alike
    stored: dict[str, list[Any]] = {}
    for file in files:
        frame = read_photo(file)
        raw, maps = interpreter.with_maps(_prepared(view, frame))
        stored.setdefault("pooled", []).append(raw)
        stored.setdefault("names", []).append(str(file.relative_to(folder)))
        for index, each in enumerate(maps):
            stored.setdefault(f"map{index}", []).append(each)
        if file in copied_of:
            for _ in range(COPIES):
                _, copied = interpreter.with_maps(_prepared(view, _jittered(frame, generator)))
                for index, each in enumerate(copied):
                    stored.setdefault(f"copy{index}", []).append(each)
    arrays = {name: np.stack(values) for name, values in stored.items() if name != "names"}
    for index in range(3):
        copy = arrays[f"copy{index}"]
        arrays[f"copy{index}"] = copy.reshape(-1, COPIES, *copy.shape[1:])
    arrays["scales"] = np.array([tensor.scale for tensor in interpreter.maps])
    arrays["zero"] = np.array(interpreter.output.zero_point)
    arrays["names"] = np.array(stored["names"])
    np.savez(str(path), **arrays)  # type: ignore[arg-type]


def _prepared(view: View, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    try:
        return view.photo(frame, SIDE, SIDE)
    except PhotoError:  # no part stands out
        return View().photo(frame, SIDE, SIDE)


def _jittered(frame: npt.NDArray[np.uint8], generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The same part a moment later: moved, turned and lit a little differently, with noise."""
    height, width = frame.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), generator.uniform(-1, 1), generator.uniform(0.99, 1.01))
    turn[0, 2] += generator.uniform(-0.01, 0.01) * width
    turn[1, 2] += generator.uniform(-0.01, 0.01) * height
    moved = cv2.warpAffine(frame, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    noisy = moved * generator.uniform(0.95, 1.05) + generator.normal(0, 2, frame.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
