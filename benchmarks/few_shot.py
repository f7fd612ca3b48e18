"""A few photos on the device: a new class near the factory's, new classes far from them, a change of scene.

    python -m benchmarks.few_shot [METHOD…]

With names of methods only these are measured; the others are kept from the last run: draws are the same each time. The
``swapped`` situations have other classes and seeds; they confirm what was chosen on the others. The ``later`` ones are
more draws of these, which nothing of the default head was chosen on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .harness import Report, saved
from .peers import few
from .situations import BACKBONE, Situation, far, near, ours, scene, swapped_far, swapped_near, swapped_scene

FIRST, FEWER, LATER = range(10), range(5), range(5, 10)  # draws
SLOW = {"RBF-SVM, weighted": 3, "SGD on new samples": 3}  # draws for what takes longest
RULES = ("gaussian", "predictive", "lda", "prototype")
QUESTIONS = {
    "near": (near, (1, 2, 5, 20, 100), FIRST),
    "far": (far, (1, 2, 5, 20), FIRST),
    "scene": (scene, (0, 1, 5, 20), FIRST),
    "swapped near": (swapped_near, (1, 5, 20), FEWER),
    "swapped far": (swapped_far, (1, 5, 20), FEWER),
    "swapped scene": (swapped_scene, (0, 1, 5, 20), FEWER),
    "later near": (swapped_near, (1, 5, 20), LATER),
    "later far": (swapped_far, (1, 5, 20), LATER),
    "later scene": (swapped_scene, (0, 1, 5, 20), LATER),
}
REACH = (
    "the default never more than 0.005 below the one before it in any row, 0.010 above it on the mean; "
    "scene at k = 0 not below weighted LogisticRegression"
)


def main(only: set[str]) -> None:
    """Measure and save."""
    earlier: dict[str, Any] = saved("few_shot") if only else {"rows": [], "commit": ""}
    known = {(row["question"], row["k"]): row for row in earlier["rows"]}
    report = Report(
        "few_shot",
        f"Accuracy all/new/old after k photos a class, mean of {len(FIRST)} draws, of the others {len(LATER)} (3 of "
        f"RBF-SVM and SGD); median seconds to fit and predict; {BACKBONE}",
        reach=REACH,
    )
    for question, (situation_of, shots, draws) in QUESTIONS.items():
        for count in shots:
            situations = [partial(situation_of, draw, count) for draw in draws]
            cells = measured(situations, question.endswith("scene"), only)
            report.add(**{"question": question, "k": count} | known.get((question, count), {}) | cells)
            print(question, count, cells, flush=True)
    report.save(f"columns other than {', '.join(sorted(only))}: commit {earlier['commit']}" if only else "")


def measured(situations: Sequence[Callable[[], Situation]], same_classes: bool, only: set[str]) -> dict[str, Any]:
    """Method → its cell of a row."""
    scores: dict[str, list[tuple[float, float, float]]] = {}
    seconds: dict[str, list[float]] = {}
    for draw, situation_of in enumerate(situations):
        situation = situation_of()
        _ = situation.projection  # found by the workstation, once
        jobs: dict[str, Callable[[], np.ndarray]] = {rule: partial(ours, situation, rule) for rule in RULES}
        jobs |= few(situation, same_classes)
        for name, job in jobs.items():
            if draw >= SLOW.get(name, len(situations)) or (only and name not in only):
                continue
            started = time.perf_counter()
            labels = job()
            seconds.setdefault(name, []).append(time.perf_counter() - started)
            scores.setdefault(name, []).append(situation.score(labels))
    return {
        name: "/".join(f"{x:.3f}" for x in np.mean(rows, axis=0)) + f" {np.median(seconds[name]):.2f} s"
        for name, rows in scores.items()
    }


if __name__ == "__main__":
    main(set(sys.argv[1:]))
