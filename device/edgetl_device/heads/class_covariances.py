"""How each class varies by itself: covariances of single classes along a projection, drawn to what all have in common.

With q directions and S_c the scatter of a class's n samples along them, its covariance is

    Π_c = Π + (n − 1) / (n − 1 + ν) · f · (S_c / (n − 1) − pooled)

Π is what the shared model (:mod:`.precision`) says of the directions, shrinkage included, and f = (degrees of
freedom) / N makes the pooled covariance a part of it: so Π_c is positive definite whatever n. That is regularised
discriminant analysis (Friedman, JASA 1989, https://doi.org/10.1080/01621459.1989.10478752) with a strength by rule,
restricted to few directions, where there are samples enough to tell classes apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .class_moments import Floats
from .evidence import Evidence
from .scatter import aligned_rows, scatter_along, scatter_of_all

PRIOR_FREEDOM = 500.0  # ν: the best of 200 to 1000 on flowers, paintings, hands, digits, tiles and coffee pods
LEAST_FREEDOM = 8  # of a class, to have a covariance of its own
MOST_CLASSES = 128  # that have one: those with the most samples
_LEAST_OF_LARGEST = 1e-13  # what a variance given the others may be, of the largest one


@dataclass(frozen=True, eq=False)
class ClassScatter:
    """Scatter of C classes along q directions.

    Args:
        directions: (q, d) float64, W.
        classes: (k,) which of the C classes have samples enough for a covariance of their own.
        scatter: (k, q, q) of each of them about its mean.
        freedom: (C,) samples less one of each class and origin.
        known: (C,) bool, whether it is a factory's class: what such a class gains by its covariance, new ones get too.
        pooled: (q, q) of all classes, hidden ones too, for one degree of freedom.
        degrees: of freedom, of all.
    """

    directions: Floats
    classes: npt.NDArray[np.intp]
    scatter: Floats
    freedom: Floats
    known: npt.NDArray[np.bool_]
    pooled: Floats
    degrees: float


@dataclass(frozen=True, eq=False)
class ClassCovariances:
    """Covariances in the space that Π whitens, t = (code − centre) · directionsᵀ.

    Args:
        whitening: (q, q) L⁻¹ of Π = L Lᵀ.
        directions: (q, d) L⁻¹ W.
        classes: (k,) which of the C classes have a covariance of their own.
        curvatures: (k, q, q) inverse covariances less the identity.
        volumes: (k,) ln det of the covariances.
        usual: (C,) the gain of a usual class, as far as a class has none of its own.
        shares: (k,) f (n − 1) / (n − 1 + ν): by how much of its own a covariance is made.
        freedom: (k,) n − 1.
    """

    whitening: Floats
    directions: Floats
    classes: npt.NDArray[np.intp]
    curvatures: Floats
    volumes: Floats
    usual: Floats
    shares: Floats
    freedom: Floats

    @property
    def bias(self) -> Floats:
        """(C,) what the scores of each class get, whatever the sample."""
        bias = self.usual.copy()
        bias[self.classes] -= 0.5 * self.volumes
        return bias


def class_scatter(evidence: Evidence, labels: tuple[str, ...]) -> ClassScatter | None:
    """Of the classes asked for, factory's and device's samples alike; None where there is no projection or too few."""
    projection = evidence.factory.projection
    if projection is None:
        return None
    size = projection.size
    parts = [(part.projected, aligned_rows(part, labels)) for part in (evidence.factory, evidence.device)]
    degrees = np.zeros(len(labels))
    for moments, column_of in parts:
        if moments is None:
            continue
        for row, column in column_of.items():
            degrees[column] += max(int(moments.counts[row]) - 1, 0)
    classes = with_own(degrees)
    place_of = {column: place for place, column in enumerate(classes.tolist())}
    scatter = np.zeros((len(classes), size, size))
    pooled, total = np.zeros((size, size)), 0.0
    for moments, column_of in parts:
        if moments is None:
            continue
        pooled += scatter_of_all(moments)
        total += float(np.maximum(moments.counts - 1, 0).sum())
        for row, column in column_of.items():
            if column in place_of:
                scatter[place_of[column]] += scatter_along(moments, row)
    if total <= 0:
        return None
    known = np.isin(np.asarray(labels, np.str_), np.asarray(evidence.factory.labels, np.str_))
    return ClassScatter(projection.scaled, classes, scatter, degrees, known, pooled / total, total)


def with_own(freedom: Floats) -> npt.NDArray[np.intp]:
    """(C,) degrees of freedom → (k,) ascending, which classes get a covariance of their own."""
    order = np.argsort(-freedom, kind="stable")[:MOST_CLASSES]
    return np.sort(order[freedom[order] >= LEAST_FREEDOM])


def class_covariances(
    found: ClassScatter, penalty: Floats, shifts: npt.NDArray[np.floating], samples: int, degrees: int
) -> ClassCovariances | None:
    """The covariances beside a shared one; None where rounding leaves one that is not positive definite.

    Args:
        penalty: (d,) diagonal that the shared scatter is shrunk to.
        shifts: (s, d) rows that were added to the shared scatter.
        samples: N of the shared covariance.
        degrees: of freedom of the shared scatter, as many as of ``found`` or more.
    """
    directions, size = found.directions, len(found.directions)
    moved = shifts @ directions.T
    part = degrees / samples  # f
    shared = part * found.pooled + ((directions * penalty) @ directions.T + moved.T @ moved) / samples
    root = _root(shared)
    if root is None:
        return None
    whitening, classes = np.asarray(np.linalg.inv(root), np.float64), found.classes
    freed = found.freedom[classes]
    shares = part * freed / (freed + PRIOR_FREEDOM)
    own = found.scatter / freed[:, None, None] - found.pooled
    own = np.eye(size) + shares[:, None, None] * (whitening @ own @ whitening.T)
    roots = _root(own)
    if roots is None:
        return None
    volumes = 2 * np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
    curvatures = np.linalg.inv(own) - np.eye(size)
    gains = -0.5 * (size - np.trace(own, axis1=1, axis2=2) + volumes)
    usual = _usual_gain(found, classes, shares, gains)
    return ClassCovariances(whitening, whitening @ directions, classes, curvatures, volumes, usual, shares, freed)


def _root(matrices: Floats) -> Floats | None:
    """(…, q, q) → their Cholesky factors; None where one is not positive definite beyond rounding."""
    try:
        roots = np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        return None
    least = np.diagonal(roots, axis1=-2, axis2=-1).min(axis=-1) ** 2
    most = np.diagonal(matrices, axis1=-2, axis2=-1).max(axis=-1)
    return np.asarray(roots, np.float64) if bool((least > _LEAST_OF_LARGEST * most).all()) else None


def _usual_gain(found: ClassScatter, classes: npt.NDArray[np.intp], shares: Floats, gains: Floats) -> Floats:
    """(C,) what a class of few samples gets instead of the fit that only a covariance of its own gives.

    Samples of the factory's classes score higher by their Kullback–Leibler divergence from the shared covariance once
    theirs are known. Classes that are known from fewer samples would lose to them by just that.
    """
    known = found.known[classes]
    if not known.any():
        return np.zeros(len(found.freedom))
    told = np.zeros(len(found.freedom))
    told[classes] = shares
    return np.asarray(gains[known].mean() * (1 - np.minimum(told / shares[known].mean(), 1)))
