"""Our camera loop beside others' on the same video and bundle, in one run: frames a second, and processor time a frame.

The peers are written anew, as the published Python examples of Coral and TensorFlow Lite do it: read a frame, convert
it to RGB, resize it, set it as input, run, take the largest value; all in one thread. They know no unknown things, do
not smooth and hand nothing to a page. OpenCV's DNN module runs the same file where it can read it. tflite-runtime 2.14
needs NumPy 1 and thus an environment of its own: ``EDGETL_TFLITE_PYTHON`` names its Python (default:
``.venv-tflite/bin/python``, which `make test-tflite` makes).

Frames a second depend on what else the machine does; all loops take turns, so their ratios do so less, and processor
time does hardly.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as `edgetl-device run` sets it; NumPy reads it once

import cv2
import numpy as np

from edgetl_device.app.app import App
from edgetl_device.app.pipeline import Pipeline
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.camera import FakeCamera, open_camera
from edgetl_device.home import Home

from .camera import VIDEO, flowers_bundle
from .harness import DATA, Report, need

FRAMES = 600
ROUNDS = 5
OTHER_PYTHON = Path(os.environ.get("EDGETL_TFLITE_PYTHON", Path(__file__).parents[1] / ".venv-tflite/bin/python"))

Times = tuple[float, float]
"""Seconds by the clock, and of processor."""

_EXAMPLE = """
import json, sys, time
import cv2
import numpy as np
try:
    from tflite_runtime.interpreter import Interpreter
except ImportError:
    from ai_edge_litert.interpreter import Interpreter
model, video, frames, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
interpreter = Interpreter(model, num_threads=threads)
interpreter.allocate_tensors()
given, gives = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
height, width = given["shape"][1:3]
def loop():
    capture = cv2.VideoCapture(video)
    for _ in range(frames):
        there, frame = capture.read()
        if not there:
            capture = cv2.VideoCapture(video)
            there, frame = capture.read()
        photo = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), (width, height))
        interpreter.set_tensor(given["index"], photo[np.newaxis])
        interpreter.invoke()
        int(np.argmax(interpreter.get_tensor(gives["index"])[0]))
for line in sys.stdin:
    began, used = time.perf_counter(), time.process_time()
    loop()
    print(json.dumps([time.perf_counter() - began, time.process_time() - used]), flush=True)
"""


class Example:
    """The published way, in a process of its own that runs one loop for each line."""

    def __init__(self, python: str, model: Path, video: Path, threads: int) -> None:
        command = [python, "-c", _EXAMPLE, str(model), str(video), str(FRAMES), str(threads)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload]

    def __call__(self) -> Times:
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        seconds, used = json.loads(self._process.stdout.readline())
        return seconds, used

    def close(self) -> None:
        """End it."""
        self._process.communicate("")


def main() -> None:
    """Measure and save."""
    video = need(DATA / VIDEO)
    report = Report(
        "loops",
        f"Loops over {FRAMES} frames of a 640 × 360 video, MobileNetV2 α=0.35 @224 int8, taking turns {ROUNDS} times",
        reach="ours ≥ 0.95 of the bare interpreter from the video, ≥ 0.98 from decoded frames, and above every peer",
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.install(flowers_bundle())
        model = Path(folder) / "backbone.tflite"
        model.write_bytes(open_bundle(home.bundle_path).members["backbone.tflite"])
        found, missing = loops(home, model, video)
    bare = [seconds for seconds, _ in found["bare interpreter, prepared frames"]]
    for name, times in found.items():
        seconds = [each for each, _ in times]
        report.add(
            loop=name,
            fps=FRAMES / statistics.median(seconds),
            share_of_bare=statistics.median(b / s for b, s in zip(bare, seconds, strict=True)),
            processor_ms=statistics.median(used for _, used in times) / FRAMES * 1e3,
        )
    for name, why in missing.items():
        report.add(loop=f"{name}: {why}")
    report.save()


def loops(home: Home, model: Path, video: Path) -> tuple[dict[str, list[Times]], dict[str, str]]:
    """Each loop's times, and why others are missing."""
    ways: dict[str, Callable[[], Times]] = ours(home, video)
    missing: dict[str, str] = {}
    python = sys.executable
    examples = {"published example, LiteRT, 1 thread": Example(python, model, video, 1)}
    examples["published example, LiteRT, 2 threads"] = Example(python, model, video, 2)
    if OTHER_PYTHON.exists():
        examples["published example, tflite-runtime 2.14"] = Example(str(OTHER_PYTHON), model, video, 1)
    else:
        missing["published example, tflite-runtime 2.14"] = f"no {OTHER_PYTHON}"
    ways |= examples
    try:
        ways["OpenCV's DNN"] = opencv(model, video)
    except cv2.error as error:
        missing["OpenCV's DNN"] = " ".join(str(error.err or error).split())[:120]
    times: dict[str, list[Times]] = {name: [] for name in ways}
    for name, way in [*ways.items()] * (ROUNDS + 1):
        times[name].append(way())
    for example in examples.values():
        example.close()
    return {name: each[1:] for name, each in times.items()}, missing  # the first round warms up


def ours(home: Home, video: Path) -> dict[str, Callable[[], Times]]:
    """The bare interpreter, and our loop on top of it."""
    with App(home, open_camera(str(video))) as app:
        classifier = app._learner.classifier(app._backbone)
    interpreter, preprocessing = classifier.backbone.interpreter, classifier.backbone.preprocessing
    held = list(islice(open_camera(str(video), pace=False, loop=True).frames(), 240))
    photos = [preprocessing(image) for image in held]

    def bare() -> None:
        for photo in islice(cycle(photos), FRAMES):
            interpreter(photo)

    def loop(decoded: bool) -> None:
        camera = FakeCamera([*islice(cycle(held), FRAMES)], live=False) if decoded else None
        pipeline = Pipeline(camera or open_camera(str(video), pace=False, loop=True), classifier, max_frames=FRAMES)
        with pipeline:
            pipeline.wait()
            assert pipeline.health().frames == FRAMES

    return {
        "bare interpreter, prepared frames": lambda: timed(bare),
        "edgetl, from the video": lambda: timed(lambda: loop(False)),
        "edgetl, from decoded frames": lambda: timed(lambda: loop(True)),
    }


def opencv(model: Path, video: Path) -> Callable[[], Times]:
    """OpenCV's own inference; raises cv2.error where it cannot read or run the file."""
    network = cv2.dnn.readNetFromTFLite(str(model))
    capture = open_camera(str(video), pace=False, loop=True).frames()

    def loop(frames: int = FRAMES) -> None:
        for image in islice(capture, frames):
            network.setInput(cv2.dnn.blobFromImage(image, 1.0, (224, 224), swapRB=True))
            int(np.argmax(network.forward()))

    loop(1)
    return lambda: timed(loop)


def timed(call: Callable[[], object]) -> Times:
    """Seconds by the clock and of this process's processors."""
    began, used = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - began, time.process_time() - used


if __name__ == "__main__":
    main()
