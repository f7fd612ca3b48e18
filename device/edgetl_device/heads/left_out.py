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
    trust, spread = _trust(total**2 / np.maximum(square, 1))
    has = own >= 0
    o = np.maximum(own, 0)
    left = np.where(has, total[o] - class_weight[o], 1.0)
    vanishes = has & (left <= 0)
    changes = has & ~vanishes
    left = np.where(changes, left, 1.0)
    own_trust, own_spread = _trust(left**2 / np.maximum(square[o] - class_weight[o] ** 2, 1))
    is_own = (np.arange(len(index)) == own[:, None]) & changes[:, None]
    # Distances are forms of v = a·y − b·z_k − e·z_own; with nothing left out a = 1, b = trust, e = 0.
    b = np.where(is_own, own_trust[:, None], trust)
    spread = np.where(is_own, own_spread[:, None], spread)
    moved = np.where(changes, class_weight[o] / left, 0.0)[:, None]  # the class's mean moves by −moved · (y − z_own),
    e = (1.0 - b) * moved / len(index)  # and with it the centre, which means are drawn to
    e += np.where(is_own, own_trust[:, None] * moved, 0.0)
    a = 1.0 + e
    y_own, z_own = yz[np.arange(len(codes)), o][:, None], zz[o]
    own_own = zz[o, o][:, None]
    vv = a**2 * yy[:, None] + b**2 * np.diagonal(zz) + e**2 * own_own
    vv += 2 * (b * e * z_own - a * b * yz - a * e * y_own)
    uy, uz, u_own = yy[:, None] - y_own, yz - z_own, y_own - own_own
    gain = np.where(changes, weight * total[o] / left / whole, 0.0)[:, None]
    vv += gain * (a * uy - b * uz - e * u_own) ** 2 / np.maximum(1.0 - gain * (uy - u_own), 1e-6)
    scores = -0.5 * (vv / spread + VOLUME_SHARE * fitted.unseen * np.log(spread))
    scores[np.flatnonzero(vanishes), own[vanishes]] = -np.inf
    return np.asarray(scores)


def _trust(effective: Floats) -> tuple[Floats, Floats]:
    """Effective numbers of samples → how far means are trusted, and by how much classes are widened."""
    return effective / (effective + PRIOR_SAMPLES), 1.0 + 1.0 / (effective + PRIOR_SAMPLES)
