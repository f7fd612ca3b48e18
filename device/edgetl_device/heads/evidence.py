"""Everything a head may be fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..statistics import Statistics, no_statistics, statistics_of

DEVICE_WEIGHT = 20  # of a device sample of a class the factory knows; an integer, so statistics stay exact


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known: from the factory, from the device, and held out.

    Args:
        factory: statistics the bundle brought.
        known: statistics of device samples of classes the factory knows.
        new: statistics of device samples of other classes.
        references: (r, d) uint8 codes to measure familiarity against: the holdout, then device samples.
        reference_labels: r labels.
        holdout: how many of the references, from the first on, are the bundle's holdout. They are in no statistics,
            so thresholds and temperatures are set on them.
        origin: the code of the value 0 (see :class:`~edgetl_device.codes.CodeTransform`).
        hidden: factory labels that were forgotten: never predicted.
    """

    factory: Statistics
    known: Statistics
    new: Statistics
    references: Codes
    reference_labels: tuple[str, ...]
    holdout: int
    origin: int = 0
    hidden: frozenset[str] = frozenset()

    @property
    def labels(self) -> tuple[str, ...]:
        """All classes that can be predicted, sorted."""
        return tuple(sorted({*self.factory.labels, *self.known.labels, *self.new.labels} - self.hidden))

    @property
    def holdout_codes(self) -> Codes:
        """(h, d) uint8."""
        return self.references[: self.holdout]

    @property
    def holdout_labels(self) -> tuple[str, ...]:
        """h labels."""
        return self.reference_labels[: self.holdout]


def gather(
    factory: Statistics,
    holdout: Codes,
    holdout_labels: Sequence[str],
    codes: Codes,
    labels: Sequence[str],
    runtime: str,
    *,
    origin: int = 0,
    hidden: frozenset[str] = frozenset(),
) -> Evidence:
    """Factory statistics, holdout codes (h, d) and device samples' codes (n, d), with their labels → Evidence."""
    is_known = np.isin(np.asarray(labels, np.str_), factory.labels) if len(codes) else np.zeros(0, bool)
    parts = []
    for rows in (is_known, ~is_known):
        names = [label for label, row in zip(labels, rows, strict=True) if row]
        parts.append(statistics_of(codes[rows], names, factory.backbone, runtime))
    return Evidence(
        factory,
        parts[0],
        parts[1],
        np.concatenate([holdout, codes]),
        (*holdout_labels, *labels),
        len(holdout),
        origin,
        hidden,
    )


@dataclass(frozen=True, eq=False)
class Moments:
    """Weighted first and second moments, the input of linear rules.

    Args:
        labels: (C,).
        means: (C, d) float64.
        effective: (C,) float64, Kish's effective number of samples (Σw)² / Σw² behind each mean.
        scatter: (d, d) float64, pooled within-class scatter divided by the total weight: a covariance.
        samples: N, how many samples in all.
    """

    labels: tuple[str, ...]
    means: npt.NDArray[np.float64]
    effective: npt.NDArray[np.float64]
    scatter: npt.NDArray[np.float64]
    samples: int


def moments(evidence: Evidence) -> Moments:
    """Integer statistics, weighted in integers; the first rounding is the conversion to float64 at the end."""
    parts = ((evidence.factory, 1), (evidence.known, DEVICE_WEIGHT), (evidence.new, 1))
    labels = tuple(sorted({label for part, _ in parts for label in part.labels}))
    dimension = evidence.factory.dimension
    weights = np.zeros(len(labels), np.int64)
    squares = np.zeros(len(labels), np.int64)
    sums = np.zeros((len(labels), dimension), np.int64)
    gram = np.zeros((dimension, dimension), np.int64)
    for part, weight in parts:
        if part.labels:
            rows = np.searchsorted(labels, part.labels)
            weights[rows] += weight * part.counts
            squares[rows] += weight * weight * part.counts
            sums[rows] += weight * part.sums
            gram += part.gram if weight == 1 else weight * part.gram
    means = sums / weights[:, None]
    # Σxxᵀ − Σ n m mᵀ: both terms are sums of many squares, but codes are small, so float64 keeps ≥ 9 digits.
    scatter = gram - (means * weights[:, None]).T @ means
    scatter /= max(int(weights.sum()), 1)
    shown = [index for index, label in enumerate(labels) if label not in evidence.hidden]
    effective = weights.astype(np.float64) ** 2 / squares
    samples = sum(part.samples for part, _ in parts)
    return Moments(tuple(labels[i] for i in shown), means[shown], effective[shown], scatter, samples)


def empty_evidence(backbone: str, dimension: int) -> Evidence:
    """Nothing known at all: what a ``--no-classes`` bundle starts from."""
    nothing = no_statistics(backbone, dimension)
    return Evidence(nothing, nothing, nothing, np.zeros((0, dimension), np.uint8), (), 0)
