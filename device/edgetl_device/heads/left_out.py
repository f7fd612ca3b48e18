"""What would a head say of a device sample if it had not learned it?

For the predictive discriminant in closed form: taking one sample out of its class changes the pooled scatter by rank
one and the class's mean by a multiple of the same vector, so scores follow from a few inner products (Sherman and
Morrison 1950; the identity behind the PRESS statistic, Allen, Technometrics 1974). Device weight and the diagonal that
the covariance is shrunk to stay as they are. Other rules are fitted again without each fifth of the samples.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..statistics import statistics_of
from .evidence import Evidence, aligned, device_weight
from .head import Head, fit_head
from .predictive import PRIOR_SAMPLES, VOLUME_SHARE, Predictive

FOLDS = 5

Floats = npt.NDArray[np.float64]


def left_out_scores(head: Head, evidence: Evidence, codes: Codes, labels: tuple[str, ...]) -> Floats:
    """Device samples (n, d) uint8 that ``head`` was fitted on, and their n labels → (n, C) scores without each.

    A sample that is all its class has leaves that class empty: −inf there. A label that is hidden has no column, and
    its samples are scored as they are.
    """
    if isinstance(head.scorer, Predictive):
        return _one_by_one(head.scorer, evidence, codes, labels)
    return _in_folds(head, evidence, codes, labels)


def _in_folds(head: Head, evidence: Evidence, codes: Codes, labels: tuple[str, ...]) -> Floats:
    column = {label: index for index, label in enumerate(head.labels)}
    scores = np.full((len(codes), len(head.labels)), -np.inf)
    for fold in range(min(FOLDS, len(codes))):
        rows = np.arange(fold, len(codes), FOLDS)
        taken = statistics_of(codes[rows], [labels[row] for row in rows], evidence.device.backbone, "")
        rule = fit_head(replace(evidence, device=evidence.device - taken), head.rule).scorer
        columns = np.array([column[label] for label in rule.labels], np.intp)
        scores[np.ix_(rows, columns)] = rule.scores(codes[rows])
    return scores


def _one_by_one(fitted: Predictive, evidence: Evidence, codes: Codes, labels: tuple[str, ...]) -> Floats:
    index = {label: column for column, label in enumerate(fitted.labels)}
    own = np.array([index.get(label, -1) for label in labels], np.intp)
    factory, factory_sums = aligned(evidence.factory, fitted.labels)
    device, device_sums = aligned(evidence.device, fitted.labels)
    weight = device_weight(evidence.factory.counts, evidence.device.counts)
    class_weight = np.where(factory > 0, weight, 1)
    total = (factory + class_weight * device).astype(np.float64)
    square = (factory + class_weight**2 * device).astype(np.float64)
    means = (factory_sums + class_weight[:, None] * device_sums) / np.maximum(total, 1)[:, None]
    z = (means - fitted.centre).astype(np.float32)
    y = codes - fitted.centre
    samples = evidence.factory.samples + evidence.device.samples
    shrink = (samples - 1) / samples  # fewer samples: a wider covariance and more shrinkage
    toward = y @ fitted.precision
    yy = np.einsum("nd,nd->n", toward, y).astype(np.float64) * shrink
    yz = (toward @ z.T).astype(np.float64) * shrink
    zz = ((z @ fitted.precision) @ z.T).astype(np.float64) * shrink
    whole = float(weight * evidence.device.samples + evidence.factory.samples)
    effective = total**2 / np.maximum(square, 1)
    scores = np.empty((len(codes), len(index)))
    for row, column in enumerate(own):
        trust = effective / (effective + PRIOR_SAMPLES)
        spread = 1.0 + 1.0 / (effective + PRIOR_SAMPLES)
        # Distances are forms of v = a·y − b·z_k − e·z_own; without anything left out a = 1, b = trust, e = 0.
        a, b, e = np.ones(len(index)), trust, np.zeros(len(index))
        gain = 0.0
        vanishes = False
        if column >= 0:
            left = total[column] - class_weight[column]
            vanishes = left <= 0
        if column >= 0 and not vanishes:
            own_effective = left**2 / (square[column] - class_weight[column] ** 2)
            trust = trust.copy()
            trust[column] = own_effective / (own_effective + PRIOR_SAMPLES)
            spread[column] = 1.0 + 1.0 / (own_effective + PRIOR_SAMPLES)
            moved = class_weight[column] / left  # the class's mean moves by this much of −(y − z_own)
            shift = (1.0 - trust) * moved / len(index)  # and the centre, which means are drawn to
            shift[column] += trust[column] * moved
            a, b, e = 1.0 + shift, trust, shift
            gain = weight * total[column] / left / whole
        k = np.arange(len(index))
        own_k = max(column, 0)
        vv = (
            a**2 * yy[row] + b**2 * zz[k, k] + e**2 * zz[own_k, own_k]
            - 2 * a * b * yz[row] - 2 * a * e * yz[row, own_k] + 2 * b * e * zz[own_k]
        )  # fmt: skip
        if gain:
            uy, uz = yy[row] - yz[row, own_k], yz[row] - zz[own_k]
            uu = uy - uz[own_k]
            uv = a * uy - b * uz - e * uz[own_k]
            vv += gain * uv**2 / max(1.0 - gain * uu, 1e-6)
        scores[row] = -0.5 * (vv / spread + VOLUME_SHARE * fitted.unseen * np.log(spread))
        if vanishes:
            scores[row, column] = -np.inf
    return scores
