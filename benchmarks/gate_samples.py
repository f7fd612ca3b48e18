"""Sample by sample: which of a batch does the gate set aside? On ten sets of photos.

The bounds of :mod:`edgetl_device.learning.gate_doubts` were chosen on five of them, other draws (seeds below 2000), and
are confirmed here on the other five. Three rows, ``chosen``, ``confirmed`` and ``all``, count the batches of several
sets together, with a 95 % interval (Wilson) of the share that is rejected.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import numpy.typing as npt

from edgetl_device.heads.head import fit_head
from edgetl_device.metrics import wilson_interval

from .gate import FIRST_SEED, MOST, Batch, World, nothing, of, set_aside
from .harness import Report
from .situations import BACKBONE

RUNS = 12
SETS = {
    "trashnet": "chosen", "art": "chosen", "digits": "chosen", "things-0": "chosen", "things-2": "chosen",
    "flowers": "confirmed", "cartoon": "confirmed", "rps": "confirmed", "things-1": "confirmed",
    "things-3": "confirmed",
}  # fmt: skip
FAR = {name: "flowers" if name != "flowers" else "trashnet" for name in SETS}
PROCESSES = 2
MOST_CORRECTED = 4  # classes of a draw whose mistakes are shown, a batch each
FEWEST_MISTAKES = 5
REACH = (
    "rejected: own mistakes ≤ 0.05, all wrong ≥ 0.98, first photo of a near class ≤ 0.05, second name ≥ 0.95, new "
    "class ≤ 0.05, near ≤ 0.10; of a fifth wrong ≥ 0.70 aside at ≤ 0.05 of the right ones"
)

Bools = npt.NDArray[np.bool_]
Case = tuple[World, Batch, Bools]
"""A world, what it is taught, and which of that is labelled wrongly."""

Found = dict[str, list[tuple[Bools, Bools]]]
"""Batch → what was set aside and what was wrong, of each."""


def of_known(count: int, wrong: bool) -> Callable[[str, int], list[Case]]:
    """Photos of one class, under its label or another's."""

    def case(name: str, seed: int) -> list[Case]:
        world = World(name, seed)
        shown, taught = world.classes[0], world.classes[1 if wrong else 0]
        return [(world, of(world.show(shown, count), taught), np.full(count, wrong))]

    return case


def own_mistakes(name: str, seed: int) -> list[Case]:
    """Up to ten photos that the head gets wrong, of each class that has five: what a person shows who corrects it."""
    world = World(name, seed)
    head = fit_head(world.evidence)
    cases: list[Case] = []
    for label in world.classes:
        photos = world.show(label, min(100, world.left(label)))
        wrong = np.asarray(head.labels)[head.scorer.scores(photos).argmax(axis=1)] != label
        if wrong.sum() >= FEWEST_MISTAKES and len(cases) < MOST_CORRECTED:
            chosen = photos[wrong][:10]
            cases.append((world, of(chosen, label), np.zeros(len(chosen), bool)))
    return cases


def some_wrong(name: str, seed: int) -> list[Case]:
    """Twenty photos, or as many as there are, a fifth of them of other classes."""
    world = World(name, seed)
    label, others = world.classes[0], world.classes[1:]
    right = min(16, world.left(label))
    wrong = round(right / 4)
    codes = np.concatenate([world.show(label, right), *(world.show(others[i % len(others)], 1) for i in range(wrong))])
    return [(world, of(codes, label), np.arange(right + wrong) >= right)]


def new_class(count: int, far: bool = False) -> Callable[[str, int], list[Case]]:
    """The first photos of a class that the factory left out, or of another set's."""

    def case(name: str, seed: int) -> list[Case]:
        own = World(name, seed).classes[-1]
        world = World(name, seed, without=own)
        shown = World(FAR[name], seed) if far else world
        return [(world, of(shown.show(shown.classes[-1], count), "new"), np.zeros(count, bool))]

    return case


def second_name(count: int) -> Callable[[str, int], list[Case]]:
    """A known class under a new label."""

    def case(name: str, seed: int) -> list[Case]:
        world = World(name, seed, without=World(name, seed).classes[-1])
        return [(world, of(world.show(world.classes[0], count), "alias"), np.ones(count, bool))]

    return case


CASES: dict[str, Callable[[str, int], list[Case]]] = {
    "10 right": of_known(10, False),
    "10 that the head gets wrong": own_mistakes,
    "10 of one class as another": of_known(10, True),
    "3 of one class as another": of_known(3, True),
    "1 of one class as another": of_known(1, True),
    "20, a fifth of them wrong": some_wrong,
    "1 of a new near class": new_class(1),
    "10 of a new near class": new_class(10),
    "10 of a new far class": new_class(10, far=True),
    "10 of a known class by a new name": second_name(10),
}


def measure(name: str) -> Found:
    """What is set aside of one set of photos."""
    found: Found = defaultdict(list)
    for number in range(RUNS):
        for title, case in CASES.items():
            for world, batch, wrong in case(name, FIRST_SEED + number):
                found[title].append((set_aside(world.evidence, nothing(world), batch), wrong))
        if number % 4 == 3:
            print(name, number + 1, flush=True)
    return found


def rows_of(photos: str, found: Found) -> Iterator[dict[str, object]]:
    """A row for each batch."""
    for title in (title for title in CASES if found.get(title)):
        aside, wrong = (np.concatenate(column) for column in zip(*found[title], strict=True))
        rejected = [bool(each.mean() > MOST) for each, _ in found[title]]
        least, most = wilson_interval(sum(rejected), len(rejected))
        yield {
            "photos": photos, "batch": title, "runs": len(rejected), "rejected": round(float(np.mean(rejected)), 3),
            "interval": f"{least:.3f} to {most:.3f}",
            "wrong_aside": round(float(aside[wrong].mean()), 3) if wrong.any() else None,
            "right_aside": round(float(aside[~wrong].mean()), 3) if not wrong.all() else None,
        }  # fmt: skip


def main() -> None:
    """Measure and save."""
    report = Report("gate_samples", f"What the gate sets aside; {BACKBONE}", seed=FIRST_SEED, reach=REACH)
    with ProcessPoolExecutor(PROCESSES) as pool:
        found = dict(zip(SETS, pool.map(measure, SETS), strict=True))
    for name, of_set in found.items():
        for row in rows_of(f"{name} ({SETS[name]})", of_set):
            report.add(**row)
    for part in ("chosen", "confirmed", "all"):
        together: Found = defaultdict(list)
        for name, of_set in found.items():
            if part in (SETS[name], "all"):
                for title, batches in of_set.items():
                    together[title] += batches
        for row in rows_of(part, together):
            report.add(**row)
    report.save()


if __name__ == "__main__":
    main()
