"""Things the bundle never saw: are they told from flowers, and how often is a flower called unknown?"""

from __future__ import annotations

import numpy as np

from edgetl_device.heads import fit_head, gather
from edgetl_device.metrics import auroc
from edgetl_device.statistics import statistics_of

from .harness import Report
from .situations import BACKBONE, Codes, Names, embeddings, halves

DRAWS, PER_CLASS = 10, 100


def main() -> None:
    """Measure and save."""
    report = Report(
        "unknown",
        f"Flowers known, other things not; mean of {DRAWS} draws; {BACKBONE}",
        reach="AUROC ≥ 0.97 (litter, hands); false alarms ≤ 8 %; a flower left out ≥ 0.75",
    )
    codes, labels = embeddings("flowers")
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(DRAWS):
        generator = np.random.default_rng([6, seed])
        train, rest = halves(labels, 0.4, generator)
        held = rest & np.isin(np.arange(len(labels)), generator.permutation(len(labels))[: len(labels) // 2])
        tests = rest & ~held
        for name in ("trashnet", "rps"):
            others, _ = embeddings(name)
            rows.setdefault(name, []).append(measure(codes, labels, train, held, codes[tests], others))
        left_out = np.unique(labels)[seed % 5]
        known = labels != left_out
        others = codes[~known]
        rows.setdefault("a flower left out", []).append(
            measure(codes, labels, train & known, held & known, codes[tests & known], others)
        )
    for name, found in rows.items():
        area, alarms, caught = np.mean(found, axis=0)
        report.add(unknown=name, auroc=float(area), false_alarms=float(alarms), caught=float(caught))
    report.save()


def measure(
    codes: Codes, labels: Names, train: np.ndarray, held: np.ndarray, known: Codes, strange: Codes
) -> tuple[float, float, float]:
    """AUROC, share of known things called unknown, share of strange things called unknown."""
    factory = statistics_of(codes[train], list(labels[train]), "b", "r")
    bank = np.concatenate([np.flatnonzero(held & (labels == label))[:PER_CLASS] for label in np.unique(labels[held])])
    evidence = gather(factory, codes[bank], [str(label) for label in labels[bank]], codes[:0], (), "r")
    novelty = fit_head(evidence, "prototype").novelty
    area = auroc(-novelty.similarity(strange), -novelty.similarity(known))
    return area, float(novelty.is_unknown(known).mean()), float(novelty.is_unknown(strange).mean())


if __name__ == "__main__":
    main()
