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
PART, PROCESSES = 10, 8  # sessions of a process, and how many of these at once
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


def sessions_of(name: str, numbers: range) -> Found:
    """Some of the sessions of one set of photos."""
    found = Found()
    for number in numbers:
        session(name, number, found)
    print(name, numbers.stop, round(min(found.sessions), 3), found.right_aside, found.right, flush=True)
    return found


def row_of(name: str, parts: list[Found]) -> dict[str, object]:
    """The row of one set of photos."""
    steps = np.concatenate([part.steps for part in parts])
    worst = np.concatenate([part.sessions for part in parts])
    aside = np.concatenate([part.right_samples_aside for part in parts])
    right, wrong = sum(part.right for part in parts), sum(part.wrong for part in parts)
    return {
        "photos": name,
        "sessions": len(worst),
        "batches": right + wrong,
        "steps_behind": round(float((steps < -BEHIND).mean()), 3),
        "sessions_behind": round(float((worst < -BEHIND).mean()), 3),
        "worst": round(float(worst.min()), 3),
        "mean": round(float(steps.mean()), 4),
        "right_batches_aside": round(sum(part.right_aside for part in parts) / right, 3),
        "right_samples_aside": round(float(aside.mean()), 3),
        "waiting_for_wrong_ones": sum(part.waiting for part in parts),
        "wrong_batches_aside": round(sum(part.wrong_aside for part in parts) / max(wrong, 1), 3),
    }


def main(sessions: int = SESSIONS) -> None:
    """Measure and save."""
    report = Report("teaching", f"Teaching with a tenth of the batches mislabelled; {BACKBONE}", FIRST_SEED, REACH)
    each = sessions // len(SETS)
    parts = [range(start, min(start + PART, each)) for start in range(0, each, PART)]
    with ProcessPoolExecutor(PROCESSES) as pool:
        found = {name: [pool.submit(sessions_of, name, part) for part in parts] for name in SETS}
        for name, tasks in found.items():
            report.add(**row_of(name, [task.result() for task in tasks]))
    report.save()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
