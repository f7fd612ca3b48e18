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
from .scatter import aligned, aligned_counts, device_weight, row_products

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class _Classes:
    """Counts of the C classes, and vectors of the u own classes.

    Args:
        factory, device, weight: (C,) samples there and here, and what one of the latter counts for.
        device_means: (u, d) of the device's samples alone.
        shifts: (u, d) from the device's mean to the factory's; 0 for classes that only one of them knows.
    """

    factory: Int64
    device: Int64
    weight: Int64
    device_means: Floats
    shifts: Floats


@dataclass(frozen=True, eq=False)
class _Products:
    """Inner products under the precision, of n samples y, C means z, and u own classes' device means d and shifts w.

    All are taken from the centre of the means. Own classes are those that any of the samples belongs to.

    Args:
        yy: (n, 1).
        yz: (n, C).
        zz: (C,).
        oz, dz, wz: (u, C) of an own class's mean, device mean and shift with every mean.
        dd, dw, ww: (u,).
        yd, yw: (n,) with those of the sample's own class.
    """

    yy: Floats
    yz: Floats
    zz: Floats
    oz: Floats
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
    asked, u = np.unique(o, return_inverse=True)
    classes = _classes_of(evidence, moments, asked)
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
    products = _products(precision, moments.means, classes, codes, asked, u)
    y_own = np.take_along_axis(products.yz, o[:, None], axis=1)
    distances = _distances(products, u, np.take_along_axis(products.oz[u], o[:, None], axis=1), y_own, b, e)
    change = _change(classes.factory[o], classes.device[o], classes.weight[o], changes)
    distances -= _gained(products, change, precision.samples - 1, o, u, y_own, b, e)
    distances[np.flatnonzero(vanishes), own[vanishes]] = np.inf
    return distances, np.where(is_own, own_spread[:, None], spread)


def _classes_of(evidence: Evidence, moments: ClassMoments, asked: Rows) -> _Classes:
    factory, device = aligned_counts(evidence.factory, moments.labels), aligned_counts(evidence.device, moments.labels)
    weight = np.where(factory > 0, device_weight(evidence.factory.counts, evidence.device.counts), 1)
    labels = tuple(moments.labels[column] for column in asked)
    of_factory, factory_sums = aligned(evidence.factory, labels)
    of_device, device_sums = aligned(evidence.device, labels)
    device_means = device_sums / np.maximum(of_device, 1)[:, None]
    shifts = factory_sums / np.maximum(of_factory, 1)[:, None] - device_means
    shifts = np.where((of_factory * of_device > 0)[:, None], shifts, 0.0)
    return _Classes(factory, device, weight, device_means, shifts)


def _products(precision: Precision, means: Floats, classes: _Classes, codes: Codes, asked: Rows, u: Rows) -> _Products:
    """``asked`` are the u own classes, ``u`` (n,) is which of them a sample belongs to."""
    centre = means.mean(axis=0)
    y, z = (codes - centre).astype(np.float32), (means - centre).astype(np.float32)
    d, w = (classes.device_means - centre).astype(np.float32), classes.shifts.astype(np.float32)
    fewer = np.float32((precision.samples - 1) / precision.samples)  # fewer samples: a wider covariance
    py, pz, pd, pw = ((rows @ precision) * fewer for rows in (y, z, d, w))
    return _Products(
        yy=row_products(py, y)[:, None],
        yz=(py @ z.T).astype(np.float64),
        zz=row_products(pz, z),
        oz=pz[asked].astype(np.float64) @ z.T,
        dz=pd.astype(np.float64) @ z.T,
        wz=pw.astype(np.float64) @ z.T,
        dd=row_products(pd, d),
        dw=row_products(pd, w),
        ww=row_products(pw, w),
        yd=row_products(py, d[u]),
        yw=row_products(py, w[u]),
    )


def _distances(p: _Products, u: Rows, own_own: Floats, y_own: Floats, b: Floats, e: Floats) -> Floats:
    """(n, C) vᵀ P v under the precision of all samples."""
    a = 1.0 + e
    squares = a**2 * p.yy + b**2 * p.zz + e**2 * own_own
    return np.asarray(squares + 2 * (b * e * p.oz[u] - a * b * p.yz - a * e * y_own))


def _gained(p: _Products, change: Floats, rest: int, o: Rows, u: Rows, y_own: Floats, b: Floats, e: Floats) -> Floats:
    """(n, C) by how much the precision without the sample makes these distances smaller."""
    a = 1.0 + e
    d_own, w_own = (np.take_along_axis(rows[u], o[:, None], axis=1) for rows in (p.dz, p.wz))
    along_u = a * (p.yy - p.yd[:, None]) - b * (p.yz - p.dz[u]) - e * (y_own - d_own)
    along_w = a * p.yw[:, None] - b * p.wz[u] - e * w_own
    kernel = _symmetric(p.yy[:, 0] - 2 * p.yd + p.dd[u], p.yw - p.dw[u], p.ww[u])
    update = change @ np.linalg.inv(np.eye(2) + kernel @ change / rest) / rest
    first, side, last = (update[:, i, j, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    side = side + update[:, 1, 0, None]
    return np.asarray(first * along_u**2 + side * along_u * along_w + last * along_w**2)


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
