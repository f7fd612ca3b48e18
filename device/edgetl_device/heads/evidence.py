"""Everything a head may be fitted on, and what is worked out of it once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..codes import LEVELS_PER_RMS, Codes
from ..statistics import Int64, Statistics, no_statistics, statistics_of
from .neighbours import Bank, unit
from .precision import MOST_ROWS, Matrix, Precision, Vector, solve_precision

MAX_DEVICE_WEIGHT = 20
PRIOR_FREEDOM = 10  # degrees of freedom's worth of equal variances
VARIANCE_FLOOR = 0.1  # of the mean variance: constant features would otherwise get infinite weight
_BLOCK_ROWS = 64


@dataclass(frozen=True, eq=False)
class Correction:
    """What the factory's embeddings ask of scores beyond their statistics (see :mod:`.softmax`).

    Args:
        labels: (C,).
        weights: (C, d) float32.
        bias: (C,) float32.
    """

    labels: tuple[str, ...]
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known: from the factory, from the device, and held out.

    Args:
        factory: statistics the bundle brought.
        device: statistics of the device's samples.
        holdout: (h, d) uint8 codes that are in no statistics; temperatures and thresholds are set on them.
        holdout_labels: h labels.
        recent: (r, d) uint8 codes of device samples, to recognise again what was learned here.
        recent_labels: r labels.
        origin: the code of the value 0 (see :class:`~edgetl_device.codes.CodeTransform`).
        hidden: factory labels that were forgotten: never predicted.
        correction: of the factory's embeddings, which a device does not have; None where none was fitted.
        solved: precision of the factory alone, where it was solved before.
    """

    factory: Statistics
    device: Statistics
    holdout: Codes
    holdout_labels: tuple[str, ...]
    recent: Codes
    recent_labels: tuple[str, ...]
    origin: int = 0
    hidden: frozenset[str] = frozenset()
    correction: Correction | None = None
    solved: Precision | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """All classes that can be predicted, sorted."""
        return tuple(sorted({*self.factory.labels, *self.device.labels} - self.hidden))

    @cached_property
    def bank(self) -> Bank:
        """The holdout, less what is hidden, to compare with."""
        shown = np.array([label not in self.hidden for label in self.holdout_labels], bool)
        return Bank(unit(self.holdout[shown], self.origin), np.asarray(self.holdout_labels, np.str_)[shown])

    @cached_property
    def core(self) -> Precision:
        """Of the scatter within each class and origin, factory's and device's samples alike; needs one sample."""
        if self.solved is not None and len(self.recent) == self.device.samples <= MOST_ROWS:
            nothing = no_statistics(self.device.backbone, self.device.dimension)
            return self.solved.updated(_directions(nothing, self.recent, self.recent_labels), self._samples)
        return solve_precision(_scatter(self.factory, self.device), self._variances(), self._samples)

    @cached_property
    def precision(self) -> Precision:
        """The core, and the way from one origin to the other.

        A class that moved between the factory and here varies along that way: n m / (n + m) · δ δᵀ, δ the difference of
        its means, where m counts device samples with their weight, so that a few of them already tell the way.
        """
        ways = self._ways()
        if len(self.core.rows) + len(ways) <= MOST_ROWS:
            return self.core.updated(ways, self._samples)
        return solve_precision(_scatter(self.factory, self.device) + ways.T @ ways, self._variances(), self._samples)

    def _ways(self) -> Matrix:
        """(k, d) float32, one row for each class that both know."""
        factory, device = self.factory, self.device
        shared = sorted({*factory.labels} & {*device.labels})
        there, here = _rows(factory, shared), _rows(device, shared)
        n, m = factory.counts[there], device_weight(factory.counts, device.counts) * device.counts[here]
        ways = factory.sums[there] / factory.counts[there, None] - device.sums[here] / device.counts[here, None]
        return np.asarray(np.sqrt(n * m / (n + m))[:, None] * ways, np.float32)

    @property
    def _samples(self) -> int:
        return self.factory.samples + self.device.samples

    def _variances(self) -> Vector:
        return _variances(self.factory if _freedom(self.factory) else self.device)

    @cached_property
    def centre(self) -> npt.NDArray[np.float32]:
        """(d,) where scores are expanded: the mean of the factory's classes, or the device's where there are none."""
        known = self.factory if self.factory.labels else self.device
        return np.asarray((known.sums / known.counts[:, None]).mean(axis=0), np.float32)

    @cached_property
    def held_core(self) -> Vector:
        """(h,) yᵀ A⁻¹ y of the holdout with the core's A, y = code − centre: the costly part of its scores."""
        found = np.empty(len(self.holdout))
        for start in range(0, len(found), _BLOCK_ROWS):
            y = self.holdout[start : start + _BLOCK_ROWS] - self.centre
            found[start : start + _BLOCK_ROWS] = _row_products(self.core.inverse(y), y)
        return found

    @property
    def held(self) -> Vector:
        """(h,) yᵀ P y of the holdout, y = code − centre."""
        if self.precision.base is not self.core.base:
            y = self.holdout - self.centre
            return _row_products(y @ self.precision, y)
        ways = (self.holdout - self.centre) @ self.precision.rows[len(self.core.rows) :].T
        return (self.held_core - _row_products(ways, ways)) * self._samples


def gather(
    factory: Statistics,
    holdout: Codes,
    holdout_labels: Sequence[str],
    codes: Codes,
    labels: Sequence[str],
    runtime: str | Sequence[str],
    *,
    origin: int = 0,
    hidden: frozenset[str] = frozenset(),
    correction: Correction | None = None,
    solved: Precision | None = None,
) -> Evidence:
    """Factory statistics, holdout codes (h, d) and device samples' codes (n, d), with their labels → Evidence."""
    none = no_statistics(factory.backbone, factory.dimension)
    known = Evidence(factory, none, holdout, tuple(holdout_labels), codes[:0], (), origin, hidden, correction, solved)
    return extend(known, codes, labels, runtime)


def extend(evidence: Evidence, codes: Codes, labels: Sequence[str], runtime: str | Sequence[str]) -> Evidence:
    """Evidence and more device samples → Evidence; what was worked out already is updated where that is cheaper."""
    if not len(labels):
        return evidence
    more = statistics_of(codes, labels, evidence.factory.backbone, runtime)
    after = replace(
        evidence,
        device=evidence.device + more,
        recent=np.concatenate([evidence.recent, codes]),
        recent_labels=(*evidence.recent_labels, *labels),
    )
    hand_on(evidence, after, codes, labels)
    return after


def hand_on(before: Evidence, after: Evidence, codes: Codes, labels: Sequence[str]) -> None:
    """Update what was worked out of one evidence for another that has these device samples (n, d) more.

    One more sample then costs products with a matrix, no solve. Nothing is handed on where a solve is cheaper.
    """
    worked_out, handed = before.__dict__, after.__dict__  # where cached properties live
    if "bank" in worked_out:
        handed["bank"] = before.bank
    if "core" not in worked_out or not _freedom(before.factory):
        return
    directions = _directions(before.device, codes, labels)
    if len(before.core.rows) + len(directions) > MOST_ROWS:
        return
    handed["core"] = core = before.core.updated(directions, before.core.samples + len(codes))
    if "held_core" in worked_out:
        gained = (before.holdout - before.centre) @ core.rows[len(before.core.rows) :].T
        handed["held_core"] = before.held_core - _row_products(gained, gained)


def empty_evidence(backbone: str, dimension: int) -> Evidence:
    """Nothing known at all: what a ``--no-classes`` bundle starts from."""
    nothing, none = no_statistics(backbone, dimension), np.zeros((0, dimension), np.uint8)
    return Evidence(nothing, nothing, none, (), none, ())


def device_weight(factory: Int64, device: Int64) -> int:
    """Counts a class → how much a device sample weighs, 1 … 20: a device class at most as much as a factory class."""
    if not len(factory) or not len(device):
        return 1
    ratio = int(factory.sum()) * len(device) // (int(device.sum()) * len(factory))
    return min(max(ratio, 1), MAX_DEVICE_WEIGHT)


def _scatter(factory: Statistics, device: Statistics) -> Matrix:
    """(d, d) Σ (x − μ)(x − μ)ᵀ = Σ xxᵀ − Aᵀμ over both, in blocks of rows to spare memory; μ is rounded first."""
    parts = [part for part in (factory, device) if part.labels]
    sums = np.concatenate([part.sums for part in parts]).astype(np.float64)
    means = sums / np.concatenate([part.counts for part in parts])[:, None]
    scatter = np.empty(factory.gram.shape, np.float32)
    for start in range(0, len(scatter), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        block = -sums[:, rows].T @ means
        for part in parts:
            block += part.gram[rows]  # integers below 2⁵³: exact in float64
        scatter[rows] = block
    return scatter


def _directions(device: Statistics, codes: Codes, labels: Sequence[str]) -> Matrix:
    """(k, d) float32 rows u: these samples more make the scatter within the device's classes grow by Σ u uᵀ.

    Scatter of a union = scatter of both parts + n m / (n + m) · δ δᵀ, δ the difference of their means.
    """
    names = np.asarray(labels, np.str_)
    found = [np.zeros((0, codes.shape[1]))]
    for label in sorted(set(labels)):
        rows = codes[names == label].astype(np.float64)
        mean = rows.mean(axis=0)
        if len(rows) > 1:
            found.append(rows - mean)
        if label in device.labels:
            row = device.labels.index(label)
            count = int(device.counts[row])
            way = mean - device.sums[row] / count
            found.append(np.sqrt(count * len(rows) / (count + len(rows))) * way[None])
    return np.concatenate(found).astype(np.float32)


def _freedom(statistics: Statistics) -> int:
    """Samples beyond one a class: what a variance can be estimated from."""
    return statistics.samples - len(statistics.labels)


def _variances(statistics: Statistics) -> npt.NDArray[np.float64]:
    """(d,) within-class variances, drawn to their mean and floored; all equal where there is nothing to go by."""
    freedom = _freedom(statistics)
    if freedom > 0:
        between = (statistics.sums.astype(np.float64) ** 2 / statistics.counts[:, None]).sum(axis=0)
        found = np.maximum(np.diagonal(statistics.gram) - between, 0.0) / freedom
        mean = float(found.mean())
        if mean > 1e-9:
            drawn = (freedom * found + PRIOR_FREEDOM * mean) / (freedom + PRIOR_FREEDOM)
            return np.asarray(np.maximum(drawn, VARIANCE_FLOOR * mean))
    return np.full(statistics.dimension, float(LEVELS_PER_RMS) ** 2)


def aligned(statistics: Statistics, labels: tuple[str, ...]) -> tuple[Int64, Int64]:
    """Counts (C,) and sums (C, d) in the order of ``labels``, zero for classes that are not there.

    Classes that are not among the labels, as hidden ones, are left out.
    """
    index = {label: row for row, label in enumerate(labels)}
    there = [row for row, label in enumerate(statistics.labels) if label in index]
    rows = np.array([index[statistics.labels[row]] for row in there], np.intp)
    counts, sums = np.zeros(len(labels), np.int64), np.zeros((len(labels), statistics.dimension), np.int64)
    counts[rows], sums[rows] = statistics.counts[there], statistics.sums[there]
    return counts, sums


def _row_products(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> Vector:
    """(n, d), (n, d) → (n,) inner products of their rows."""
    return np.asarray(np.einsum("nd,nd->n", one, other, dtype=np.float64))


def _rows(statistics: Statistics, labels: Sequence[str]) -> npt.NDArray[np.intp]:
    index = {label: row for row, label in enumerate(statistics.labels)}
    return np.array([index[label] for label in labels], np.intp)
