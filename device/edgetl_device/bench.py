"""Latency, throughput, memory and retraining time of this device with its bundle; nothing in the home is changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from .doctor.check import System
from .doctor.hardware import processor_temperature
from .environment import available_runtimes
from .errors import EdgetlError, InputError
from .heads.head import fit_head
from .home import Home
from .inference.backbone import open_backbone
from .inference.classifier import Classifier
from .inference.thread_count import cores

FRAME = (480, 640)  # height and width: what a camera delivers
_WARM_UP = 5
_REPEATS = 3


@dataclass(frozen=True)
class Measured:
    """One configuration.

    Args:
        runtime, threads, xnnpack: what computed.
        latency_ms: p50, p95 and p99 from frame to prediction, milliseconds.
        fps: frames a second, one after the other.
        rss_bytes: memory of the process that did it.
        retrain_ms: of a new head on everything known, milliseconds.
        temperature_celsius: of the processor at the end; None without a sensor.
    """

    runtime: str
    threads: int
    xnnpack: bool
    latency_ms: dict[str, float]
    fps: float
    rss_bytes: int
    retrain_ms: float
    temperature_celsius: float | None


def measure(home: Home, runtime: str, threads: int | None, runs: int) -> Measured:
    """Classify ``runs`` frames as a camera delivers them, and fit a head, in this process."""
    learner = home.learner(runtime)
    if threads is None:
        threads = home.best_threads(learner.bundle, runtime)
    backbone = open_backbone(learner.bundle, runtime, threads)
    evidence = learner.evidence()
    head = learner.active_head()
    classifier = Classifier(backbone, head)
    frames = _frames()
    for _ in range(_WARM_UP):
        classifier.classify(next(frames))
    times = []
    for _ in range(runs):
        frame = next(frames)
        started = time.perf_counter()
        classifier.classify(frame)
        times.append((time.perf_counter() - started) * 1e3)
    rss_bytes = _rss_bytes()
    retrainings = [_timed_ms(lambda: fit_head(evidence, head.rule)) for _ in range(_REPEATS)]
    points = dict(zip(("p50", "p95", "p99"), (float(p) for p in np.percentile(times, (50, 95, 99))), strict=True))
    return Measured(
        backbone.runtime,
        threads,
        bool(getattr(backbone.interpreter, "xnnpack", False)),
        points,
        1e3 * runs / sum(times),
        rss_bytes,
        median(retrainings),
        processor_temperature(System()),
    )


def compare(home: Home, runs: int) -> Iterator[dict[str, Any]]:
    """Every installed runtime with 1, 2, 4 … threads, each in its own process: rows of ``bench --compare --json``."""
    for runtime in available_runtimes():
        for threads in (n for n in (1, 2, 4, 8) if n <= cores()):
            command = ["bench", "--json", "--runs", str(runs), "--runtime", runtime, "--threads", str(threads)]
            done = _program(home, *command, "--no-cold-start")
            if done.returncode:
                lines = done.stderr.strip().splitlines()
                yield {"runtime": runtime, "threads": threads, "error": lines[-1] if lines else "it crashed"}
            else:
                yield json.loads(done.stdout)


def cold_start_ms(home: Home, runtime: str) -> float:
    """From starting ``edgetl-device classify`` to its label, milliseconds; median of three.

    Raises:
        InputError: it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        cv2.imwrite(str(photo), next(_frames()))
        times = []
        for _ in range(_REPEATS):
            started = time.perf_counter()
            done = _program(home, "classify", str(photo), "--no-drift", "--runtime", runtime)
            times.append((time.perf_counter() - started) * 1e3)
            if done.returncode:
                raise InputError(f"`edgetl-device classify` fails: {done.stderr.strip()}")
    return median(times)


def _frames() -> Iterator[Any]:
    """Endless different frames, (480, 640, 3) uint8 BGR: noise with large structures, decoded already."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (8, 12, 16, 3), np.uint8)
    frames = [cv2.resize(picture, FRAME[::-1], interpolation=cv2.INTER_LINEAR) for picture in coarse]
    while True:
        yield from frames


def _timed_ms(call: Any) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1e3


def _rss_bytes() -> int:
    """Resident memory of this process; its peak where the system does not tell the present one."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


def _program(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgetl_device", "--home", str(home.folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise EdgetlError(f"cannot start another process: {error.strerror or error}") from None
