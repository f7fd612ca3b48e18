"""The whole story on one machine, offline: every number is measured while it runs.

Four kinds are trained at the factory. A device meets them in dim light together with a fifth kind, learns from ten
photos of each that a person labels, keeps what it knew, forgets one label exactly, and goes back to an earlier version.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from edgetl_device import parts
from edgetl_device.console import note
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.files import write_atomically
from edgetl_device.home import Home
from edgetl_device.inference.backbone import Backbone, open_backbone
from edgetl_device.inference.classifier import Prediction
from edgetl_device.learning.learner import Learner
from edgetl_device.metrics import wilson_interval
from edgetl_device.percent import percent
from edgetl_device.photos import Image, read_photo

from .backbones.backbone import BackboneSpec
from .conversion.convert import Options, convert_run
from .data.datasets import find_photos, split
from .reports.intervals import spread
from .reports.page import Gallery, Heading, Part, Picture, Table, Text, page
from .training.train import train_head

Labelled = list[tuple[str, Image]]

SHOTS = 10  # photos of each kind that the person labels
TESTS = 30  # photos of each of a user's classes that the device is tried on, at most
KNOWN = ("bolt", "gear", "nut", "spring")
NEW = "hinge"


@dataclass(frozen=True)
class World:
    """The photos of the story.

    Args:
        factory: folder with one folder per known class.
        new: the class that the factory did not know.
        usual: photos of known classes as at the factory, seen by no training.
        changed: photos of all classes under the device's light, seen by no training.
        shown: what the person labels on the device, ``SHOTS`` of each class.
    """

    factory: Path
    new: str
    usual: Labelled
    changed: Labelled
    shown: Labelled


@dataclass(frozen=True)
class PhotoSet:
    """The photos that a step is tried on: only accuracies on the same ones can be compared."""

    name: str
    samples: int


@dataclass
class Step:
    """One line of the story: an accuracy, and the photos it was measured on."""

    name: str
    accuracy: float
    seconds: float
    detail: str
    photos: PhotoSet

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy (Wilson)."""
        return wilson_interval(round(self.accuracy * self.photos.samples), self.photos.samples)


@dataclass
class Story:
    """What happened, and the page's parts."""

    steps: list[Step] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    tell: Callable[[Step], None] = lambda step: None

    def add(self, name: str, accuracy: float, seconds: float, detail: str, photos: PhotoSet) -> None:
        """Record a step and tell it at once."""
        step = Step(name, accuracy, seconds, detail, photos)
        self.steps.append(step)
        self.tell(step)


def parts_world(folder: Path) -> World:
    """The built-in world: rendered machine parts, normal light at the factory, dim light on the device."""
    parts.write_photos(folder / "factory", kinds=KNOWN, per_class=80, seed=1)
    everything = (*KNOWN, NEW)
    return World(
        folder / "factory",
        NEW,
        list(parts.photos(KNOWN, 25, "normal", seed=2)),
        list(parts.photos(everything, 25, "dim", seed=3)),
        list(parts.photos(everything, SHOTS, "dim", seed=4)),
    )


def own_world(photos: Path, folder: Path) -> World:
    """The same story on a user's folders: the last class is the new one, dim light is simulated.

    Raises:
        InputError: fewer than three classes, or a class with fewer than 30 photos that can be read.
    """
    dataset = find_photos(photos)
    if len(dataset.classes) < 3:
        raise InputError(f"the story needs at least 3 classes, {photos} has {len(dataset.classes)}")
    generator = np.random.default_rng(0)
    usual: Labelled = []
    changed: Labelled = []
    shown: Labelled = []
    *known, new = dataset.classes
    files, labels = dataset.files(), np.asarray(dataset.labels)
    for label in dataset.classes:
        rows = generator.permutation(np.flatnonzero(labels == label))[:160]
        readable = [files[row] for row in rows if _is_readable(files[row])]
        if len(readable) < 3 * SHOTS:
            raise InputError(
                f"the story needs at least {3 * SHOTS} photos of each class that can be read, "
                f"{label!r} has {len(readable)}"
            )
        half = len(readable) // 2
        held = [(label, read_photo(path)) for path in readable[: min(half, SHOTS + TESTS)]]
        shown += [(label, dimmed(photo, generator)) for _, photo in held[:SHOTS]]
        tests = held[SHOTS:]
        changed += [(label, dimmed(photo, generator)) for _, photo in tests]
        if label in known:
            usual += tests
            (folder / "factory" / label).mkdir(parents=True)
            for number, path in enumerate(readable[half:]):
                target = folder / "factory" / label / f"{number:04}{path.suffix.lower()}"
                target.write_bytes(path.read_bytes())
    return World(folder / "factory", new, usual, changed, shown)


def _is_readable(path: Path) -> bool:
    try:
        read_photo(path)
    except PhotoError as error:
        note(f"skipped: {error}")
        return False
    return True


def dimmed(photo: Image, generator: np.random.Generator) -> Image:
    """A photo as in dim, warm light: a third of the light, less blue, sensor noise."""
    light = photo.astype(np.float32) * np.array([0.22, 0.3, 0.36], np.float32)
    noisy = light + generator.normal(0, 5, photo.shape).astype(np.float32)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def run(world: World, spec: BackboneSpec, folder: Path, story: Story) -> None:
    """Live through the story; ``folder`` takes run, bundle and device home."""
    backbone, learner = _factory(world, spec, folder, story)
    _meet(world, backbone, learner, story)
    _learn(world, backbone, learner, story)
    _forget(world, backbone, learner, story)


def write_page(story: Story, path: Path, seconds: float, backbone: str) -> None:
    """The story as one HTML page; ``backbone`` says which it was and why."""
    rows = [(step.name, f"{step.seconds:.1f} s", step.detail) for step in story.steps]
    opening: list[Part] = [
        Text(f"Everything here was measured in this run, which took {seconds:.0f} s.", strong=True),
        Text(f"Nothing was downloaded. The backbone is {backbone}."),
        *_accuracies(story.steps),
        Heading("What happened"),
        Table(("step", "time", ""), rows, remarks=True),
    ]
    write_atomically(path, page("edgetl: a camera that learns on the spot", [*opening, *story.parts]))


def _accuracies(steps: Sequence[Step]) -> Iterator[Part]:
    """A table for each set of photos: what was measured on different ones does not stand in one column."""
    for photos in dict.fromkeys(step.photos for step in steps):
        rows = [(step.name, step.accuracy, spread(step.interval)) for step in steps if step.photos == photos]
        yield Text(f"On {photos.samples} photos {photos.name}:")
        yield Table(("step", "accuracy", "95 % interval"), rows, shade=(1,))


def _factory(world: World, spec: BackboneSpec, folder: Path, story: Story) -> tuple[Backbone, Learner]:
    started = time.perf_counter()
    dataset = split(find_photos(world.factory), 0.25, 0)
    trained = train_head(dataset, spec, folder / "run", force=True)
    story.add(
        "train at the factory",
        trained.accuracy,
        time.perf_counter() - started,
        f"{len(dataset)} photos of {', '.join(dataset.classes)}; "
        f"backbone {spec.name} α={spec.alpha}, {spec.weights} weights",
        held_out := PhotoSet("held out", len(trained.dataset.rows("val", "test"))),
    )
    started = time.perf_counter()
    # The story goes on if int8 costs a photo or two of these small test sets; `edgetl convert` would refuse.
    options = Options(max_drop=0.05)
    done = convert_run(trained, folder / "demo.edgetl", options)
    story.add(
        "convert to int8",
        done.parity.converted_accuracy,
        time.perf_counter() - started,
        f"{done.size_bytes / 1e6:.1f} MB; {percent(done.parity.agreement)} same labels as the float model; "
        f"{done.ops['float']} of {done.ops['total']} operators float",
        held_out,
    )
    started = time.perf_counter()
    home = Home(folder / "device")
    bundle, agreement = home.install(folder / "demo.edgetl")
    learner = home.learner()
    backbone = open_backbone(bundle)
    usual = _classify(world.usual, backbone, learner)
    story.add(
        "install on the device",
        accuracy(world.usual, usual),
        time.perf_counter() - started,
        f"self-check {percent(agreement)}; {len(usual)} photos it has never seen, in the factory's light",
        _usual(world),
    )
    story.parts += [Heading("At the factory"), _gallery(world.usual, usual, 8)]
    return backbone, learner


def _meet(world: World, backbone: Backbone, learner: Learner, story: Story) -> None:
    started = time.perf_counter()
    predictions = _classify(world.changed, backbone, learner)
    strange = [p.unknown for (label, _), p in zip(world.changed, predictions, strict=True) if label == world.new]
    alarms = [p.unknown for (label, _), p in zip(world.changed, predictions, strict=True) if label != world.new]
    story.add(
        f"meet dim light and {world.new}",
        accuracy(world.changed, predictions),
        time.perf_counter() - started,
        f"{sum(strange)} of {len(strange)} {world.new} photos flagged unknown, and {sum(alarms)} of {len(alarms)} "
        f"photos of known kinds; {len(alarms) / len(predictions):.3f} is the most while nobody taught it {world.new}",
        _changed(world.changed),
    )
    story.parts += [Heading(f"The device meets dim light and {world.new}"), _gallery(world.changed, predictions, 10)]


def _learn(world: World, backbone: Backbone, learner: Learner, story: Story) -> None:
    started = time.perf_counter()
    for label in sorted({label for label, _ in world.shown}):
        shots = [photo for name, photo in world.shown if name == label]
        learner.add(label, np.stack([backbone.embed(photo) for photo in shots]))
    outcome = learner.retrain()
    predictions = _classify(world.changed, backbone, learner)
    story.add(
        f"a person labels {SHOTS} photos of each",
        accuracy(world.changed, predictions),
        time.perf_counter() - started,
        f"{outcome.reason}; retrained in {outcome.retrain_ms:.0f} ms",
        _changed(world.changed),
    )
    started = time.perf_counter()
    usual = _classify(world.usual, backbone, learner)
    story.add(
        "what it knew before",
        accuracy(world.usual, usual),
        time.perf_counter() - started,
        "the same factory photos as above, not forgotten",
        _usual(world),
    )
    story.parts += [Heading("After learning"), _gallery(world.changed, predictions, 10)]


def _forget(world: World, backbone: Backbone, learner: Learner, story: Story) -> None:
    started = time.perf_counter()
    learned = learner.device_statistics()
    ids = [row.id for row in learner.samples(world.new)]
    kept = [(label, photo) for label, photo in world.shown if label != world.new]
    learner.forget(ids)
    outcome = learner.retrain()
    without = learner.device_statistics()
    fresh = _never_learned(kept, backbone, learner)
    exact = "byte for byte" if without.to_bytes() == fresh else "NOT exactly"
    old = [item for item in world.changed if item[0] != world.new]
    story.add(
        f"forget {world.new}",
        accuracy(old, _classify(old, backbone, learner)),
        time.perf_counter() - started,
        f"{len(ids)} of {learned.samples} samples; statistics are {exact} those of a device that never saw it; "
        f"retrained in {outcome.retrain_ms:.0f} ms",
        _changed(old, ", known kinds"),
    )
    started = time.perf_counter()
    version = learner.rollback(1)
    story.add(
        "roll back",
        accuracy(world.usual, _classify(world.usual, backbone, learner)),
        time.perf_counter() - started,
        f"version {version}, as it came from the factory, on the factory's photos",
        _usual(world),
    )


def _usual(world: World) -> PhotoSet:
    return PhotoSet("in factory light", len(world.usual))


def _changed(photos: Labelled, which: str = "") -> PhotoSet:
    return PhotoSet(f"in dim light{which}", len(photos))


def _never_learned(shown: Labelled, backbone: Backbone, learner: Learner) -> bytes:
    from edgetl_device.statistics import statistics_of

    raw = np.stack([backbone.embed(photo) for _, photo in shown])
    labels = [label for label, _ in shown]
    projection = learner.factory.statistics.projection
    return statistics_of(backbone.codes(raw), labels, backbone.digest, learner.runtime, projection).to_bytes()


def _classify(photos: Labelled, backbone: Backbone, learner: Learner) -> list[Prediction]:
    classifier = learner.classifier(backbone)
    return [classifier.classify(photo) for _, photo in photos]


def accuracy(photos: Labelled, predictions: Sequence[Prediction]) -> float:
    """Share of photos whose top label is right; a class that nobody taught counts as wrong, as it is for the user."""
    return float(np.mean([label == p.label for (label, _), p in zip(photos, predictions, strict=True)]))


def _gallery(photos: Labelled, predictions: Sequence[Prediction], count: int) -> Gallery:
    def pictures() -> Iterator[Picture]:
        step = max(len(photos) // count, 1)
        for (label, photo), prediction in list(zip(photos, predictions, strict=True))[::step][:count]:
            said = "unknown" if prediction.unknown else f"{prediction.label} {prediction.probability:.2f}"
            mark = "?" if prediction.unknown else "✓" if prediction.label == label else "✗"
            side = min(photo.shape[:2])
            small = cv2.resize(photo[:side, :side], (160, 160), interpolation=cv2.INTER_AREA)
            yield Picture(np.asarray(small, np.uint8), f"{mark} {label}: {said}")

    return Gallery(list(pictures()))
