"""Strangers: with a factory bundle, after teaching, and on a device that was given no classes. How often are they seen?

Compared on the same splits: what is shipped, the mean cosine to the nearest of the bundled embeddings (Sun et al. 2022,
https://arxiv.org/abs/2204.06507), the Mahalanobis distance to the nearest class (Lee et al. 2018,
https://arxiv.org/abs/1807.03888), the relative one (Ren et al. 2021, https://arxiv.org/abs/2106.09022), the energy (Liu
et al. 2020, https://arxiv.org/abs/2010.03759) and the largest probability. Every threshold lets 5 % of the holdout, or
of the device's samples left out in turn, fall below it. Constants were chosen with flowers, cartoons and hands known,
and are confirmed with litter and paintings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from edgetl.training.directions import leading_directions
from edgetl_device.heads.evidence import Evidence, empty_evidence, extend, gather
from edgetl_device.heads.head import Head, fit_head
from edgetl_device.heads.neighbours import Bank, mean_of_nearest, unit
from edgetl_device.heads.novelty import fit_novelty
from edgetl_device.heads.precision import Precision, solve_precision
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.metrics import auroc
from edgetl_device.statistics import statistics_of

from .harness import Report, cpu_ms
from .situations import BACKBONE, Codes, Names, backbone, embeddings, halves

DRAWS, PER_CLASS, MOST_ASKED = 10, 100, 200
CASES = (
    ("flowers", ("trashnet", "rps")),
    ("cartoon", ("flowers", "trashnet")),
    ("rps", ("flowers", "trashnet")),
    ("trashnet", ("flowers", "rps")),
    ("art", ("flowers", "trashnet")),
)
CHOSEN_ON = ("flowers", "cartoon", "rps")
TAUGHT = (("flowers", "trashnet", "rps"), ("trashnet", "flowers", "rps"), ("art", "rps", "flowers"))
Scores = dict[str, list[np.ndarray]]  # of the holdout, then of each set that is asked


def main() -> None:
    """Measure and save."""
    _with_a_factory()
    _after_teaching()
    _without_classes()
    _cost()


def _with_a_factory() -> None:
    report = Report(
        "unknown",
        f"Is a stranger told from known things? Mean of {DRAWS} draws; {BACKBONE}",
        reach="mean AUROC ≥ 0.93, of classes left out ≥ 0.85; false alarms ≤ 6 %",
    )
    rows: dict[tuple[str, str, str], list[tuple[float, float, float]]] = {}
    for name, others in CASES:
        codes, labels = embeddings(name)
        for seed in range(DRAWS):
            for strange, scores in _draw(codes, labels, others, seed):
                for method, found in scores.items():
                    rows.setdefault((name, strange, method), []).append(_judged(*found))
    for (name, strange, method), measured in rows.items():
        area, alarms, caught = np.mean(measured, axis=0)
        _add(report, name, strange, method, float(area), float(alarms), float(caught))
    for half, names in (("chosen on", CHOSEN_ON), ("confirmed on", tuple({name for name, _ in CASES} - {*CHOSEN_ON}))):
        for kind, near in (("far", False), ("a class left out", True)):
            for method in {key[2]: None for key in rows}:
                keys = [k for k in rows if k[0] in names and (k[1] == "a class left out") == near and k[2] == method]
                area, alarms, caught = np.mean([np.mean(rows[key], axis=0) for key in keys], axis=0)
                _add(report, f"mean, {half}", kind, method, float(area), float(alarms), float(caught))
    report.save()


def _add(report: Report, known: str, strange: str, method: str, area: float, alarms: float, caught: float) -> None:
    report.add(known=known, unknown=strange, method=method, auroc=area, false_alarms=alarms, caught=caught)


def _draw(codes: Codes, labels: Names, others: tuple[str, ...], seed: int) -> Iterator[tuple[str, Scores]]:
    """What is strange, and scores of the holdout, of known things and of strangers."""
    generator = np.random.default_rng([6, seed])
    train, rest = halves(labels, 0.4, generator)
    held = rest & np.isin(np.arange(len(labels)), generator.permutation(len(labels))[: len(labels) // 2])
    tests = rest & ~held
    far = scored(codes, labels, train, held, [_some(codes[tests]), *(_some(embeddings(name)[0]) for name in others)])
    for number, name in enumerate(others):
        yield name, {method: [found[0], found[1], found[2 + number]] for method, found in far.items()}
    names = np.unique(labels)
    known = labels != names[seed % len(names)]
    yield (
        "a class left out",
        scored(codes, labels, train & known, held & known, [_some(codes[tests & known]), _some(codes[~known])]),
    )


def scored(codes: Codes, labels: Names, train: np.ndarray, held: np.ndarray, asked: list[Codes]) -> Scores:
    """How familiar each method finds the holdout and what is asked; the holdout without itself."""
    evidence = _factory(codes, labels, train, held)
    factory, head = evidence.factory, fit_head(evidence)
    asked = [evidence.holdout, *asked]
    scores = [head.holdout_scores, *(head.scorer.scores(each) for each in asked[1:])]
    nearest = [mean_of_nearest(unit(each, 0) @ evidence.bank.vectors.T) for each in asked]
    nearest[0] = _left_out(evidence.bank)
    means = factory.sums / factory.counts[:, None]
    centre = factory.sums.sum(axis=0) / factory.samples
    within = factory.gram - (factory.sums.T / factory.counts) @ factory.sums
    whole = factory.gram - factory.samples * np.outer(centre, centre)
    inside, outside = (_isotropic(scatter, factory.samples) for scatter in (within, whole))
    mahalanobis = [_distances(each, means, inside).min(axis=1) for each in asked]
    everything = [_distances(each, centre[None], outside)[:, 0] for each in asked]
    return {
        "shipped": [np.asarray(head.novelty.familiarity(each)) for each in asked],
        "nearest bundled embeddings": nearest,
        "Mahalanobis": [-one for one in mahalanobis],
        "relative Mahalanobis": [other - one for one, other in zip(mahalanobis, everything, strict=True)],
        "energy": [_energy(each / head.temperature) for each in scores],
        "largest probability": [_largest(each / head.temperature) for each in scores],
    }


def _after_teaching() -> None:
    report = Report(
        "unknown-taught",
        f"One class is taught by a few photos: are its others unknown, and strangers still? {DRAWS} draws; {BACKBONE}",
        reach="after 1 photo: own unknown ≤ 0.15, strangers kept ≥ 0.85; after 5: ≤ 0.08, ≥ 0.90",
    )
    for known, taught, strange in TAUGHT:
        codes, labels = embeddings(known)
        others, kinds = embeddings(taught)
        rows: dict[tuple[int, str], list[list[float]]] = {}
        for seed in range(DRAWS):
            generator = np.random.default_rng([7, seed])
            train, rest = halves(labels, 0.4, generator)
            before = _factory(codes, labels, train, rest)
            kind = np.unique(kinds)[seed % len(np.unique(kinds))]
            own = generator.permutation(np.flatnonzero(kinds == kind))
            asked = [_some(others[own[20:]]), _some(others[kinds != kind]), _some(embeddings(strange)[0])]
            was = [fit_head(before).novelty.is_unknown(each) for each in asked]
            for shots in (1, 5, 20):
                after = extend(before, others[own[:shots]], [str(kind)] * shots, "r")
                for method, told in _told_after(before, after, asked).items():
                    kept = [float(told[n].mean()) / max(float(was[n].mean()), 0.01) for n in (1, 2)]
                    rows.setdefault((shots, method), []).append([float(told[0].mean()), *kept])
        for (shots, method), measured in rows.items():
            unknown, siblings, far = (float(value) for value in np.mean(measured, axis=0))
            what = {"known": known, "taught": f"one of {taught}", "photos": shots, "method": method}
            report.add(**what, own_unknown=unknown, siblings_kept=siblings, strangers=strange, strangers_kept=far)
    report.save()


def _told_after(before: Evidence, after: Evidence, asked: list[Codes]) -> dict[str, list[np.ndarray]]:
    """Which are unknown to the shipped head, and by cosines to the holdout and the taught photos alike."""
    novelty = fit_head(after).novelty
    together = np.concatenate([before.bank.vectors, unit(after.recent, 0)])
    least = np.quantile(_left_out(before.bank), 0.05, method="weibull")
    return {
        "shipped": [novelty.is_unknown(each) for each in asked],
        "nearest embeddings": [mean_of_nearest(unit(each, 0) @ together.T) < least for each in asked],
    }


def _without_classes() -> None:
    report = Report(
        "unknown-blank",
        f"A device without classes is taught three: are strangers unknown? {DRAWS} draws; {BACKBONE}",
        reach="20 photos each: caught ≥ 0.95, false alarms ≤ 0.08; 5 photos: ≥ 0.85, ≤ 0.15",
    )
    for known, strange in CASES:
        codes, labels = embeddings(known)
        rows: dict[tuple[int, str], list[list[float]]] = {}
        for seed in range(DRAWS):
            generator = np.random.default_rng([8, seed])
            order = generator.permutation(len(labels))
            for shots in (1, 2, 5, 20):
                three = np.random.default_rng([9, seed]).permutation(np.unique(labels))[:3]
                of_class = [order[labels[order] == label] for label in three]
                shown = np.concatenate([rows_[:shots] for rows_ in of_class])
                held = np.concatenate([rows_[20:120] for rows_ in of_class])
                nothing = empty_evidence("b", codes.shape[1])
                evidence = extend(nothing, codes[shown], [str(label) for label in labels[shown]], "r")
                asked = [_some(codes[held]), *(_some(embeddings(name)[0]) for name in strange)]
                for method, told in _told_by_own(fit_head(evidence), evidence, asked).items():
                    rows.setdefault((shots, method), []).append([float(each.mean()) for each in told])
        for (shots, method), measured in rows.items():
            alarms, *caught = (float(value) for value in np.mean(measured, axis=0))
            found = {f"strangers_{number}": name for number, name in enumerate(strange, 1)}
            shares = {f"caught_{number}": share for number, share in enumerate(caught, 1)}
            report.add(known=known, photos=shots, method=method, false_alarms=alarms, **shares, **found)
    report.save()


def _cost() -> None:
    """Of one frame, beside the backbone's; 500 held-out photos, and 20 classes of 64 samples taught besides."""
    report = Report("unknown-cost", f"What does the question cost a frame, CPU time of one thread? {BACKBONE}")
    interpreter = TFLiteInterpreter(backbone(), threads=1)
    pixels = np.zeros(interpreter.input.shape[1:], np.uint8)
    codes, labels = embeddings("flowers")
    train, rest = halves(labels, 0.4, np.random.default_rng(0))
    alone = _factory(codes, labels, train, rest)
    others = embeddings("trashnet")[0][: 20 * 64]
    many = extend(alone, others, [f"taught {number // 64}" for number in range(len(others))], "r")
    blank = extend(empty_evidence("b", codes.shape[1]), others, [f"taught {n // 64}" for n in range(len(others))], "r")
    cases = (("a factory bundle", alone), ("and 20 classes taught", many), ("20 classes taught, no bundle", blank))
    calls: dict[str, Callable[[], object]] = {"the backbone": lambda: interpreter(pixels)}
    calls |= {name: partial(fit_novelty(evidence).is_unknown, codes[:1]) for name, evidence in cases}
    for name, call in calls.items():
        report.add(what=name, milliseconds=cpu_ms(call, runs=201))
    report.save()


def _told_by_own(head: Head, evidence: Evidence, asked: list[Codes]) -> dict[str, list[np.ndarray]]:
    """Which are unknown; the peers' thresholds are the 5 % quantile of the samples, each left out in turn."""
    left_out = head.scorer.scores_without_each(evidence, evidence.recent, evidence.recent_labels)
    told = {"shipped": [head.novelty.is_unknown(each) for each in asked]}
    for method, score in (("energy", _energy), ("largest probability", _largest)):
        least = np.quantile(score(left_out), 0.05)
        told[method] = [score(head.scorer.scores(each)) < least for each in asked]
    return told


def _factory(codes: Codes, labels: Names, train: np.ndarray, held: np.ndarray) -> Evidence:
    names = [str(label) for label in labels[train]]
    directions = leading_directions(statistics_of(codes[train], names, "b", "r"))
    factory = statistics_of(codes[train], names, "b", "r", directions)
    bank = np.concatenate([np.flatnonzero(held & (labels == label))[:PER_CLASS] for label in np.unique(labels[held])])
    return gather(factory, codes[bank], [str(label) for label in labels[bank]], codes[:0], (), "r")


def _judged(holdout: np.ndarray, known: np.ndarray, strange: np.ndarray) -> tuple[float, float, float]:
    """AUROC, share of known things called unknown, share of strange things called unknown."""
    threshold = float(np.quantile(holdout, 0.05, method="weibull"))
    return auroc(-strange, -known), float((known < threshold).mean()), float((strange < threshold).mean())


def _left_out(bank: Bank) -> np.ndarray:
    cosine = bank.vectors @ bank.vectors.T
    np.fill_diagonal(cosine, -1.0)
    return mean_of_nearest(cosine)


def _some(codes: Codes) -> Codes:
    return codes[np.linspace(0, len(codes) - 1, min(len(codes), MOST_ASKED)).round().astype(np.intp)]


def _energy(scores: np.ndarray) -> np.ndarray:
    most = scores.max(axis=1)
    return np.asarray(most + np.log(np.exp(scores - most[:, None]).sum(axis=1)))


def _largest(scores: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(scores.max(axis=1) - _energy(scores)))


def _isotropic(scatter: np.ndarray, samples: int) -> Precision:
    """Shrunk to equal variances, the better one for these two distances."""
    variance = float(np.trace(scatter)) / samples / len(scatter)
    return solve_precision(scatter.astype(np.float32), np.full(len(scatter), variance), samples)


def _distances(codes: Codes, means: np.ndarray, precision: Precision) -> np.ndarray:
    """(n, C) squared Mahalanobis distances to each mean."""
    features, offsets = (codes - means.mean(axis=0)).astype(np.float32), (means - means.mean(axis=0)).astype(np.float32)
    own = np.einsum("nd,nd->n", features @ precision, features)
    toward = offsets @ precision
    return np.asarray(own[:, None] - 2 * features @ toward.T + np.einsum("cd,cd->c", toward, offsets))


if __name__ == "__main__":
    main()
