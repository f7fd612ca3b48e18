"""Everything a head may be fitted on, and its reduction to weighted moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import LEVELS_PER_RMS, Codes
from ..statistics import Int64, Statistics, no_statistics, statistics_of
from .precision import Precision, shrink_and_invert

MAX_DEVICE_WEIGHT = 20
PRIOR_FREEDOM = 10  # degrees of freedom's worth of equal variances
VARIANCE_FLOOR = 0.1  # of the mean variance: constant features would otherwise get infinite weight
_BLOCK_ROWS = 64


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
    """

    factory: Statistics
    device: Statistics
    holdout: Codes
    holdout_labels: tuple[str, ...]
    recent: Codes
    recent_labels: tuple[str, ...]
    origin: int = 0
    hidden: frozenset[str] = frozenset()

    @property
    def labels(self) -> tuple[str, ...]:
        """All classes that can be predicted, sorted."""
        return tuple(sorted({*self.factory.labels, *self.device.labels} - self.hidden))


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
) -> Evidence:
    """Factory statistics, holdout codes (h, d) and device samples' codes (n, d), with their labels → Evidence."""
    device = statistics_of(codes, labels, factory.backbone, runtime)
    return Evidence(factory, device, holdout, tuple(holdout_labels), codes, tuple(labels), origin, hidden)


def empty_evidence(backbone: str, dimension: int) -> Evidence:
    """Nothing known at all: what a ``--no-classes`` bundle starts from."""
    nothing, none = no_statistics(backbone, dimension), np.zeros((0, dimension), np.uint8)
    return Evidence(nothing, nothing, none, (), none, ())


@dataclass(frozen=True, eq=False)
class Moments:
    """Weighted first and second moments, the input of linear rules.

    Args:
        labels: (C,).
        means: (C, d) float64.
        effective: (C,) float64, Kish's effective number of samples (Σw)² / Σw² behind each mean.
        precision: of the covariance pooled within classes; None where there are no samples.
    """

    labels: tuple[str, ...]
    means: npt.NDArray[np.float64]
    effective: npt.NDArray[np.float64]
    precision: Precision | None


def device_weight(factory: Int64, device: Int64) -> int:
    """Counts a class → how much a device sample weighs, 1 … 20: a device class at most as much as a factory class.

    An integer, so that weighted statistics stay exact.
    """
    if not len(factory) or not len(device):
        return 1
    ratio = int(factory.sum()) * len(device) // (int(device.sum()) * len(factory))
    return min(max(ratio, 1), MAX_DEVICE_WEIGHT)


def moments(evidence: Evidence) -> Moments:
    """Integer statistics, weighted in integers; the first rounding is that of the class means."""
    factory, device = evidence.factory, evidence.device
    labels = tuple(sorted({*factory.labels, *device.labels}))
    weight = device_weight(factory.counts, device.counts)
    factory_counts, factory_sums = aligned(factory, labels)
    device_counts, device_sums = aligned(device, labels)
    # Samples of a new class have nothing to be weighed against: only their scatter takes the weight.
    class_weight = np.where(factory_counts > 0, weight, 1)
    total = factory_counts + class_weight * device_counts
    means = (factory_sums + class_weight[:, None] * device_sums) / np.maximum(total, 1)[:, None]
    effective = total.astype(np.float64) ** 2 / np.maximum(factory_counts + class_weight**2 * device_counts, 1)
    counts = factory_counts + weight * device_counts
    precision = None
    if labels:
        sums = (factory_sums + weight * device_sums).astype(np.float64)
        covariance = _covariance(factory, device, weight, sums, means, counts)
        variances = _variances(factory if factory.samples > len(factory.labels) else device)
        precision = shrink_and_invert(covariance, variances, factory.samples + device.samples, int(counts.sum()))
    shown = [index for index, label in enumerate(labels) if label not in evidence.hidden]
    return Moments(tuple(labels[index] for index in shown), means[shown], effective[shown], precision)


def _covariance(
    factory: Statistics,
    device: Statistics,
    weight: int,
    sums: npt.NDArray[np.float64],
    means: npt.NDArray[np.float64],
    counts: Int64,
) -> npt.NDArray[np.float32]:
    """Σ w (x − μ)(x − μ)ᵀ = Σ w xxᵀ − Aᵀμ − μᵀA + μᵀ diag(n) μ, over Σ w; in blocks of rows to spare memory."""
    total = float(counts.sum())
    rest = counts[:, None] * means - sums
    covariance = np.empty(factory.gram.shape, np.float32)
    for start in range(0, len(covariance), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        block = means[:, rows].T @ rest - sums[:, rows].T @ means
        block += factory.gram[rows]  # integers below 2⁵³: exact in float64
        if device.labels:
            block += float(weight) * device.gram[rows]
        covariance[rows] = block / total
    return covariance


def _variances(statistics: Statistics) -> npt.NDArray[np.float64]:
    """(d,) within-class variances, drawn to their mean and floored; all equal where there is nothing to go by."""
    freedom = statistics.samples - len(statistics.labels)
    if freedom > 0:
        between = (statistics.sums.astype(np.float64) ** 2 / statistics.counts[:, None]).sum(axis=0)
        found = np.maximum(np.diagonal(statistics.gram) - between, 0.0) / freedom
        mean = float(found.mean())
        if mean > 1e-9:
            drawn = (freedom * found + PRIOR_FREEDOM * mean) / (freedom + PRIOR_FREEDOM)
            return np.asarray(np.maximum(drawn, VARIANCE_FLOOR * mean))
    return np.full(statistics.dimension, float(LEVELS_PER_RMS) ** 2)


def aligned(statistics: Statistics, labels: tuple[str, ...]) -> tuple[Int64, Int64]:
    """Counts (C,) and sums (C, d) in the order of ``labels``, zero for classes that are not there."""
    index = {label: row for row, label in enumerate(labels)}
    rows = np.array([index[label] for label in statistics.labels], np.intp)
    counts, sums = np.zeros(len(labels), np.int64), np.zeros((len(labels), statistics.dimension), np.int64)
    counts[rows], sums[rows] = statistics.counts, statistics.sums
    return counts, sums
