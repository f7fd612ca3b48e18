"""What would a head say of a device sample if it had not learned it?

For the predictive discriminant in closed form: taking one sample out of its class changes the class's mean along one
vector and the pooled scatter within the span of two, so scores follow from a few inner products (Woodbury 1950; the
identity behind the PRESS statistic, Allen, Technometrics 1974). Device weight and the diagonal that the covariance is
shrunk to stay as they are. Other rules are fitted again without each fifth of the samples.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..statistics import Int64, statistics_of
from .class_moments import class_moments
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
        return _one_by_one(evidence, codes, labels)
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


def _one_by_one(evidence: Evidence, codes: Codes, labels: tuple[str, ...]) -> Floats:
    given = class_moments(evidence)
    precision = given.precision
    assert precision is not None, "there are device samples"
    index = {label: column for column, label in enumerate(given.labels)}
    if precision.samples < 2:  # without the only sample nothing is known
        return np.full((len(codes), len(index)), -np.inf)
    own = np.array([index.get(label, -1) for label in labels], np.intp)
    factory, factory_sums = aligned(evidence.factory, given.labels)
    device, device_sums = aligned(evidence.device, given.labels)
    weight = np.where(factory > 0, device_weight(evidence.factory.counts, evidence.device.counts), 1)
    total = (factory + weight * device).astype(np.float64)
    square = (factory + weight**2 * device).astype(np.float64)

    centre = given.means.mean(axis=0)
    y, z = (codes - centre).astype(np.float32), (given.means - centre).astype(np.float32)
    device_means = device_sums / np.maximum(device, 1)[:, None]
    ways = np.where((factory * device > 0)[:, None], factory_sums / np.maximum(factory, 1)[:, None] - device_means, 0.0)
    d, w = (device_means - centre).astype(np.float32), ways.astype(np.float32)
    fewer = (precision.samples - 1) / precision.samples  # fewer samples: a wider covariance
    py, pz, pd, pw = (((rows @ precision) * fewer).astype(np.float64) for rows in (y, z, d, w))
    yy, yz = np.einsum("nd,nd->n", py, y)[:, None], py @ z.T
    zz, dz, wz = pz @ z.T, pd @ z.T, pw @ z.T
    dd, dw, ww = (np.einsum("cd,cd->c", one, other) for one, other in ((pd, d), (pd, w), (pw, w)))

    o = np.maximum(own, 0)
    left = np.where(own >= 0, total[o] - weight[o], 1.0)
    vanishes, changes = (own >= 0) & (left <= 0), (own >= 0) & (left > 0)
    left = np.where(changes, left, 1.0)
    trust, spread = _trust(given.effective)
    own_trust, own_spread = _trust(left**2 / np.maximum(square[o] - weight[o] ** 2, 1))
    is_own = (np.arange(len(index)) == own[:, None]) & changes[:, None]
    # Distances are forms of v = a·y − b·z_k − e·z_own; with nothing left out a = 1, b = trust, e = 0.
    b = np.where(is_own, own_trust[:, None], trust)
    spread = np.where(is_own, own_spread[:, None], spread)
    moved = np.where(changes, weight[o] / left, 0.0)[:, None]  # the class's mean moves by −moved · (y − z_own),
    e = (1.0 - b) * moved / len(index)  # and with it the centre, which means are drawn to
    e += np.where(is_own, own_trust[:, None] * moved, 0.0)
    a = 1.0 + e
    y_own, own_own = np.take_along_axis(yz, o[:, None], axis=1), zz[o, o][:, None]
    vv = a**2 * yy + b**2 * np.diagonal(zz) + e**2 * own_own + 2 * (b * e * zz[o] - a * b * yz - a * e * y_own)

    y_d, y_w = np.einsum("nd,nd->n", py, d[o]), np.einsum("nd,nd->n", py, w[o])
    along_u = a * (yy - y_d[:, None]) - b * (yz - dz[o]) - e * (y_own - dz[o, o][:, None])
    along_w = a * y_w[:, None] - b * wz[o] - e * wz[o, o][:, None]
    kernel = _symmetric(yy[:, 0] - 2 * y_d + dd[o], y_w - dw[o], ww[o])
    change = _change(factory[o], device[o], weight[o], changes)
    left_over = precision.samples - 1
    update = change @ np.linalg.inv(np.eye(2) + kernel @ change / left_over) / left_over
    forms = np.stack([along_u, along_w], axis=-1)
    vv -= np.einsum("nki,nij,nkj->nk", forms, update, forms)
    scores = given.log_prior - 0.5 * (vv / spread + VOLUME_SHARE * precision.unseen * np.log(spread))
    scores[np.flatnonzero(vanishes), own[vanishes]] = -np.inf
    return np.asarray(scores)


def _trust(effective: Floats) -> tuple[Floats, Floats]:
    """Effective numbers of samples → how far means are trusted, and by how much classes are widened."""
    return effective / (effective + PRIOR_SAMPLES), 1.0 + 1.0 / (effective + PRIOR_SAMPLES)


def _change(factory: Int64, device: Int64, weight: Int64, changes: npt.NDArray[np.bool_]) -> Floats:
    """(n, 2, 2): how A changes in terms of u, the sample less its class's mean here, and w, its class's way here.

    A loses n / (n − 1) · u uᵀ of scatter; of the way, f m / (f + m) · w wᵀ with m = weight · n is replaced by that of
    n − 1 samples, for which w is longer by u / (n − 1).
    """
    n, f = device.astype(np.float64), factory.astype(np.float64)
    rest = np.maximum(n - 1, 1)
    before, after = (f * m / np.maximum(f + m, 1) for m in (weight * n, weight * (n - 1)))
    found = _symmetric(-n / rest + after / rest**2, after / rest, after - before)
    return np.where(changes[:, None, None], found, 0.0)


def _symmetric(first: Floats, side: Floats, last: Floats) -> Floats:
    """Three (n,) → (n, 2, 2)."""
    return np.stack([np.stack([first, side], axis=-1), np.stack([side, last], axis=-1)], axis=-2)
