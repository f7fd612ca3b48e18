"""From capture to label: how much longer than decoding, preprocessing and the backbone take by themselves?

    python -m benchmarks.latency

A live camera gives a JPEG of 640 × 360 at 30 frames a second, as USB cameras do. The peer does with each frame, on one
thread and at the same pace, what cannot be left out, and nothing else: so its caches are as cold as those of the app.
Viewers take every picture that they are offered, in a process of their own.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as `edgetl-device run` sets it; NumPy reads it once

import cv2
import numpy as np

from edgetl_device.app.app import App
from edgetl_device.app.subscription import Recognition
from edgetl_device.camera import open_camera
from edgetl_device.home import Home
from edgetl_device.inference.backbone import Backbone
from edgetl_device.photos import Image
from edgetl_device.web import serve

from .camera import VIDEO, flowers_bundle
from .harness import DATA, Report, need
from .web import viewers

FPS = 30.0
HELD = 120  # JPEGs, again and again
SECONDS = 8.0
WARM_S = 2.0
ROUNDS = 5
WATCHING = (0, 1, 4)


class JpegCamera:
    """Gives JPEGs at a pace and notes when it had each one, before it decoded it."""

    name, live, finite = "JPEG", True, False

    def __init__(self, jpegs: list[np.ndarray]) -> None:
        self._jpegs = jpegs
        self.taken_s: list[float] = []

    def frames(self) -> Generator[Image, None, None]:
        """At the pace; forever."""
        for jpeg in paced(self._jpegs):
            self.taken_s.append(time.monotonic())
            yield decoded(jpeg)

    def close(self) -> None:
        """Nothing is open."""


def paced(jpegs: list[np.ndarray]) -> Iterator[np.ndarray]:
    """So many a second, whatever is done with them."""
    next_s = time.monotonic()
    for jpeg in cycle(jpegs):
        next_s += 1 / FPS
        time.sleep(max(0.0, next_s - time.monotonic()))
        yield jpeg


def decoded(jpeg: np.ndarray) -> Image:
    """(h, w, 3) uint8 BGR."""
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)


def main() -> None:
    """Measure and save."""
    video = need(DATA / VIDEO)
    film = islice(open_camera(str(video), pace=False).frames(), HELD)
    jpegs = [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1] for image in film]
    report = Report(
        "latency",
        "From capture to label of a live camera: JPEGs of 640 × 360 at 30 a second, MobileNetV2 α=0.35 @224 int8",
        reach="at most 1.15 times decoding, preprocessing and inference, with one and with four viewers",
    )
    waited: dict[int, list[float]] = {count: [] for count in WATCHING}
    alone: dict[int, list[float]] = {count: [] for count in WATCHING}
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.install(flowers_bundle())
        with App(home, JpegCamera(jpegs)) as app:
            backbone = app._backbone
        for _ in range(ROUNDS):
            for count in WATCHING:
                waited[count].append(to_labels_ms(home, jpegs, count))
                alone[count].append(needed_ms(backbone, jpegs))
    for count in WATCHING:
        report.add(
            viewers=count,
            to_label_ms=statistics.median(waited[count]),
            needed_ms=statistics.median(alone[count]),
            ratio=statistics.median(a / b for a, b in zip(waited[count], alone[count], strict=True)),
        )
    report.save()


def to_labels_ms(home: Home, jpegs: list[np.ndarray], count: int) -> float:
    """Median from capture until a label is handed to listeners, with so many viewers."""
    camera, latencies = JpegCamera(jpegs), list[float]()
    with App(home, camera) as app, serve(app, port=0) as server, watching(server.url, count):
        hand_out = app.pipeline._deliver

        def timed(recognition: Recognition) -> None:
            hand_out(recognition)
            latencies.append(time.monotonic() - camera.taken_s[recognition.frame.number - 1])

        time.sleep(WARM_S)
        app.pipeline._deliver = timed  # type: ignore[method-assign]
        time.sleep(SECONDS)
    return statistics.median(latencies) * 1e3


def needed_ms(backbone: Backbone, jpegs: list[np.ndarray]) -> float:
    """Median of what cannot be left out, at the same pace."""
    latencies = []
    for jpeg in islice(paced(jpegs), round((WARM_S + SECONDS) * FPS)):
        began = time.monotonic()
        backbone.interpreter(backbone.preprocessing(decoded(jpeg)))
        latencies.append(time.monotonic() - began)
    return statistics.median(latencies[round(WARM_S * FPS) :]) * 1e3


@contextmanager
def watching(url: str, count: int) -> Iterator[None]:
    """So many eager viewers in another process."""
    command = [sys.executable, "-m", "benchmarks.latency", "--watch", url, str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        yield
        process.stdin.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--watch"]:
        with viewers(sys.argv[2], int(sys.argv[3]), eager=True):
            print("watching", flush=True)
            sys.stdin.read()
    else:
        main()
