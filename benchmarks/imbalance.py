"""400 photos of one class and 400, 50 or 5 of another: how many of either are recognised?

Ten pairs of flowers, on which the share of the prior and ρ were chosen, and ten pairs of litter, which confirm them. As
many photos of both classes are asked, so accuracy is balanced.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import permutations
from statistics import mean

import numpy as np

from .harness import Report
from .peers import logistic, nearest_neighbours, rbf_svm, scaled
from .situations import BACKBONE, Names, Situation, embeddings, ours

MANY, PAIRS, TESTS = 400, 10, 100
FEW = (400, 50, 5)


def main() -> None:
    """Measure and save."""
    report = Report(
        "imbalance",
        f"Accuracy on as many tests of both, {MANY} photos of one class and few of another, {PAIRS} pairs; {BACKBONE}",
        reach="not below LogisticRegression with balanced classes",
    )
    for name in ("flowers", "trashnet"):
        for few in FEW:
            scores: dict[str, list[float]] = {}
            for pair in range(PAIRS):
                s = situation(name, few, pair)
                features, tests = scaled(s.factory), scaled(s.tests)
                _ = s.projection
                jobs: dict[str, Callable[[], Names]] = {
                    f"ours, {rule}": partial(ours, s, rule) for rule in ("gaussian", "predictive", "lda")
                } | {
                    "LogisticRegression, balanced": partial(
                        logistic, features, s.factory_labels, tests, class_weight="balanced"
                    ),
                    "RBF-SVM, balanced": partial(rbf_svm, features, s.factory_labels, tests, class_weight="balanced"),
                    "kNN": partial(nearest_neighbours, features, s.factory_labels, tests),
                }
                for method, job in jobs.items():
                    scores.setdefault(method, []).append(s.score(job())[0])
            report.add(data=name, few=few, **{method: mean(values) for method, values in scores.items()})
            print(report.rows[-1], flush=True)
    report.save()


def situation(name: str, few: int, pair: int) -> Situation:
    """One pair of the classes that have photos enough."""
    codes, labels = embeddings(name)
    names, counts = np.unique(labels, return_counts=True)
    pairs = list(permutations(names[counts >= MANY + TESTS // 2], 2))[::2]
    one, other = pairs[pair % len(pairs)]
    generator = np.random.default_rng([21, pair])
    rows = [generator.permutation(np.flatnonzero(labels == label)) for label in (one, other)]
    asked = min(len(rows[0]) - MANY, len(rows[1]) - few, TESTS)
    train = np.concatenate([rows[0][:MANY], rows[1][:few]])
    test = np.concatenate([rows[0][-asked:], rows[1][-asked:]])
    none = np.zeros(0, np.intp)
    old = np.zeros(len(test), bool)
    return Situation(codes[train], labels[train], codes[none], labels[none], codes[test], labels[test], old)


if __name__ == "__main__":
    main()
