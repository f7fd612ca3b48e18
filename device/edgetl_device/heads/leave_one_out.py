"""How far would a device sample lie from each class if it had not been learned? In closed form.

Taking one sample out of its class changes the class's mean along one vector and the pooled scatter within the span of
two, so distances follow from a few inner products (Woodbury 1950; the identity behind the PRESS statistic, Allen,
Technometrics 1974). Device weight and the diagonal that the covariance is shrunk to stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..statistics import Int64
from .class_moments import ClassMoments, posterior
from .evidence import Evidence
from .precision import Precision
from .scatter import aligned, device_weight

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class _Classes:
    """Counts and vectors of the C classes.

    Args:
        factory, device, weight: (C,) samples there and here, and what one of the latter counts for.
        means: (C, d) as learned.
        device_means: (C, d) of the device's samples alone.
        shifts: (C, d) from the device's mean to the factory's; 0 for classes that only one of them knows.
    """

    factory: Int64
    device: Int64
    weight: Int64
    means: Floats
    device_means: Floats
    shifts: Floats


@dataclass(frozen=True, eq=False)
class _Products:
    """Inner products under the precision, of n samples y, means z, device means d and shifts w, all from the centre.

    Args:
        yy: (n, 1).
        yz: (n, C).
        zz, dz, wz: (C, C).
        dd, dw, ww: (C,).
        yd, yw: (n,) with those of a sample's own class.
    """

    yy: Floats
    yz: Floats
    zz: Floats
    dz: Floats
    wz: Floats
    dd: Floats
    dw: Floats
    ww: Floats
    yd: Floats
    yw: Floats


def distances_without_each(
    evidence: Evidence, moments: ClassMoments, codes: Codes, labels: Sequence[str]
) -> tuple[Floats, Floats]:
    """Device samples (n, d) uint8 of the evidence and their n labels → (n, C) squared distances, and (n, C) spreads.

    Both as the predictive discriminant means them (see :mod:`.predictive`): to means drawn to the centre, and by how
    much classes are widened. A class that would be left empty is infinitely far away.
    """
    precision = moments.precision
    assert precision is not None, "there are device samples"
    index = {label: column for column, label in enumerate(moments.labels)}
    if precision.samples < 2:  # without the only sample nothing is known
        shape = (len(codes), len(index))
        return np.full(shape, np.inf), np.ones(shape)
    own = np.array([index.get(label, -1) for label in labels], np.intp)
    o = np.maximum(own, 0)
    classes = _classes_of(evidence, moments)
    total = (classes.factory + classes.weight * classes.device).astype(np.float64)
    square = (classes.factory + classes.weight**2 * classes.device).astype(np.float64)
    left = np.where(own >= 0, total[o] - classes.weight[o], 1.0)
    vanishes, changes = (own >= 0) & (left <= 0), (own >= 0) & (left > 0)
    left = np.where(changes, left, 1.0)

    trust, spread = posterior(moments.effective)
    own_trust, own_spread = posterior(left**2 / np.maximum(square[o] - classes.weight[o] ** 2, 1))
    is_own = (np.arange(len(index)) == own[:, None]) & changes[:, None]
    # Distances are forms of v = a·y − b·z_k − e·z_own; with nothing left out a = 1, b = trust, e = 0.
    b = np.where(is_own, own_trust[:, None], trust)
    moved = np.where(changes, classes.weight[o] / left, 0.0)[:, None]  # the class's mean moves by −moved · (y − z_own),
    e = (1.0 - b) * moved / len(index)  # and with it the centre, which means are drawn to
    e += np.where(is_own, own_trust[:, None] * moved, 0.0)
    products = _products(precision, classes, codes, o)
    distances = _distances(products, o, b, e)
    distances -= _gained(products, classes, precision.samples - 1, o, b, e, changes)
    distances[np.flatnonzero(vanishes), own[vanishes]] = np.inf
    return distances, np.where(is_own, own_spread[:, None], spread)


def _classes_of(evidence: Evidence, moments: ClassMoments) -> _Classes:
    factory, factory_sums = aligned(evidence.factory, moments.labels)
    device, device_sums = aligned(evidence.device, moments.labels)
    weight = np.where(factory > 0, device_weight(evidence.factory.counts, evidence.device.counts), 1)
    device_means = device_sums / np.maximum(device, 1)[:, None]
    shifts = factory_sums / np.maximum(factory, 1)[:, None] - device_means
    shifts = np.where((factory * device > 0)[:, None], shifts, 0.0)
    return _Classes(factory, device, weight, moments.means, device_means, shifts)


def _products(precision: Precision, classes: _Classes, codes: Codes, o: Rows) -> _Products:
    centre = classes.means.mean(axis=0)
    y, z = (codes - centre).astype(np.float32), (classes.means - centre).astype(np.float32)
    d, w = (classes.device_means - centre).astype(np.float32), classes.shifts.astype(np.float32)
    fewer = (precision.samples - 1) / precision.samples  # fewer samples: a wider covariance
    py, pz, pd, pw = (((rows @ precision) * fewer).astype(np.float64) for rows in (y, z, d, w))
    return _Products(
        yy=np.einsum("nd,nd->n", py, y)[:, None],
        yz=py @ z.T,
        zz=pz @ z.T,
        dz=pd @ z.T,
        wz=pw @ z.T,
        dd=np.einsum("cd,cd->c", pd, d),
        dw=np.einsum("cd,cd->c", pd, w),
        ww=np.einsum("cd,cd->c", pw, w),
        yd=np.einsum("nd,nd->n", py, d[o]),
        yw=np.einsum("nd,nd->n", py, w[o]),
    )


def _distances(p: _Products, o: Rows, b: Floats, e: Floats) -> Floats:
    """(n, C) vᵀ P v under the precision of all samples."""
    a = 1.0 + e
    y_own, own_own = np.take_along_axis(p.yz, o[:, None], axis=1), p.zz[o, o][:, None]
    squares = a**2 * p.yy + b**2 * np.diagonal(p.zz) + e**2 * own_own
    return np.asarray(squares + 2 * (b * e * p.zz[o] - a * b * p.yz - a * e * y_own))


def _gained(
    p: _Products, classes: _Classes, rest: int, o: Rows, b: Floats, e: Floats, changes: npt.NDArray[np.bool_]
) -> Floats:
    """(n, C) by how much the precision without the sample makes these distances smaller."""
    a = 1.0 + e
    y_own = np.take_along_axis(p.yz, o[:, None], axis=1)
    along_u = a * (p.yy - p.yd[:, None]) - b * (p.yz - p.dz[o]) - e * (y_own - p.dz[o, o][:, None])
    along_w = a * p.yw[:, None] - b * p.wz[o] - e * p.wz[o, o][:, None]
    kernel = _symmetric(p.yy[:, 0] - 2 * p.yd + p.dd[o], p.yw - p.dw[o], p.ww[o])
    change = _change(classes.factory[o], classes.device[o], classes.weight[o], changes)
    update = change @ np.linalg.inv(np.eye(2) + kernel @ change / rest) / rest
    forms = np.stack([along_u, along_w], axis=-1)
    return np.asarray(np.einsum("nki,nij,nkj->nk", forms, update, forms))


def _change(factory: Int64, device: Int64, weight: Int64, changes: npt.NDArray[np.bool_]) -> Floats:
    """(n, 2, 2): how A changes in terms of u, the sample less its class's mean here, and w, its class's shift.

    A loses n / (n − 1) · u uᵀ of scatter; of the shift, f m / (f + m) · w wᵀ with m = weight · n is replaced by that of
    n − 1 samples, for which w is longer by u / (n − 1).
    """
    n, f = device.astype(np.float64), factory.astype(np.float64)
    rest = np.maximum(n - 1, 1)
    before, after = (f * m / np.maximum(f + m, 1) for m in (weight * n, weight * (n - 1)))
    change = _symmetric(-n / rest + after / rest**2, after / rest, after - before)
    return np.where(changes[:, None, None], change, 0.0)


def _symmetric(first: Floats, side: Floats, last: Floats) -> Floats:
    """Three (n,) → (n, 2, 2)."""
    return np.stack([np.stack([first, side], axis=-1), np.stack([side, last], axis=-1)], axis=-2)
