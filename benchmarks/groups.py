"""Groups of labels: what each costs in memory, in time for a frame and on disk."""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path

import numpy as np

from edgetl_device.heads.head import Head
from edgetl_device.home import Home
from edgetl_device.open_home import OpenHome
from edgetl_device.starter import install_starter

from .harness import Report

PHOTOS, MOST, FRAMES = 40, 8, 200


def main() -> None:
    """Measure and save."""
    report = Report("groups", f"One to {MOST} groups on the starter's backbone, {PHOTOS} embeddings in two labels each")
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        install_starter(home)
        with OpenHome(home) as opened:
            opened.learner.active_head()
            _measure(opened, report)
    report.save()


def _measure(opened: OpenHome, report: Report) -> None:
    dimension = opened.bundle.codes.dimension
    raw = np.random.default_rng(0).integers(-128, 128, (PHOTOS, dimension)).astype(np.int8)
    codes = opened.backbone.codes(raw[:1])
    before = 0.0
    for count in range(1, MOST + 1):
        name = f"question {count}"
        opened.groups.known_or_new(name).add("one", raw[: PHOTOS // 2])
        opened.groups[name].add("other", raw[PHOTOS // 2 :])
        if count == 1:
            before = _resident_mb()
        opened.groups[name].retrain()
        heads = opened.groups.heads()
        report.add(
            groups=count,
            memory_mb=round(_resident_mb() - before, 1),
            cpu_ms_a_frame=round(_cpu_ms(list(heads.values()), codes), 2),
            store_kb=round(opened.learner.store.database.size_bytes() / 1e3),
        )


def _resident_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def _cpu_ms(heads: list[Head], codes: np.ndarray) -> float:
    """Of all heads on one frame, the best of eight rounds."""
    rounds = []
    for _ in range(8):
        began = time.process_time()
        for _ in range(FRAMES // 8):
            for head in heads:
                head.recognise(codes)
        rounds.append((time.process_time() - began) / (FRAMES // 8))
    return min(rounds) * 1e3


if __name__ == "__main__":
    main()
