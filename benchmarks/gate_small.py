"""Nine or fifteen held-out photos: does the gate stop what does much harm, without asking at every lesson?

What a lesson really costs is counted on sixty other photos of each known class. The borders of what is asked about were
chosen on other draws (stream 77) of the same photos.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from edgetl_device.heads.evidence import Evidence, extend, gather
from edgetl_device.heads.head import Head, fit_head
from edgetl_device.learning.gate import Judged

from .gate import MOST, judged, of
from .harness import Report
from .situations import BACKBONE, Codes, embeddings, factory_statistics

STREAM, RUNS, KNOWN, TESTS = 78, 20, 3, 60
HELD_OUT = {9: 12, 15: 19}  # photos of all classes → training photos a class
HARM = 0.15  # of accuracy, on photos that nobody saw
REACH = "harmful lessons pass in ≤ 20 %, harmless ones are stopped in ≤ 15 %"


class World:
    """Three flowers at the factory, from few photos; the fourth is new."""

    def __init__(self, seed: int, held_out: int) -> None:
        codes, labels = embeddings("flowers")
        generator = np.random.default_rng([STREAM, seed])
        self.codes = codes
        self.classes = [str(name) for name in generator.permutation(np.unique(labels))]
        self._pool = {name: generator.permutation(np.flatnonzero(labels == name)).tolist() for name in self.classes}
        self.known = self.classes[:KNOWN]
        train, train_labels = self._of_each(HELD_OUT[held_out])
        held, held_labels = self._of_each(held_out // KNOWN)
        self.tests, self.truth = self._of_each(TESTS)
        factory = factory_statistics(train, train_labels)
        self.evidence: Evidence = gather(factory, held, held_labels, codes[:0], (), "r")
        self.head = fit_head(self.evidence)

    def take(self, name: str, count: int) -> Codes:
        """Photos that were not shown before."""
        return self.codes[[self._pool[name].pop() for _ in range(count)]]

    def _of_each(self, count: int) -> tuple[Codes, list[str]]:
        labels = [name for name in self.known for _ in range(count)]
        return np.concatenate([self.take(name, count) for name in self.known]), labels

    def accuracy(self, head: Head) -> float:
        """On photos of the known classes that nobody saw."""
        best = np.asarray(head.labels)[head.scorer.scores(self.tests).argmax(axis=1)]
        return float((best == np.asarray(self.truth)).mean())


LESSONS: dict[str, Callable[[World], tuple[Codes, str]]] = {
    "1 of a known class": lambda w: (w.take(w.known[0], 1), w.known[0]),
    "10 of a known class": lambda w: (w.take(w.known[0], 10), w.known[0]),
    "1 of a new flower": lambda w: (w.take(w.classes[KNOWN], 1), "new"),
    "10 of a new flower": lambda w: (w.take(w.classes[KNOWN], 10), "new"),
    "1 of a known class by a new name": lambda w: (w.take(w.known[0], 1), "alias"),
    "5 of a known class by a new name": lambda w: (w.take(w.known[0], 5), "alias"),
    "5 of one class as another": lambda w: (w.take(w.known[0], 5), w.known[1]),
}


def main() -> None:
    """Measure and save."""
    report = Report("gate_small", f"Lessons judged on few held-out photos; {BACKBONE}", seed=STREAM, reach=REACH)
    rows: dict[tuple[int, str], list[tuple[bool, float]]] = defaultdict(list)
    for seed in range(RUNS):
        for held_out in HELD_OUT:
            world = World(seed, held_out)
            for name, lesson in LESSONS.items():
                codes, label = lesson(world)
                aside, _ = judged(Judged(world.head, world.evidence), of(codes, label))
                learned = extend(world.evidence, codes, [label] * len(codes), "r")
                lost = world.accuracy(world.head) - world.accuracy(fit_head(learned))
                rows[held_out, name].append((float(aside.mean()) <= MOST, lost))
    for (held_out, name), outcomes in rows.items():
        passed, harm = (np.array(column) for column in zip(*outcomes, strict=True))
        report.add(
            held_out=held_out, lesson=name, runs=len(outcomes), stopped=round(float((~passed).mean()), 2),
            harmful=round(float((harm > HARM).mean()), 2),
            harmful_and_passed=round(float((passed & (harm > HARM)).mean()), 2),
        )  # fmt: skip
    report.save()


if __name__ == "__main__":
    main()
