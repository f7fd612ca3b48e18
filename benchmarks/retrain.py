"""One more sample when 2,000 are stored: how long until the new head is ready?"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from edgetl_device.heads.evidence import Evidence, extend, gather
from edgetl_device.heads.head import Head, fit_head
from edgetl_device.heads.registry import HEADS

from .harness import Report, median_ms
from .situations import factory_statistics

DIMENSION, STORED, FACTORY, CLASSES, HOLDOUT = 1280, 2000, 2347, 5, 500


def main() -> None:
    """Measure and save."""
    report = Report(
        "retrain",
        f"Retraining after one new sample, {STORED} stored, d = {DIMENSION}, statistics in memory",
        reach="≤ 60 ms, better ≤ 10 ms",
    )
    generator = np.random.default_rng(0)
    centres = generator.gamma(1.0, 16.0, size=(CLASSES + 2, DIMENSION))

    def draw(count: int, classes: range) -> tuple[np.ndarray, list[str]]:
        rows = generator.integers(classes.start, classes.stop, count)
        codes = np.clip(generator.normal(centres[rows], 12.0), 0, 255).astype(np.uint8)
        return codes, [f"class-{row}" for row in rows]

    factory_codes, factory_labels = draw(FACTORY, range(CLASSES))
    factory = factory_statistics(factory_codes, factory_labels, "backbone", "runtime")
    evidence = gather(factory, *draw(HOLDOUT, range(CLASSES)), *draw(STORED, range(CLASSES + 2)), "runtime")
    fit_head(evidence)  # as in a program that runs: what it worked out is updated from now on
    one = draw(1, range(CLASSES, CLASSES + 1))

    def add() -> Evidence:
        return extend(evidence, *one, "runtime")

    def add_and_fit(rule: str) -> Head:
        return fit_head(add(), rule)

    def from_scratch() -> Head:
        return fit_head(replace(add()))  # a copy without what was worked out

    report.add(step="one more sample, ms", value=median_ms(add))
    for rule in HEADS:
        report.add(step=f"one more sample and a new head, {rule}, ms", value=median_ms(partial(add_and_fit, rule)))
    report.add(step="the same, everything solved anew, predictive, ms", value=median_ms(from_scratch))
    tests, _ = draw(1000, range(CLASSES + 2))
    ours, anew = (head.scorer.scores(tests) for head in (add_and_fit("predictive"), from_scratch()))
    report.add(step="largest difference of scores, relative", value=float(np.abs(ours - anew).max() / np.ptp(anew)))
    report.add(step="labels that differ, of 1,000", value=int((ours.argmax(1) != anew.argmax(1)).sum()))
    report.save()


if __name__ == "__main__":
    main()
