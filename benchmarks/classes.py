"""A bundle of five, twenty, a hundred and a thousand classes: what do covariances of their own cost?

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.classes

CPU time with one BLAS thread. Twenty photos of a class come from the factory, four more of some are taught here.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from edgetl_device.heads.evidence import Evidence, extend, gather
from edgetl_device.heads.gaussian import Gaussian
from edgetl_device.heads.head import Head, fit_head
from edgetl_device.statistics import Statistics

from .harness import Report, cpu_ms
from .situations import factory_statistics

DIMENSION, PER_CLASS, HELD_OUT, TAUGHT = 1280, 20, 2000, 200
CLASSES = (5, 20, 100, 1000)


def main() -> None:
    """Measure and save."""
    report = Report(
        "classes",
        f"Covariances of single classes, d = {DIMENSION}, {PER_CLASS} photos a class: CPU time and memory",
        reach="memory ≤ 5 MB at 20 classes",
    )
    for count in CLASSES:
        known, one = evidence(count)
        photo = one[0]
        for rule in ("gaussian", "predictive"):
            head = fit_head(known, rule)
            report.add(
                classes=count, head=rule, one_photo_ms=cpu_ms(partial(head.scorer.scores, photo), 15),
                one_more_sample_ms=cpu_ms(partial(taught, known, one, rule), 3),
                moments_mb=moments(known.factory) + moments(known.device),
                head_mb=own(head),
            )  # fmt: skip
            print(report.rows[-1], flush=True)
    report.save()


def evidence(count: int) -> tuple[Evidence, tuple[np.ndarray, list[str]]]:
    """What is known, and one sample more."""
    generator = np.random.default_rng(0)
    centres = generator.gamma(1.0, 16.0, (count, DIMENSION))

    def draw(rows: np.ndarray) -> tuple[np.ndarray, list[str]]:
        codes = np.clip(generator.normal(centres[rows], 12.0), 0, 255).astype(np.uint8)
        return codes, [f"class-{row:04}" for row in rows]

    factory = factory_statistics(*draw(np.repeat(np.arange(count), PER_CLASS)), "backbone", "runtime")
    held = draw(np.arange(min(HELD_OUT, 100 * count)) % count)
    known = gather(factory, *held, *draw(np.arange(TAUGHT) % min(count, TAUGHT // 4)), "runtime")
    return known, draw(np.zeros(1, np.intp))


def taught(known: Evidence, one: tuple[np.ndarray, list[str]], rule: str) -> Head:
    """The head after one more sample."""
    return fit_head(extend(known, *one, "runtime"), rule)


def moments(statistics: Statistics) -> float:
    """MB of the moments of single classes."""
    return sum(array.nbytes for array in statistics.projected.arrays) / 1e6 if statistics.projected else 0.0


def own(head: Head) -> float:
    """MB that a head needs for its classes' own terms."""
    term = head.scorer.term if isinstance(head.scorer, Gaussian) else None
    return 0.0 if term is None else (term.directions.nbytes + term.curvatures.nbytes) / 1e6


if __name__ == "__main__":
    main()
