"""The camera app: what does it cost beyond the bare interpreter, and what do viewers, teaching and stopping cost it?"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import cycle, islice, pairwise
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as `edgetl-device run` sets it; NumPy reads it once

from edgetl_device.app.app import App
from edgetl_device.app.pipeline import Pipeline
from edgetl_device.app.subscription import Recognition
from edgetl_device.camera import FakeCamera, open_camera
from edgetl_device.home import Home

from .arrow import BIN, edgetl, train_flowers
from .harness import DATA, Report, need
from .situations import CACHE

VIDEO = "data/video/bottle-detection.mp4"
ROUNDS = 5
LISTENERS = 4
HELD = 240  # decoded frames kept in memory, played again and again
TAUGHT = 40  # frames a burst
RETRAININGS = 10


def flowers_bundle() -> Path:
    """A bundle that knows five flowers, made once."""
    path = CACHE / "flowers.edgetl"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            train_flowers(run)
            edgetl("convert", run, "-o", path)
    return path


def main() -> None:
    """Measure and save."""
    video = need(DATA / VIDEO)
    report = Report(
        "camera",
        "The camera app on a 640 × 360 video, MobileNetV2 α=0.35 @224 int8, one thread",
        reach="whole loop ≥ 0.90 of the bare interpreter; 4 stalled listeners cost ≤ 5 %; no gap > 100 ms while "
        "retraining; ended 2 s after SIGTERM",
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.install(flowers_bundle())
        rates(report, home, video)
        gaps(report, home, video)
        endings(report, home, video)
    report.save()


def rates(report: Report, home: Home, video: Path) -> None:
    """Frames a second: bare, whole loop, with listeners that take nothing; in turn, and each warm.

    Cores that slept while one thread computed are slow to wake: the first seconds after a change say little.
    """
    with App(home, open_camera(str(video))) as app:
        classifier = app._learner.classifier(app._backbone)
    interpreter, preprocessing = classifier.backbone.interpreter, classifier.backbone.preprocessing
    photos = [preprocessing(image) for image in open_camera(str(video), pace=False).frames()]

    def bare() -> None:
        for photo in photos:
            interpreter(photo)

    held = list(islice(open_camera(str(video), pace=False).frames(), HELD))

    def loop(listeners: int = 0, decoded: bool = False) -> None:
        camera = FakeCamera([*islice(cycle(held), len(photos))], live=False) if decoded else None
        pipeline = Pipeline(camera or open_camera(str(video), pace=False), classifier)
        with ExitStack() as stack:
            for _ in range(listeners):
                stack.enter_context(pipeline.subscribe())
            with pipeline:
                pipeline.wait()
                assert pipeline.health().frames == len(photos)

    ways: dict[str, Callable[[], None]] = {"bare": bare, "loop": loop, "stalled": partial(loop, LISTENERS)}
    ways["decoded"] = partial(loop, decoded=True)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for name, way in [*ways.items()] * ROUNDS:
        way()
        began = time.perf_counter()
        way()
        found[name].append(len(photos) / (time.perf_counter() - began))
    median = {name: statistics.median(values) for name, values in found.items()}
    share = statistics.median(a / b for a, b in zip(found["loop"], found["bare"], strict=True))
    stalled = statistics.median(a / b for a, b in zip(found["stalled"], found["loop"], strict=True))
    report.add(figure="bare interpreter on prepared frames, frames/s", value=median["bare"])
    report.add(figure="whole loop: decode, prepare, embed, head, smooth, hand out, frames/s", value=median["loop"])
    report.add(figure="whole loop / bare interpreter", value=share)
    decoded = statistics.median(a / b for a, b in zip(found["decoded"], found["bare"], strict=True))
    report.add(figure="the same from frames that need no decoding / bare interpreter", value=decoded)
    report.add(figure=f"with {LISTENERS} stalled listeners / without", value=stalled)


def gaps(report: Report, home: Home, video: Path) -> None:
    """The longest time between two recognised frames of a camera at 30 frames a second."""
    with App(home, open_camera(str(video), loop=True)) as app, app.pipeline.subscribe() as subscription:
        times: list[float] = []
        hand_out = app.pipeline._deliver

        def timed(recognition: Recognition) -> None:
            hand_out(recognition)
            times.append(time.monotonic())

        app.pipeline._deliver = timed  # type: ignore[method-assign]
        while subscription.get(10) is None:
            pass
        time.sleep(4)
        quiet, stored_ms, outcomes = longest_ms(times), [], []
        for number in range(RETRAININGS):
            burst = [recognition for _ in range(TAUGHT) if (recognition := subscription.get(1)) is not None]
            if number == 0:
                times.clear()
            began = time.perf_counter()
            app.teach(f"bottle {number % 2}", burst)
            stored_ms.append((time.perf_counter() - began) * 1e3)
            outcomes.append(app.retrain(accept_scene_change=True))
        report.add(figure="longest gap between frames of a 30 frames/s video, ms", value=quiet)
        report.add(figure=f"the same during {RETRAININGS} retrainings, ms", value=longest_ms(times))
        report.add(figure=f"storing {TAUGHT} frames, durable, median ms", value=statistics.median(stored_ms))
        report.add(figure="retraining, median ms", value=statistics.median(o.retrain_ms for o in outcomes))
        report.add(figure="frames dropped", value=app.pipeline.health().dropped)


def longest_ms(times: list[float]) -> float:
    """Milliseconds."""
    return max(b - a for a, b in pairwise(times)) * 1e3


def endings(report: Report, home: Home, video: Path) -> None:
    """From SIGTERM to the end of a real process."""
    command = [str(BIN / "edgetl-device"), "--home", str(home.folder), "run", "--no-web", "--jsonl"]
    command += ["--loop", "--camera", str(video)]
    seconds = []
    for _ in range(ROUNDS):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        began = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        if process.wait() != 0:
            sys.exit("it did not end in order")
        seconds.append(time.perf_counter() - began)
    report.add(figure="from SIGTERM to the end of the process, longest s", value=max(seconds))


if __name__ == "__main__":
    main()
