"""Is a head right as often as it says? From the factory, after a few photos, and in a scene that nobody taught.

A quarter of the factory's photos, at most 100 a class, is held out to calibrate on. The calibration error is that of
all draws together: of the hundred tests of one draw alone, chance would show as error. The constants were chosen on
the first half of the rows (full data of flowers, paintings, hands; near, far, scene), the others confirm them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from edgetl_device.heads.evidence import extend, gather
from edgetl_device.heads.head import fit_head
from edgetl_device.metrics import expected_calibration_error, softmax

from .harness import Report
from .situations import BACKBONE, Situation, factory_statistics, far, full, halves, near, pick, scene

from .situations import swapped_far, swapped_near, swapped_scene  # isort: skip

DRAWS, HELD_OUT = 5, 100

ROWS: dict[str, tuple[Callable[[int, int], Situation], tuple[int, ...]]] = {
    "all of flowers": (lambda seed, _: full("flowers", seed), (0,)),
    "all of art": (lambda seed, _: full("art", seed), (0,)),
    "near": (near, (1, 5, 20)),
    "far": (far, (1, 5, 20)),
    "scene": (scene, (0, 1, 5, 20)),
    "all of trashnet": (lambda seed, _: full("trashnet", seed), (0,)),
    "all of cartoon": (lambda seed, _: full("cartoon", seed), (0,)),
    "swapped near": (swapped_near, (1, 5, 20)),
    "swapped far": (swapped_far, (1, 5, 20)),
    "swapped scene": (swapped_scene, (0, 1, 5, 20)),
}


def main(draws: int = DRAWS) -> None:
    """Measure and save."""
    report = Report(
        "calibration",
        f"Calibration error of {draws} draws together, and mean confidence; 15 bins; {BACKBONE}",
        reach="≤ 0.06 in every row",
    )
    for question, (situation_of, shots) in ROWS.items():
        for count in shots:
            answers = [asked(partial(situation_of, seed, count)(), seed) for seed in range(draws)]
            sure, sure_with_one, right = (np.concatenate(column) for column in zip(*answers, strict=True))
            report.add(
                question=question, k=count, tests=len(right), accuracy=float(right.mean()),
                confidence=float(sure.mean()), ece=expected_calibration_error(sure, right),
                ece_with_one_temperature=expected_calibration_error(sure_with_one, right),
            )  # fmt: skip
            print(report.rows[-1], flush=True)
    report.save()


def asked(s: Situation, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability of the top label of each test, what one temperature would make of it, and whether it is right."""
    generator = np.random.default_rng([9, seed])
    train, held = halves(s.factory_labels, 0.25, generator)
    held_rows = pick(s.factory_labels, held, np.unique(s.factory_labels), HELD_OUT, generator)
    labels = [str(label) for label in s.factory_labels[train]]
    factory = factory_statistics(s.factory[train], labels)
    held_labels = [str(label) for label in s.factory_labels[held_rows]]
    known = gather(factory, s.factory[held_rows], held_labels, s.factory[:0], (), "r")
    head = fit_head(extend(known, s.shown, [str(label) for label in s.shown_labels], "r"))
    answers = head.probabilities(s.tests)
    right = np.asarray(head.labels)[answers.argmax(axis=1)] == s.truth
    one = softmax(head.scorer.scores(s.tests) / head.temperature)
    return answers.max(axis=1), one.max(axis=1), right


if __name__ == "__main__":
    main()
