"""Two hundred teaching sessions, a tenth of the batches mislabelled: what do they cost, and who waits for them?

A device knows all classes of a set but one. Ten batches of 1 to 12 photos come, the new class among them; one batch in
ten carries another class's label. Nobody ever decides about what is set aside. Beside it, a device learns the right
batches alone, without a gate; both are asked photos that neither has seen, after each step.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from edgetl_device.heads.evidence import extend
from edgetl_device.heads.head import Head, fit_head
from edgetl_device.learning.gate import Judged

from .gate import FIRST_SEED, World, judged, of
from .harness import Report
from .situations import BACKBONE, Codes, Names

SESSIONS, SESSIONS_PER_DRAW, BATCHES, MOST, TESTS = 200, 5, 10, 12, 40
SETS = ("flowers", "trashnet")
MISLABELLED = 0.1
BEHIND = 0.02
REACH = "never more than 0.02 behind learning the right batches alone; no right batch waits because of a wrong one"


@dataclass
class Found:
    """What the sessions of one set of photos gave."""

    steps: list[float] = field(default_factory=list)  # accuracy, less that of learning the right batches alone
    right: int = 0
    right_aside: int = 0  # right batches of which most is set aside
    right_samples_aside: list[float] = field(default_factory=list)
    waiting: int = 0  # of them, those that would have passed had there been no wrong batch before
    wrong: int = 0
    wrong_aside: int = 0
    sessions: list[float] = field(default_factory=list)  # the worst step of each


def session(name: str, seed: int, found: Found) -> None:
    """One session."""
    generator = np.random.default_rng([9, seed])
    draw = FIRST_SEED + seed // SESSIONS_PER_DRAW
    world = World(name, draw, without=World(name, draw).classes[-1])
    world.shuffle(generator)
    asked = [label for label in world.classes if world.left(label) >= TESTS + MOST]
    tests = np.concatenate([world.show(label, TESTS) for label in asked])
    truth = np.repeat(asked, TESTS)
    with_gate = alone = Judged(fit_head(world.evidence), world.evidence)
    behind = []
    for _ in range(BATCHES):
        shown = str(generator.choice(asked))
        count = min(int(generator.integers(1, MOST + 1)), world.left(shown))
        is_wrong = bool(generator.random() < MISLABELLED)
        label = str(generator.choice([each for each in asked if each != shown])) if is_wrong else shown
        if not count:
            continue
        batch = of(world.show(shown, count), label)
        aside, with_gate = judged(with_gate, batch)
        mostly = float(aside.mean()) > 0.5
        if is_wrong:
            found.wrong += 1
            found.wrong_aside += mostly
        else:
            found.right += 1
            found.right_aside += mostly
            found.right_samples_aside.append(float(aside.mean()))
            found.waiting += mostly and float(judged(alone, batch)[0].mean()) <= 0.5
            evidence = extend(alone.evidence, batch[0], batch[1], "r")
            alone = Judged(fit_head(evidence), evidence)
        behind.append(accuracy(with_gate.head, tests, truth) - accuracy(alone.head, tests, truth))
    found.steps += behind
    found.sessions.append(min(behind))


def accuracy(head: Head, tests: Codes, truth: Names) -> float:
    """Share of the tests that get their label."""
    return float((np.asarray(head.labels)[head.scorer.scores(tests).argmax(axis=1)] == truth).mean())


def measure(name: str, sessions: int) -> dict[str, object]:
    """The row of one set of photos."""
    found = Found()
    for number in range(sessions):
        session(name, number, found)
        if number % 10 == 9:
            print(name, number + 1, round(min(found.sessions), 3), found.right_aside, found.right, flush=True)
    steps, worst = np.array(found.steps), np.array(found.sessions)
    return {
        "photos": name,
        "sessions": len(worst),
        "batches": found.right + found.wrong,
        "steps_behind": round(float((steps < -BEHIND).mean()), 3),
        "sessions_behind": round(float((worst < -BEHIND).mean()), 3),
        "worst": round(float(worst.min()), 3),
        "mean": round(float(steps.mean()), 4),
        "right_batches_aside": round(found.right_aside / found.right, 3),
        "right_samples_aside": round(float(np.mean(found.right_samples_aside)), 3),
        "waiting_for_wrong_ones": found.waiting,
        "wrong_batches_aside": round(found.wrong_aside / max(found.wrong, 1), 3),
    }


def main(sessions: int = SESSIONS) -> None:
    """Measure and save."""
    report = Report("teaching", f"Teaching with a tenth of the batches mislabelled; {BACKBONE}", FIRST_SEED, REACH)
    with ProcessPoolExecutor(len(SETS)) as pool:
        for row in pool.map(measure, SETS, [sessions // len(SETS)] * len(SETS)):
            report.add(**row)
    report.save()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
