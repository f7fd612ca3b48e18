"""Things the bundle never saw: are they told from flowers, and how often is a flower called unknown?

Compared on the same holdout: what is shipped (mean cosine to the nearest of the bundled embeddings), the Mahalanobis
distance to the nearest class, the relative one (less the distance to everything: Ren et al. 2021,
https://arxiv.org/abs/2106.09022), and the largest probability. Every threshold is the 5 % quantile of the holdout.
"""

from __future__ import annotations

import numpy as np

from edgetl_device.heads.evidence import gather
from edgetl_device.heads.head import fit_head
from edgetl_device.heads.precision import Precision, solve_precision
from edgetl_device.metrics import auroc
from edgetl_device.statistics import statistics_of

from .harness import Report
from .situations import BACKBONE, Codes, Names, embeddings, halves

DRAWS, PER_CLASS = 10, 100
Scores = dict[str, list[np.ndarray]]  # of the holdout, of known and of strange things


def main() -> None:
    """Measure and save."""
    report = Report(
        "unknown",
        f"Flowers known, other things not; mean of {DRAWS} draws; {BACKBONE}",
        reach="AUROC ≥ 0.97 (litter, hands); false alarms ≤ 8 %; a flower left out ≥ 0.75",
    )
    codes, labels = embeddings("flowers")
    rows: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for seed in range(DRAWS):
        generator = np.random.default_rng([6, seed])
        train, rest = halves(labels, 0.4, generator)
        held = rest & np.isin(np.arange(len(labels)), generator.permutation(len(labels))[: len(labels) // 2])
        tests = rest & ~held
        left_out = labels != np.unique(labels)[seed % 5]
        every = np.ones(len(labels), bool)
        strangers = {name: (every, embeddings(name)[0]) for name in ("trashnet", "rps")}
        strangers["a flower left out"] = (left_out, codes[~left_out])
        for name, (known, others) in strangers.items():
            found = scored(codes, labels, train & known, held & known, codes[tests & known], others)
            for method, scores in found.items():
                rows.setdefault((name, method), []).append(judged(*scores))
    for (name, method), measured in rows.items():
        area, alarms, caught = np.mean(measured, axis=0)
        report.add(unknown=name, method=method, auroc=float(area), false_alarms=float(alarms), caught=float(caught))
    report.save()


def scored(codes: Codes, labels: Names, train: np.ndarray, held: np.ndarray, known: Codes, strange: Codes) -> Scores:
    """How familiar each method finds the holdout, known and strange things; the holdout without itself."""
    factory = statistics_of(codes[train], list(labels[train]), "b", "r")
    bank = np.concatenate([np.flatnonzero(held & (labels == label))[:PER_CLASS] for label in np.unique(labels[held])])
    evidence = gather(factory, codes[bank], [str(label) for label in labels[bank]], codes[:0], (), "r")
    head = fit_head(evidence, "predictive")
    asked = (codes[bank], known, strange)
    nearest = [head.novelty.similarity(each) for each in asked]
    nearest[0] = evidence.bank.familiarity
    means = factory.sums / factory.counts[:, None]
    centre = factory.sums.sum(axis=0) / factory.samples
    whole = solve_precision(
        (factory.gram - factory.samples * np.outer(centre, centre)).astype(np.float32),
        evidence.core.penalty / factory.dimension,
        factory.samples,
    )
    inside = [_distances(each, means, evidence.core).min(axis=1) for each in asked]
    outside = [_distances(each, centre[None], whole)[:, 0] for each in asked]
    relative = [other - one for one, other in zip(inside, outside, strict=True)]
    return {
        "nearest bundled embeddings (shipped)": nearest,
        "Mahalanobis": [-one for one in inside],
        "relative Mahalanobis": relative,
        "largest probability": [head.probabilities(each).max(axis=1) for each in asked],
    }


def judged(holdout: np.ndarray, known: np.ndarray, strange: np.ndarray) -> tuple[float, float, float]:
    """AUROC, share of known things called unknown, share of strange things called unknown."""
    threshold = float(np.quantile(holdout, 0.05))
    return auroc(-strange, -known), float((known < threshold).mean()), float((strange < threshold).mean())


def _distances(codes: Codes, means: np.ndarray, precision: Precision) -> np.ndarray:
    """(n, C) squared Mahalanobis distances to each mean."""
    features, offsets = (codes - means.mean(axis=0)).astype(np.float32), (means - means.mean(axis=0)).astype(np.float32)
    own = np.einsum("nd,nd->n", features @ precision, features)
    toward = offsets @ precision
    return np.asarray(own[:, None] - 2 * features @ toward.T + np.einsum("cd,cd->c", toward, offsets))


if __name__ == "__main__":
    main()
