"""A thousand to a million stored samples: how fast are they stored, and what do start and retraining cost?

    python -m benchmarks.scale [SAMPLES…]

Each step runs in a process of its own, so that its peak memory is its own, and with one BLAS thread, so that CPU time,
which a busy machine hardly changes, is that of the work.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import numpy as np

from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.bundle.content import BundleContent, BundleParts
from edgetl_device.codes import CodeTransform, Int8
from edgetl_device.heads.registry import DEFAULT
from edgetl_device.learning.groups import Groups
from edgetl_device.learning.learner import Learner
from edgetl_device.preprocess import Preprocessing
from edgetl_device.store.store import Store

from .harness import Report, median_ms
from .situations import factory_statistics

SIZES = (1_000, 10_000, 100_000)
DIMENSION, CLASSES, FACTORY, HOLDOUT = 1280, 5, 2347, 500
BATCH, SINGLES, TURN = 256, 200, 20
REACH = (
    "start, one more sample, moving one, forgetting, rolling back ≤ 1.5 times from 1,000 to 1,000,000; 100,000 samples "
    "within 300 MB; 400 a second one by one"
)


def draw(count: int, seed: int) -> tuple[Int8, list[str]]:
    """(n, d) int8 raw embeddings of seven classes, and their labels."""
    centres = np.random.default_rng(0).gamma(0.7, 40.0, (CLASSES + 2, DIMENSION)).astype(np.float32)
    generator = np.random.default_rng([1, seed])
    rows = np.arange(count) % (CLASSES + 2)
    noise = generator.standard_normal((count, DIMENSION), np.float32) * 20
    return np.clip(centres[rows] + noise - 128, -128, 127).astype(np.int8), [f"class-{row}" for row in rows]


def make_bundle(path: Path) -> None:
    """A bundle that knows five classes; its backbone is never run."""
    transform = CodeTransform(-128, DIMENSION)
    raw, labels = draw(2 * (FACTORY + HOLDOUT), 0)
    known = np.flatnonzero([label < f"class-{CLASSES}" for label in labels])[: FACTORY + HOLDOUT]
    names = [labels[row] for row in known]
    backbone = b"none"
    digest = hashlib.sha256(backbone).hexdigest()
    factory = factory_statistics(transform(raw[known[:FACTORY]]), names[:FACTORY], digest, "synthetic")
    nothing = (np.zeros((0, 8, 8, 3), np.uint8), raw[:0], ())
    held = (raw[known[FACTORY:]], tuple(names[FACTORY:]))
    manifest: dict[str, Any] = {
        "name": "scale",
        "created": "2026-01-01T00:00:00+00:00",
        "labels": list(factory.labels),
        "head": DEFAULT,
        "preprocessing": Preprocessing(8, 8).to_json(),
        "codes": transform.to_json(),
        "backbone": {"name": "random"},
        "quantization": "int8",
        "training": {},
        "parity": {},
        "ops": {},
    }
    write_bundle(path, manifest, BundleParts(backbone, factory, held, frozenset(), nothing).members())


def open_learner(folder: Path) -> Learner:
    """With a budget that nothing here exceeds."""
    store = Store(folder / "device.sqlite", max_samples=10**8, max_bytes=1 << 40)
    return Learner(BundleContent(open_bundle(folder / "scale.edgetl")), store, "synthetic")


def fill(folder: Path, count: int) -> dict[str, Any]:
    """Store so many samples, and as many as ``SINGLES`` one by one, each durable; then make them a version.

    The peer makes rows of the same embeddings durable with SQLite alone, in turn with ours, for disks have moods.
    """
    learner = open_learner(folder)
    batched_s, stored, seed = 0.0, 0, 1
    while stored < count - SINGLES:
        raw, labels = draw(BATCH * (CLASSES + 2), seed)
        for row in range(CLASSES + 2):
            part = raw[row :: CLASSES + 2][: count - SINGLES - stored]
            started = time.perf_counter()
            stored += len(learner.add(labels[row], part)) if len(part) else 0
            batched_s += time.perf_counter() - started
        seed += 1
    raw, labels = draw(SINGLES, seed)
    plain = plain_database(folder / "plain.sqlite")
    single_s, plain_s, cpu_s = 0.0, 0.0, 0.0
    for start in range(0, SINGLES, TURN):
        rows = slice(start, start + TURN)
        started, used = time.perf_counter(), time.process_time()
        for row, label in zip(raw[rows], labels[rows], strict=True):
            learner.add(label, row[None])
        single_s, cpu_s = single_s + time.perf_counter() - started, cpu_s + time.process_time() - used
        started = time.perf_counter()
        for row, label in zip(raw[rows], labels[rows], strict=True):
            plain.execute("INSERT INTO samples (label, raw) VALUES (?, ?)", (label, row.tobytes()))
        plain_s += time.perf_counter() - started
    plain.close()
    learner.retrain(accept_scene_change=True)
    size = sum(path.stat().st_size for path in folder.glob("device.sqlite*"))
    single = {
        "single_per_s": SINGLES / single_s,
        "plain_per_s": SINGLES / plain_s,
        "single_cpu_ms": cpu_s / SINGLES * 1e3,
    }
    return {"batched_per_s": stored / batched_s, **single, "bytes_per_sample": size / count}


def plain_database(path: Path) -> apsw.Connection:
    """SQLite alone, as durable as the store."""
    database = apsw.Connection(str(path))
    database.pragma("journal_mode", "wal")
    database.pragma("synchronous", "full")
    database.execute("CREATE TABLE samples (id INTEGER PRIMARY KEY, label TEXT NOT NULL, raw BLOB NOT NULL)")
    return database


def start(folder: Path, _count: int) -> dict[str, Any]:
    """From nothing to a head in use; then one more sample and a new head, as judged by the gate."""
    started = time.perf_counter(), time.process_time()
    learner = open_learner(folder)
    learner.active_head()
    start_s, start_cpu_s = time.perf_counter() - started[0], time.process_time() - started[1]
    raw, labels = draw(16, 10**6)
    rest = iter(range(16))

    def one_more() -> None:
        row = next(rest)
        learner.add(labels[row], raw[row : row + 1])
        learner.retrain(accept_scene_change=True)

    one_more()
    before = time.process_time()
    learn_ms = median_ms(one_more, runs=7, warmup=0)
    learn_cpu_ms = (time.process_time() - before) / 7 * 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"start_s": start_s, "start_cpu_s": start_cpu_s, "learn_one_ms": learn_ms, "learn_one_cpu_ms": learn_cpu_ms}
    return {**found, "peak_mb": peak}


def forget(folder: Path, _count: int) -> dict[str, Any]:
    """Ten samples out of a running learner, one moved to another label, each with a new head; then back by one."""
    learner = open_learner(folder)
    learner.active_head()
    rows = learner.samples()
    ids, other = [row.id for row in rows[:10]], next(row.id for row in rows[::-1] if row.label != "class-1")
    steps: dict[str, Callable[[], object]] = {
        "forget_ten_cpu_s": lambda: learner.forget(ids),
        "move_one_cpu_s": lambda: learner.relabel("class-1", [other]),
        "roll_back_cpu_s": learner.rollback,
    }
    found = {}
    for name, step in steps.items():
        started = time.process_time()
        step()
        if name != "roll_back_cpu_s":
            learner.retrain(accept_scene_change=True)
        learner.active_head()
        found[name] = time.process_time() - started
    return {**found, "after_a_group_s": after_a_group(learner)}


def after_a_group(learner: Learner) -> float:
    """Seconds of processor until the other labels' head answers again after a sample moved in a group."""
    wind = Groups(learner).known_or_new("wind")
    raw, _ = draw(4, 10**6 + 1)
    ids = [*wind.add("calm", raw[:2]), *wind.add("storm", raw[2:])]
    wind.retrain(accept_scene_change=True)
    learner.evidence()
    wind.relabel("storm", ids[:1])
    started = time.process_time()
    learner.active_head()
    learner.evidence()
    return time.process_time() - started


ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
STEPS = {"fill": fill, "start": start, "forget": forget}


def main(sizes: tuple[int, ...]) -> None:
    """Measure and save."""
    report = Report(
        "scale", f"Stored samples of {DIMENSION} features: storing, starting, learning one more", reach=REACH
    )
    env = {**os.environ, **ONE_THREAD}
    for count in sizes:
        with tempfile.TemporaryDirectory() as name:
            make_bundle(Path(name) / "scale.edgetl")
            row: dict[str, Any] = {"samples": count}
            for step in STEPS:
                command = [sys.executable, "-m", "benchmarks.scale", step, name, str(count)]
                row |= json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout)
            report.add(**{key: round(value, 3) for key, value in row.items()})
        report.save()


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in STEPS:
        print(json.dumps(STEPS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        main(tuple(int(argument) for argument in sys.argv[1:]) or SIZES)
