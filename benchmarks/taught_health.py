"""A tenth of the labels is wrong: how many does ``edgetl-device health`` find, and how many right ones does it doubt?

All photos of a set are taught to a device whose bundle knows nothing; a tenth of them, drawn at random, as another
class. The bound was chosen on two sets and is confirmed on the others, with other draws.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from edgetl.training.directions import leading_directions
from edgetl_device.heads.evidence import extend, gather
from edgetl_device.heads.head import scorer_class
from edgetl_device.heads.registry import DEFAULT
from edgetl_device.learning.taught_health import BY_FAR, left_out
from edgetl_device.metrics import wilson_interval
from edgetl_device.statistics import no_statistics, statistics_of

from .harness import Report
from .situations import BACKBONE, Codes, Names, embeddings

SETS = {"flowers": "chosen", "art": "chosen", "cartoon": "confirmed", "rps": "confirmed", "trashnet": "confirmed",
        "digits": "confirmed", "things-0": "confirmed", "things-2": "confirmed"}  # fmt: skip
DRAWS = 3
WRONG = 0.1
MANY = 10_000
REACH = "≥ 90 % of the wrong labels found at ≤ 5 % of the right ones on three sets; 10,000 samples in ≤ 5 s of one core"

Bools = npt.NDArray[np.bool_]


def mislabelled(name: str, seed: int) -> tuple[Codes, Names, Bools]:
    """Codes (n, d), the labels they are taught under, and which of these are wrong."""
    codes, labels = embeddings(name)
    generator = np.random.default_rng([17, seed])
    names = np.unique(labels)
    wrong = generator.random(len(labels)) < WRONG
    given = labels.copy()
    for row in np.flatnonzero(wrong):
        given[row] = generator.choice(names[names != labels[row]])
    return codes, given, wrong


def margins(codes: Codes, labels: Names) -> tuple[npt.NDArray[np.float64], float]:
    """(n,) nats by which another label wins without each sample, and seconds of CPU time, the rule's solve included."""
    names = [str(label) for label in labels]
    projection = leading_directions(statistics_of(codes, names, "b", "r"))
    nothing = gather(no_statistics("b", codes.shape[1], projection), codes[:0], (), codes[:0], (), "r")
    evidence = extend(nothing, codes, names, "r")
    started = time.process_time()
    scorer = scorer_class(DEFAULT).fit(evidence)
    found = [
        left_out(scorer, evidence, codes[start : start + 512], names[start : start + 512])[1]
        for start in range(0, len(codes), 512)
    ]
    return np.concatenate(found), time.process_time() - started


def main() -> None:
    """Measure and save."""
    report = Report(
        "taught_health",
        f"A tenth of the labels is wrong: found, and right ones doubted; {DRAWS} draws together; {BACKBONE}",
        reach=REACH,
    )
    for name, role in SETS.items():
        found, doubted, wrong_count, right_count, best = 0, 0, 0, 0, []
        for seed in range(DRAWS) if role == "chosen" else range(DRAWS, 2 * DRAWS):
            codes, labels, wrong = mislabelled(name, seed)
            by, _ = margins(codes, labels)
            found += int((by[wrong] > BY_FAR).sum())
            doubted += int((by[~wrong] > BY_FAR).sum())
            wrong_count += int(wrong.sum())
            right_count += int((~wrong).sum())
            best.append(float((by[wrong] > np.quantile(by[~wrong], 0.95)).mean()))
        low, high = wilson_interval(found, wrong_count)
        report.add(
            data=name, role=role, classes=len(np.unique(labels)), samples=len(labels), found=found / wrong_count,
            interval=f"{low:.3f} to {high:.3f}", doubted=doubted / right_count, found_at_5_percent=float(np.mean(best)),
        )  # fmt: skip
    codes, labels, _ = mislabelled("flowers", 0)
    times = -(-MANY // len(codes))
    seconds = margins(np.tile(codes, (times, 1))[:MANY], np.tile(labels, times)[:MANY])[1]
    report.add(data=f"{MANY} samples, CPU seconds", found=seconds)
    report.save()


if __name__ == "__main__":
    main()
