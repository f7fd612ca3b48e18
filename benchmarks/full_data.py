"""All of a data set's embeddings: how good and how fast is each rule, against scikit-learn and Coral's recipe?

    python -m benchmarks.full_data [METHOD…]

With names of methods only these are measured; the others are kept from the last run: splits are the same each time.
Nothing was ever chosen on the later splits.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from statistics import mean, median, stdev
from typing import Any

from .harness import Report, saved
from .peers import FULL, scaled
from .situations import BACKBONE, Names, full, ours

SPLITS = {"0–9": range(10), "10–19": range(10, 20)}
RULES = ("gaussian", "predictive", "softmax", "lda")


def main(only: set[str]) -> None:
    """Measure and save."""
    earlier: dict[str, Any] = saved("full_data") if only else {"rows": [], "commit": ""}
    report = Report(
        "full_data",
        f"Accuracy, its standard error and seconds to fit and predict, mean and median of ten splits; {BACKBONE}",
        reach="mean ≥ 0.010 above the default before; never > 0.005 below the best linear peer, 0.015 below RBF-SVM",
    )
    for name in ("flowers", "trashnet", "rps", "art", "cartoon"):
        for splits, seeds in SPLITS.items():
            found = measured(name, seeds, only)
            for method, values in found.items():
                report.add(data=name, splits=splits, method=method, **values)
                print(report.rows[-1], flush=True)
            here = [row for row in earlier["rows"] if (row["data"], row.get("splits", "0–9")) == (name, splits)]
            report.rows += [row for row in here if row["method"] not in found]
    report.save(f"methods other than {', '.join(sorted(only))}: commit {earlier['commit']}" if only else "")


def measured(name: str, seeds: Iterable[int], only: set[str]) -> dict[str, dict[str, Any]]:
    """Method → its row."""
    scores: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {}
    for seed in seeds:
        s = full(name, seed)
        _ = s.projection  # found by the workstation, once
        features, tests = scaled(s.factory), scaled(s.tests)
        jobs: dict[str, Callable[[], Names]] = {f"ours, {rule}": partial(ours, s, rule) for rule in RULES}
        jobs |= {peer: partial(fit, features, s.factory_labels, tests) for peer, fit in FULL.items()}
        for method, job in jobs.items():
            if only and method not in only:
                continue
            started = time.perf_counter()
            told = job()
            seconds.setdefault(method, []).append(time.perf_counter() - started)
            scores.setdefault(method, []).append(s.score(told)[0])
    return {
        method: {
            "accuracy": mean(values),
            "error": stdev(values) / len(values) ** 0.5,
            "seconds": median(seconds[method]),
            "each": [round(value, 4) for value in values],
        }
        for method, values in scores.items()
    }


if __name__ == "__main__":
    main(set(sys.argv[1:]))
