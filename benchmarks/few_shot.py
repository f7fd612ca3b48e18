"""A few photos on the device: a new class near the factory's, new classes far from them, a change of scene.

The ``swapped`` situations have other classes and seeds. They too were seen while the rule was chosen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from .harness import Report
from .peers import few
from .situations import BACKBONE, far, near, ours, scene, swapped_far, swapped_near, swapped_scene

DRAWS, SWAPPED_DRAWS = 10, 5
RULES = ("predictive", "softmax", "lda", "prototype")
QUESTIONS = {
    "near": (near, (1, 2, 5, 20, 100)),
    "far": (far, (1, 2, 5, 20)),
    "scene": (scene, (0, 1, 5, 20)),
    "swapped near": (swapped_near, (1, 5, 20)),
    "swapped far": (swapped_far, (1, 5, 20)),
    "swapped scene": (swapped_scene, (0, 1, 5, 20)),
}
REACH = (
    "near: within 0.01 of the best at k ≥ 5, old classes lose ≤ 0.02; "
    "far: ≥ 0.76 / 0.78 / 0.81 / 0.845 with old ≥ 0.85; "
    "scene: within 0.01 of weighted LogisticRegression and ≥ 4 × faster, never below the untouched head"
)


def main() -> None:
    """Measure and save."""
    report = Report(
        "few_shot",
        f"Accuracy all/new/old after k photos a class, mean of {DRAWS} draws ({SWAPPED_DRAWS} of the swapped); "
        f"median seconds to fit and predict; {BACKBONE}",
        reach=REACH,
    )
    for question, (situation_of, shots) in QUESTIONS.items():
        for count in shots:
            scores: dict[str, list[tuple[float, float, float]]] = {}
            seconds: dict[str, list[float]] = {}
            for seed in range(SWAPPED_DRAWS if question.startswith("swapped") else DRAWS):
                situation = situation_of(seed, count)
                jobs: dict[str, Callable[[], np.ndarray]] = {rule: partial(ours, situation, rule) for rule in RULES}
                jobs |= few(situation, question.endswith("scene"))
                for name, job in jobs.items():
                    started = time.perf_counter()
                    labels = job()
                    seconds.setdefault(name, []).append(time.perf_counter() - started)
                    scores.setdefault(name, []).append(situation.score(labels))
            cells = {
                name: "/".join(f"{x:.3f}" for x in np.mean(rows, axis=0)) + f" {np.median(seconds[name]):.2f} s"
                for name, rows in scores.items()
            }
            report.add(question=question, k=count, **cells)
            print(question, count, cells["predictive"], flush=True)
    report.save()


if __name__ == "__main__":
    main()
