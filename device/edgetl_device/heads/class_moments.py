"""Weighted first moments: what device samples count for beside the factory's, and how far a class's mean is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..statistics import Int64
from .evidence import Evidence
from .precision import Precision
from .scatter import aligned, device_weight

PRIOR_SHARE = 0.25  # of the log frequency of factory classes: how often one was photographed tells little of the field
PRIOR_SAMPLES = 2.0  # τ, how many samples the prior of a class's mean is worth

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClassMoments:
    """The input of discriminant rules.

    Args:
        labels: (C,).
        means: (C, d) float64.
        effective: (C,) Kish's effective number of samples (Σw)² / Σw² behind each mean.
        log_prior: (C,) logarithms of class probabilities, up to a constant.
        precision: of the scatter within classes; None where there are no samples.
    """

    labels: tuple[str, ...]
    means: Floats
    effective: Floats
    log_prior: Floats
    precision: Precision | None


def class_moments(evidence: Evidence) -> ClassMoments:
    """Means of classes that both know weigh the device's samples; integers until the division."""
    factory, device = evidence.factory, evidence.device
    labels = tuple(sorted({*factory.labels, *device.labels}))
    weight = device_weight(factory.counts, device.counts)
    factory_counts, factory_sums = aligned(factory, labels)
    device_counts, device_sums = aligned(device, labels)
    class_weight = np.where(factory_counts > 0, weight, 1)  # a new class has nothing to be weighed against
    total = factory_counts + class_weight * device_counts
    means = (factory_sums + class_weight[:, None] * device_sums) / np.maximum(total, 1)[:, None]
    effective = total.astype(np.float64) ** 2 / np.maximum(factory_counts + class_weight**2 * device_counts, 1)
    shown = [index for index, label in enumerate(labels) if label not in evidence.hidden]
    return ClassMoments(
        tuple(labels[index] for index in shown),
        means[shown],
        effective[shown],
        log_prior(factory_counts)[shown],
        evidence.precision if labels else None,
    )


def log_prior(factory_counts: Int64) -> Floats:
    """Counts (C,) → (C,) a quarter of the log frequency; classes new to the factory count as average ones."""
    known = factory_counts > 0
    if not known.any():
        return np.zeros(len(factory_counts))
    average = factory_counts[known].mean()
    return np.asarray(PRIOR_SHARE * np.log(np.where(known, factory_counts, average) / average))


def posterior(effective: Floats) -> tuple[Floats, Floats]:
    """Effective numbers of samples → how far means are trusted, 0 … 1, and by how much classes are widened, from 1."""
    return effective / (effective + PRIOR_SAMPLES), 1.0 + 1.0 / (effective + PRIOR_SAMPLES)
