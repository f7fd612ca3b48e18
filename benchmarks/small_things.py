"""Small things in a large frame: the whole frame against a region and against find-and-zoom.

    python -m benchmarks.small_things [SET…]

Things are held-out photos pasted into scenes of 640 × 480 that are photos of another set, at a quarter, half and all of
the frame's height. The empty scene was seen under other light, with other noise. Constants of find-and-zoom were
chosen on flowers; litter (trashnet) and hands (rps) confirm them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgetl.data.datasets import find_photos
from edgetl_device.codes import Codes, CodeTransform
from edgetl_device.empty_scene import EmptyScene
from edgetl_device.heads.evidence import gather
from edgetl_device.heads.head import Head, fit_head
from edgetl_device.heads.registry import DEFAULT
from edgetl_device.inference.backbone import Backbone
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.looking import Looking
from edgetl_device.photos import Image, read_photo
from edgetl_device.preprocess import Preprocessing
from edgetl_device.region import UNIT
from edgetl_device.statistics import statistics_of
from edgetl_device.view import View

from .harness import DATA, Report, need, saved
from .situations import BACKBONE, FOLDERS, backbone, embeddings

HEIGHT, WIDTH = 480, 640
THINGS = {"flowers": "art", "trashnet": "flowers", "rps": "cartoon"}  # set of things → set of scenes
SIZES = {"a quarter": 0.25, "half": 0.5, "all": 1.0}  # of the frame's height
TESTED, TAUGHT = 100, 5  # things of a set, and of a class where it is taught in the view
FACTORY = Preprocessing(224, 224)
VIEWS = ("whole frame", "region", "find and zoom")


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame with a thing, its label, where a person would have drawn the region, and the empty scene."""

    frame: Image
    label: str
    box: tuple[int, int, int, int]
    region: tuple[int, int, int, int]
    empty: EmptyScene

    def looking(self, view: str) -> Looking:
        """How it is looked at."""
        if view == "region":
            return Looking(FACTORY, View(self.region))
        return Looking(FACTORY, View(zoom=True), self.empty) if view == "find and zoom" else Looking(FACTORY)


def main(only: set[str]) -> None:
    """Measure and save."""
    earlier = saved("small_things")["rows"] if only else []
    report = Report(
        "small_things",
        f"Accuracy on {TESTED} held-out things pasted into frames of {WIDTH} x {HEIGHT}, head of the factory / taught "
        f"{TAUGHT} of each class in the same view; share of things that were found; {BACKBONE}",
        reach="at a quarter of the frame, region and find-and-zoom at least twice the whole frame",
    )
    for name in THINGS:
        for size, share in SIZES.items():
            known = next((row for row in earlier if (row["things"], row["of the frame"]) == (name, size)), None)
            if known is None or name in only:
                known = {"things": name, "of the frame": size} | measured(name, share)
                print(known, flush=True)
            report.add(**known)
    report.save(f"sets other than {', '.join(sorted(only))}" if only else "")


def measured(name: str, share: float) -> dict[str, Any]:
    """View → accuracy with the factory's head, and with one taught in the view; how often the thing is found."""
    tests, lessons = list(shots(name, share, TESTED, 1)), list(shots(name, share, TAUGHT * len(classes(name)), 2))
    truth = np.array([shot.label for shot in tests])
    cells = dict[str, Any]()
    for view in VIEWS:
        codes, taught = seen(tests, view), seen(lessons, view)
        own = head_of(taught, np.array([shot.label for shot in lessons]))
        cells[view] = f"{right(factory(name), codes, truth):.2f} / {right(own, codes, truth):.2f}"
    cells["found"] = f"{np.mean([found(shot) for shot in tests]):.2f}"
    cells["found where nothing is"] = f"{np.mean([found_nothing(shot) for shot in tests]):.2f}"
    return cells


def shots(name: str, share: float, count: int, seed: int) -> Iterator[Shot]:
    """Held-out things of all classes in turn, each in a scene of its own."""
    rng, scenes = np.random.default_rng([seed, int(100 * share)]), photos(THINGS[name])
    for number in range(count):
        label = classes(name)[number % len(classes(name))]
        files = held_out(name, label)
        half = files[::2] if seed == 1 else files[1::2]  # what is tested is never taught
        thing = _square(read_photo(half[int(rng.integers(len(half)))]))
        background = _wide(read_photo(scenes[int(rng.integers(len(scenes)))]))
        scene = np.asarray(cv2.resize(background, (WIDTH, HEIGHT)), np.uint8)
        side = round(share * HEIGHT)
        x, y = int(rng.integers(WIDTH - side + 1)), int(rng.integers(HEIGHT - side + 1))
        frame = scene.copy()
        frame[y : y + side, x : x + side] = cv2.resize(thing, (side, side), interpolation=cv2.INTER_AREA)
        yield Shot(
            _photographed(frame, rng), label, (x, y, side, side), _drawn(x, y, side, rng),
            EmptyScene.of(_photographed(scene, rng)),
        )  # fmt: skip


def seen(shots: list[Shot], view: str) -> Codes:
    """(n, d) codes of what a view shows the backbone."""
    embedder = _embedder()
    return embedder.codes(np.stack([embedder.embed_photo(shot.looking(view)(shot.frame)) for shot in shots]))


def found(shot: Shot) -> bool:
    """Whether what was found holds four fifths of the thing, and is at most three times as large."""
    box = shot.empty.find(shot.frame, (0, 0, WIDTH, HEIGHT))
    x, y, width, height = shot.box
    if box is None:
        return False
    left, top, right, bottom = box
    across, down = min(right, x + width) - max(left, x), min(bottom, y + height) - max(top, y)
    whole = (right - left) * (bottom - top) <= 3 * width * height or min(right - left, bottom - top) >= HEIGHT
    return across > 0 and down > 0 and across * down >= 0.8 * width * height and whole


def found_nothing(shot: Shot) -> bool:
    """Whether something is found where nothing is: the empty scene once more, with other light and noise."""
    scale = WIDTH // shot.empty.picture.shape[1]
    scene = np.repeat(np.repeat(shot.empty.picture, scale, 0), scale, 1)
    again = _photographed(scene, np.random.default_rng(shot.box))
    return shot.empty.find(again, (0, 0, WIDTH, HEIGHT)) is not None


def right(head: Head, codes: Codes, truth: npt.NDArray[np.str_]) -> float:
    """Share of right labels."""
    labels = np.array(head.labels)
    return float((labels[head.predict(codes)[0].argmax(axis=1)] == truth).mean())


def head_of(codes: Codes, labels: npt.NDArray[np.str_]) -> Head:
    """What is solved from some codes."""
    own = statistics_of(codes, tuple(str(label) for label in labels), "backbone", "runtime")
    none = np.zeros((0, codes.shape[1]), np.uint8)
    return fit_head(gather(own, codes, tuple(str(label) for label in labels), none, (), "runtime"), DEFAULT)


@cache
def factory(name: str) -> Head:
    """The head of four fifths of the photos, as they are."""
    codes, labels = embeddings(name)
    return head_of(codes[_trained(labels)], labels[_trained(labels)])


@cache
def held_out(name: str, label: str) -> list[Path]:
    """The photos of a class that the factory did not see."""
    dataset = find_photos(need(DATA / FOLDERS[name]))
    rows = [row for row in range(len(dataset)) if dataset.labels[row] == label]
    return [dataset.files()[row] for row in rows[-(len(rows) // 5) :]]


@cache
def classes(name: str) -> list[str]:
    return sorted(find_photos(need(DATA / FOLDERS[name])).classes)


@cache
def photos(name: str) -> list[Path]:
    return find_photos(need(DATA / FOLDERS[name])).files()


def _trained(labels: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
    """All but the last fifth of each class."""
    kept = np.ones(len(labels), bool)
    for label in set(labels):
        rows = np.flatnonzero(labels == label)
        kept[rows[-(len(rows) // 5) :]] = False
    return kept


@cache
def _embedder() -> Backbone:
    interpreter = TFLiteInterpreter(backbone(), threads=1)
    transform = CodeTransform(interpreter.output.zero_point, interpreter.output.shape[1])
    return Backbone(interpreter, FACTORY, transform, "backbone")


def _photographed(scene: Image, rng: np.random.Generator) -> Image:
    """Once more: other light as a whole, noise, and JPEG."""
    noisy = scene * rng.uniform(0.9, 1.1) + rng.normal(0, 3, scene.shape)
    encoded = cv2.imencode(".jpg", np.clip(noisy, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)


def _drawn(x: int, y: int, side: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A region as a person draws it: a fifth larger on each side, a tenth beside."""
    larger = side * 7 // 5
    left, top = (round(place + (side - larger) / 2 + rng.uniform(-0.1, 0.1) * side) for place in (x, y))
    left, top = min(max(left, 0), max(WIDTH - larger, 0)), min(max(top, 0), max(HEIGHT - larger, 0))
    across, down = min(larger, WIDTH), min(larger, HEIGHT)
    return left * UNIT // WIDTH, top * UNIT // HEIGHT, across * UNIT // WIDTH, down * UNIT // HEIGHT


def _square(photo: Image) -> Image:
    left, top, right, bottom = FACTORY.part(photo)
    return photo[top:bottom, left:right]


def _wide(photo: Image) -> Image:
    left, top, right, bottom = Preprocessing(HEIGHT, WIDTH).part(photo)
    return photo[top:bottom, left:right]


if __name__ == "__main__":
    main(set(sys.argv[1:]))
