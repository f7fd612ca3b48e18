"""What would a class's own covariance say of a device sample if the sample had not been learned? In closed form.

Taking one sample out of its class changes the class's mean along the way from it to the sample, and both the class's
scatter and the shared one by one outer product, so inverses and determinants follow from a few inner products (Sherman
and Morrison 1950). The projection, the whitening and the usual gain stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from .class_covariances import PRIOR_FREEDOM, ClassCovariances, ClassScatter
from .class_moments import ClassMoments, Floats, posterior
from .evidence import Evidence
from .scatter import aligned, device_weight

_LEAST = 1e-3  # of what a rank-one change may leave of a determinant; learned samples leave more


@dataclass(frozen=True, eq=False)
class _Samples:
    """n samples and their own classes, in the whitened space of the projection.

    Args:
        own: (n,) column of each sample's class; −1 where it is hidden.
        along: (n, q) t.
        away: (n, q) from the mean of the class's device samples.
        gone: (n,) by how many outer products of ``away`` the scatter shrinks: m / (m − 1), 0 for what stays.
        means: (n, q) drawn means of the own classes without the sample.
        spread: (n,) by how much these are widened.
    """

    own: npt.NDArray[np.intp]
    along: Floats
    away: Floats
    gone: Floats
    means: Floats
    spread: Floats


def terms_without_each(
    evidence: Evidence,
    moments: ClassMoments,
    found: ClassScatter,
    covariances: ClassCovariances,
    codes: Codes,
    labels: Sequence[str],
) -> Floats:
    """Device samples (n, d) uint8 of the evidence and their n labels → (n, C) what :mod:`.gaussian` adds to scores."""
    terms = np.tile(covariances.usual, (len(codes), 1))
    if not len(covariances.classes) or moments.precision is None:
        return terms
    samples = _samples(evidence, moments, covariances, codes, labels)
    centre = moments.means.mean(axis=0)
    trust, spread = posterior(moments.effective)
    means = trust[:, None] * ((moments.means - centre) @ covariances.directions.T)
    number = moments.precision.samples
    for position, column in enumerate(covariances.classes.tolist()):
        own = samples.own == column
        share = covariances.shares[position]
        inverse, volume = (
            covariances.curvatures[position] + np.eye(len(found.directions)),
            covariances.volumes[position],
        )
        losses = np.full(len(codes), 1 / number - share / found.degrees)
        whole = (inverse, volume, np.where(own, 0.0, losses * samples.gone))
        terms[:, column] += _term(samples, samples.along - means[column], spread[column], whole, number)
        if own.any():
            less, own_inverse, own_volume = _one_less(found, covariances, position)
            losses = (1 / number + less - share / found.degrees) * samples.gone
            rest = _term(
                samples, samples.along - samples.means, samples.spread, (own_inverse, own_volume, losses), number
            )
            terms[own, column] = covariances.usual[column] + rest[own]
    return terms


def _term(samples: _Samples, apart: Floats, spread: Floats, own: tuple[Floats, float, Floats], number: int) -> Floats:
    """(n,) of one class: ``own`` is its inverse covariance, the ln det of that, and how often ``away`` leaves it."""
    inverse, volume, lost = own
    theirs = _without(apart, samples.away, inverse, lost)
    shared = _without(apart, samples.away, None, samples.gone / number)
    distance = (theirs[0] - shared[0]) * (number - 1) / number / spread
    return np.asarray(-0.5 * (distance + volume + theirs[1] - shared[1]))


def _without(apart: Floats, away: Floats, inverse: Floats | None, lost: Floats) -> tuple[Floats, Floats]:
    """(n,) aᵀ (B − lost · v vᵀ)⁻¹ a and by how much ln det grows, with B⁻¹ given, or the identity."""
    ours, theirs = (rows if inverse is None else rows @ inverse for rows in (apart, away))
    left = np.maximum(1 - lost * np.einsum("nq,nq->n", theirs, away), _LEAST)
    return (
        np.einsum("nq,nq->n", ours, apart) + lost * np.einsum("nq,nq->n", ours, away) ** 2 / left,
        np.log(left),
    )


def _one_less(found: ClassScatter, covariances: ClassCovariances, position: int) -> tuple[float, Floats, float]:
    """What one outer product weighs in a class of one sample less, and its inverse and ln det before that is taken."""
    whitening = covariances.whitening
    freed = covariances.freedom[position]
    part = covariances.shares[position] * (freed + PRIOR_FREEDOM) / freed
    weight = part / (freed - 1 + PRIOR_FREEDOM)
    own = weight * (found.scatter[position] - (freed - 1) * found.pooled)
    covariance = np.eye(len(whitening)) + whitening @ own @ whitening.T
    return weight, np.linalg.inv(covariance), float(np.linalg.slogdet(covariance)[1])


def _samples(
    evidence: Evidence, moments: ClassMoments, covariances: ClassCovariances, codes: Codes, labels: Sequence[str]
) -> _Samples:
    """All from the centre of the means."""
    index = {label: column for column, label in enumerate(moments.labels)}
    own = np.array([index.get(label, -1) for label in labels], np.intp)
    o = np.maximum(own, 0)
    factory, _ = aligned(evidence.factory, moments.labels)
    device, device_sums = aligned(evidence.device, moments.labels)
    weight = np.where(factory > 0, device_weight(evidence.factory.counts, evidence.device.counts), 1)
    centre = moments.means.mean(axis=0)
    along = (codes - centre) @ covariances.directions.T
    raw = (moments.means - centre) @ covariances.directions.T
    here = (device_sums / np.maximum(device, 1)[:, None] - centre) @ covariances.directions.T
    left = (factory + weight * device - weight).astype(np.float64)
    square = (factory + weight**2 * device - weight**2).astype(np.float64)
    changes = (own >= 0) & (left[o] > 0)
    moved = np.where(changes, weight[o] / np.maximum(left[o], 1), 0.0)[:, None]
    steps = moved * (along - raw[o])
    trust, spread = posterior(np.maximum(left, 0) ** 2 / np.maximum(square, 1))
    middle = -steps / len(index)
    means = middle + trust[o, None] * (raw[o] - steps - middle)
    others = device[o] > 1
    gone = np.where(changes & others, device[o] / np.maximum(device[o] - 1, 1), 0.0)
    return _Samples(own, along, along - here[o], gone, means, spread[o])
