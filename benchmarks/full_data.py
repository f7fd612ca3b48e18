"""All of a data set's embeddings: how good and how fast is each rule, against scikit-learn and Coral's recipe?

    python -m benchmarks.full_data [METHOD…]

With names of methods only these are measured; the others are kept from the last run: splits are the same each time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import mean, median
from typing import Any

from .harness import Report, saved
from .peers import FULL, scaled
from .situations import BACKBONE, Names, full, ours

SPLITS = 10
SLOW = {"RBF-SVM": 3}  # splits for what takes longest
RULES = ("gaussian", "predictive", "softmax", "lda")


def main(only: set[str]) -> None:
    """Measure and save."""
    earlier: dict[str, Any] = saved("full_data") if only else {"rows": [], "commit": ""}
    report = Report(
        "full_data",
        f"Accuracy and seconds to fit and predict, mean and median of {SPLITS} splits; {BACKBONE}",
        reach="mean ≥ 0.010 above the default before; never > 0.005 below the best linear peer, 0.015 below RBF-SVM",
    )
    for name in ("flowers", "trashnet", "rps", "art", "cartoon"):
        scores: dict[str, list[float]] = {}
        seconds: dict[str, list[float]] = {}
        for seed in range(SPLITS):
            s = full(name, seed)
            _ = s.projection  # found by the workstation, once
            features, tests = scaled(s.factory), scaled(s.tests)
            jobs: dict[str, Callable[[], Names]] = {f"ours, {rule}": partial(ours, s, rule) for rule in RULES}
            jobs |= {peer: partial(fit, features, s.factory_labels, tests) for peer, fit in FULL.items()}
            for method, job in jobs.items():
                if seed >= SLOW.get(method, SPLITS) or (only and method not in only):
                    continue
                started = time.perf_counter()
                told = job()
                seconds.setdefault(method, []).append(time.perf_counter() - started)
                scores.setdefault(method, []).append(s.score(told)[0])
        for method, values in scores.items():
            report.add(data=name, method=method, accuracy=mean(values), seconds=median(seconds[method]))
            print(report.rows[-1], flush=True)
        report.rows += [row for row in earlier["rows"] if row["data"] == name and row["method"] not in scores]
    report.save(f"methods other than {', '.join(sorted(only))}: commit {earlier['commit']}" if only else "")


if __name__ == "__main__":
    main(set(sys.argv[1:]))
