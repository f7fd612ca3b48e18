"""How fast is the built-in world on one core? Photos a second per kind at 224 px, frames a second at 640 × 480."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from time import perf_counter, process_time
from typing import Any

import cv2

from edgetl_device import parts

from .harness import Report

PHOTOS, FRAMES = 100, 300


def main() -> None:
    """Measure and save."""
    cv2.setNumThreads(1)
    list(parts.photos(per_class=20))  # fill the texture and noise banks first
    report = Report("parts", "Rendered photos (224 px) and stream frames (640 × 480) a second, one core", reach="≥ 100")
    for kind in parts.KINDS:
        measure(report, kind, (parts.render(kind, seed=seed) for seed in range(PHOTOS)), PHOTOS)
    frames: Iterator[Any] = parts.stream(size=(480, 640))
    next(frames)
    measure(report, "stream", islice(frames, FRAMES), FRAMES)
    report.save()


def measure(report: Report, what: str, pictures: Iterable[Any], count: int) -> None:
    """One row: CPU time does not suffer from neighbours, wall time is what a user waits."""
    wall, cpu = perf_counter(), process_time()
    for _ in pictures:
        pass
    wall, cpu = perf_counter() - wall, process_time() - cpu
    report.add(what=what, per_cpu_second=round(count / cpu), per_second=round(count / wall))


if __name__ == "__main__":
    main()
