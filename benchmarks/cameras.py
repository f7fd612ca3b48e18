"""Several cameras in one process: what do two cost, what does a dead one cost the other, and who gets how much?"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from itertools import cycle, islice
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as `edgetl-device run` sets it; NumPy reads it once

import cv2

from edgetl_device.app.pipeline import Pipeline
from edgetl_device.camera import Camera, FakeCamera, open_camera
from edgetl_device.errors import CameraError
from edgetl_device.home import Home
from edgetl_device.inference.classifier import Classifier
from edgetl_device.open_home import OpenHome
from edgetl_device.photos import Image
from edgetl_device.starter import install_starter
from edgetl_device.view_names import ViewName

from .harness import DATA, Report, need

VIDEO = "data/video/bottle-detection.mp4"
PAIRS = int(os.environ.get("CAMERAS_PAIRS", "7"))
RUN_S = float(os.environ.get("CAMERAS_RUN_S", "8"))  # of one run
SETTLE_S = 2.0  # before it is measured
FRAMES = 240


class Recorded:
    """A recording as a live camera: what nobody takes in time is gone, as with a camera."""

    live, finite = True, False

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self._film = open_camera(str(path), loop=True)

    def frames(self) -> Generator[Image, None, None]:
        """At the recording's own frame rate."""
        yield from self._film.frames()

    def close(self) -> None:
        """End it."""
        self._film.close()


class Dead:
    """A camera that is not there."""

    name, live, finite = "dead", True, False

    def frames(self) -> Generator[Image, None, None]:
        """None."""
        raise CameraError("no route to it")
        yield

    def close(self) -> None:
        """Nothing to end."""


def main() -> None:
    """Measure and save."""
    film = need(DATA / VIDEO)
    report = Report(
        "cameras",
        f"Several cameras in one process: 640 × 360 recordings, the built-in bundle, {PAIRS} pairs of runs of "
        f"{RUN_S:g} s in turn",
        reach="two streams of 15 frames/s ≤ 1.1 × one of 30 frames/s, CPU; a dead camera of two costs the other none",
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        install_starter(home)
        fast, slow = recorded(film, Path(folder), 30), recorded(film, Path(folder), 15)
        with OpenHome(home) as opened:
            classifier = Classifier(opened.backbone, opened.learner.active_head())
            costs(report, classifier, fast, slow)
            shares(report, classifier, film)
    report.save()


def recorded(film: Path, folder: Path, fps: int) -> Path:
    """The same frames at another rate, as a file whose decoding costs the same for each frame."""
    path = folder / f"{fps}.avi"
    frames = list(islice(cycle(open_camera(str(film), pace=False).frames()), FRAMES))
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def costs(report: Report, classifier: Classifier, fast: Path, slow: Path) -> None:
    """CPU of whole pipelines, pair by pair."""
    ways: dict[str, Callable[[], dict[str, Camera]]] = {
        "one of 30 frames/s": lambda: {"": Recorded(fast)},
        "two of 15 frames/s": lambda: {"a": Recorded(slow), "b": Recorded(slow)},
        "one of 15 frames/s": lambda: {"": Recorded(slow)},
        "one of 15 frames/s and a dead one": lambda: {"a": Recorded(slow), "b": Dead()},
    }
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for name, cameras in [*ways.items()] * PAIRS:
        used, rate = measured(classifier, cameras())
        cpu[name].append(used)
        rates[name].append(rate)
    for name in ways:
        report.add(figure=f"{name}: CPU seconds a second", value=statistics.median(cpu[name]), low=min(cpu[name]),
                   high=max(cpu[name]))  # fmt: skip
        report.add(figure=f"{name}: frames recognised a second", value=statistics.median(rates[name]),
                   low=min(rates[name]), high=max(rates[name]))  # fmt: skip
    for one, other in (tuple(ways)[1::-1], tuple(ways)[:1:-1]):
        each = {name: [a / b for a, b in zip(cpu[name], rates[name], strict=True)] for name in (one, other)}
        ratios = [a / b for a, b in zip(each[one], each[other], strict=True)]
        report.add(figure=f"{one} / {other}: CPU of a recognised frame", value=statistics.median(ratios),
                   low=min(ratios), high=max(ratios))  # fmt: skip


def measured(classifier: Classifier, cameras: Mapping[str, Camera]) -> tuple[float, float]:
    """CPU seconds, and frames recognised, a second of a running pipeline."""
    with Pipeline(cameras, classifier) as pipeline:
        time.sleep(SETTLE_S)
        began, cpu, frames = time.perf_counter(), time.process_time(), pipeline.health().frames
        time.sleep(RUN_S)
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
        return used / seconds, (pipeline.health().frames - frames) / seconds


def shares(report: Report, classifier: Classifier, film: Path) -> None:
    """Four cameras that all send more than the backbone can take, one of them five times as much as the others."""
    held = list(islice(cycle(open_camera(str(film), pace=False).frames()), FRAMES))
    rates = {"a": 1000.0, "b": 200.0, "c": 200.0, "d": 200.0}
    cameras = {name: FakeCamera(cycle(held), fps=fps, finite=False) for name, fps in rates.items()}
    with Pipeline(cameras, classifier) as pipeline:
        time.sleep(SETTLE_S)
        before = {name: pipeline.health(name).frames for name in cameras}
        time.sleep(RUN_S)
        found = {name: pipeline.health(name).frames - before[name] for name in cameras}
        assert all(pipeline.latest(ViewName(name)) for name in cameras)
    total = sum(found.values())
    for name, count in found.items():
        report.add(figure=f"share of camera {name}, which sends {rates[name]:g} frames/s", value=count / total)


if __name__ == "__main__":
    main()
