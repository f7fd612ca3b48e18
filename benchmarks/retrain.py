"""One more sample when 2,000 are stored: how long until the new head is ready?"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from edgetl_device.heads import HEADS, Evidence, fit_head, gather
from edgetl_device.statistics import statistics_of

from .harness import Report, median_ms

DIMENSION, STORED, FACTORY, CLASSES, HOLDOUT = 1280, 2000, 2347, 5, 500


def main() -> None:
    """Measure and save."""
    report = Report(
        "retrain",
        f"Retraining after one new sample, {STORED} stored, d = {DIMENSION}, statistics in memory",
        reach="≤ 80 ms",
    )
    generator = np.random.default_rng(0)
    centres = generator.gamma(1.0, 16.0, size=(CLASSES + 2, DIMENSION))

    def draw(count: int, classes: range) -> tuple[np.ndarray, list[str]]:
        rows = generator.integers(classes.start, classes.stop, count)
        codes = np.clip(generator.normal(centres[rows], 12.0), 0, 255).astype(np.uint8)
        return codes, [f"class-{row}" for row in rows]

    factory_codes, factory_labels = draw(FACTORY, range(CLASSES))
    factory = statistics_of(factory_codes, factory_labels, "backbone", "runtime")
    evidence = gather(factory, *draw(HOLDOUT, range(CLASSES)), *draw(STORED, range(CLASSES + 2)), "runtime")
    one = draw(1, range(CLASSES, CLASSES + 1))

    def add() -> Evidence:
        return replace(evidence, device=evidence.device + statistics_of(*one, "backbone", "runtime"))

    def add_and_fit(rule: str) -> None:
        fit_head(add(), rule)

    report.add(step="one more sample", median_ms=median_ms(add))
    for rule in HEADS:
        report.add(step=f"one more sample and a new head, {rule}", median_ms=median_ms(partial(add_and_fit, rule)))
    report.save()


if __name__ == "__main__":
    main()
