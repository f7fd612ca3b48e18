"""One more sample when 2,000 are stored: how long until the new head is ready?

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.retrain

CPU time with one BLAS thread, which a busy machine hardly changes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from edgetl_device.heads.evidence import Evidence, extend, gather
from edgetl_device.heads.head import Head, fit_head
from edgetl_device.heads.registry import HEADS

from .harness import Report, cpu_ms
from .situations import factory_statistics

DIMENSION, STORED, FACTORY, CLASSES, HOLDOUT = 1280, 2000, 2347, 5, 500


def main() -> None:
    """Measure and save."""
    report = Report(
        "retrain",
        f"Retraining after one new sample, {STORED} stored, d = {DIMENSION}, statistics in memory; CPU time",
        reach="≤ 15 ms; from scratch ≤ 1.3 times the rule before",
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
    solved = gather(factory, *draw(1, range(1)), *draw(0, range(1)), "runtime").core
    fit_head(evidence)  # as in a program that runs: what it worked out is updated from now on
    one = draw(1, range(CLASSES, CLASSES + 1))

    def add() -> Evidence:
        return extend(evidence, *one, "runtime")

    def add_and_fit(rule: str) -> Head:
        return fit_head(add(), rule)

    def from_scratch(rule: str) -> Head:
        return fit_head(replace(add()), rule)  # a copy without what was worked out

    def on_a_device(rule: str) -> Head:
        return fit_head(replace(add(), factory_precision=solved), rule)

    report.add(step="one more sample, ms", value=cpu_ms(add))
    for rule in HEADS:
        report.add(step=f"one more sample and a new head, {rule}, ms", value=cpu_ms(partial(add_and_fit, rule)))
    for rule in ("gaussian", "predictive"):
        value = cpu_ms(partial(from_scratch, rule))
        report.add(step=f"the same, everything solved anew, {rule}, ms", value=value)
        value = cpu_ms(partial(on_a_device, rule))
        report.add(step=f"the same, but for the factory's part, which an installed bundle has, {rule}, ms", value=value)
    tests, _ = draw(1000, range(CLASSES + 2))
    ours, anew = (head.scorer.scores(tests) for head in (add_and_fit("gaussian"), from_scratch("gaussian")))
    report.add(step="largest difference of scores, relative", value=float(np.abs(ours - anew).max() / np.ptp(anew)))
    report.add(step="labels that differ, of 1,000", value=int((ours.argmax(1) != anew.argmax(1)).sum()))
    report.save()


if __name__ == "__main__":
    main()
