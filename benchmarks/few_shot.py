"""A few photos on the device: a new class near the factory's, new classes far from them, a change of scene."""

from __future__ import annotations

import numpy as np

from .harness import Report
from .peers import few
from .situations import BACKBONE, far, near, ours, scene

DRAWS = 10
RULES = ("predictive", "lda", "prototype")  # familiar needs a holdout, which no peer gives up
QUESTIONS = {"near": (near, (1, 2, 5, 20, 100)), "far": (far, (1, 2, 5, 20)), "scene": (scene, (0, 1, 5, 20))}
REACH = (
    "near: within 0.01 of the best at k ≥ 5, old classes lose ≤ 0.02; "
    "far: ≥ 0.76 / 0.78 / 0.81 / 0.845 with old ≥ 0.85; "
    "scene: within 0.01 of weighted LogisticRegression, never below the untouched head"
)


def main() -> None:
    """Measure and save."""
    report = Report(
        "few_shot", f"Accuracy all/new/old after k photos a class, mean of {DRAWS} draws; {BACKBONE}", reach=REACH
    )
    for question, (situation_of, shots) in QUESTIONS.items():
        for count in shots:
            scores: dict[str, list[tuple[float, float, float]]] = {}
            for seed in range(DRAWS):
                situation = situation_of(seed, count)
                told = {rule: ours(situation, rule) for rule in RULES} | few(situation, question == "scene")
                for name, labels in told.items():
                    scores.setdefault(name, []).append(situation.score(labels))
            means = {name: "/".join(f"{x:.3f}" for x in np.mean(rows, axis=0)) for name, rows in scores.items()}
            report.add(question=question, k=count, **means)
            print(question, count, means["predictive"], flush=True)
    report.save()


if __name__ == "__main__":
    main()
