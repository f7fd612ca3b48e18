"""Hundreds and thousands of labels on one device: what does one more sample cost?

    python -m benchmarks.labels [LABELS…]

CPU time with one BLAS thread, which a busy machine hardly changes; each number of labels in a process of its own.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgetl_device.codes import Int8

from .harness import Report
from .scale import DIMENSION, ONE_THREAD, make_bundle, open_learner

LABELS, SAMPLES, RUNS = (100, 1000, 2000), 3, 5
REACH = "1,000 labels ≤ 0.5 s"


def measure(count: int) -> dict[str, Any]:
    """So many labels of a few samples each, taught in one go; then one more sample at a time."""
    generator = np.random.default_rng(3)
    centres = generator.gamma(0.7, 40.0, (count, DIMENSION)).astype(np.float32)

    def draw(label: int, shots: int) -> Int8:
        noise = generator.standard_normal((shots, DIMENSION), np.float32) * 20
        raw: Int8 = np.clip(centres[label] + noise - 128, -128, 127).astype(np.int8)
        return raw

    with tempfile.TemporaryDirectory() as name:
        make_bundle(Path(name) / "scale.edgetl")
        learner = open_learner(Path(name))
        for label in range(count):
            learner.store.add_samples(
                f"new-{label:05}", draw(label, SAMPLES), learner.bundle.backbone_digest, "synthetic"
            )
        learner.retrain(accept_scene_change=True)
        times = []
        for _ in range(RUNS):
            label = int(generator.integers(count))
            learner.store.add_samples(f"new-{label:05}", draw(label, 1), learner.bundle.backbone_digest, "synthetic")
            started = time.process_time()
            learner.retrain(accept_scene_change=True)
            times.append(time.process_time() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"one_more_cpu_s": round(statistics.median(times), 3), "peak_mb": round(peak)}


def main(counts: tuple[int, ...]) -> None:
    """Measure and save."""
    report = Report("labels", f"One more sample among many labels, d = {DIMENSION}, {SAMPLES} stored each", reach=REACH)
    for count in counts:
        command = [sys.executable, "-m", "benchmarks.labels", "measure", str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **ONE_THREAD})
        report.add(labels=count, **json.loads(done.stdout))
    report.save()


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(int(sys.argv[2]))))
    else:
        main(tuple(int(argument) for argument in sys.argv[1:]) or LABELS)
