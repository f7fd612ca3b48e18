"""The reference head: the device's default rule on float embeddings, fitted in blocks so that memory stays flat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgetl_device.codes import LEVELS_PER_RMS
from edgetl_device.heads.class_covariances import ClassCovariances, ClassScatter, class_covariances, with_own
from edgetl_device.heads.class_moments import ClassMoments, log_prior
from edgetl_device.heads.gaussian import Gaussian, solve_gaussian
from edgetl_device.heads.precision import solve_precision
from edgetl_device.heads.predictive import Predictive, solve_predictive
from edgetl_device.heads.scatter import LEAST_REST, rest_share
from edgetl_device.heads.scorer import Scorer

from .directions import leading

Floats = npt.NDArray[np.float32]

_BLOCK = 2048  # embeddings in memory at once


def float_codes(values: Floats) -> Floats:
    """(n, d) float embeddings → signed square root, L2-normalised: the codes of the device without their rounding."""
    root = np.sign(values) * np.sqrt(np.abs(values))
    norm = np.linalg.norm(root, axis=1, keepdims=True)
    return np.asarray(root / np.maximum(norm, 1e-12) * LEVELS_PER_RMS * np.sqrt(values.shape[1]), np.float32)


def fit_float_head(values: Floats, labels: Sequence[str], rows: Sequence[int] | None = None) -> Gaussian:
    """The reference that conversion is held against: the default rule on float embeddings, nothing quantized.

    Args:
        values: (n, d); may be mapped from a file.
        labels: of the embeddings used.
        rows: which of the n are used; None for all.
    """
    return solve_gaussian(*_moments(values, labels, rows))


def fit_float_predictive(values: Floats, labels: Sequence[str], rows: Sequence[int] | None = None) -> Predictive:
    """As :func:`fit_float_head`, without covariances of single classes: nearly linear, for a network to start from."""
    return solve_predictive(_moments(values, labels, rows)[0])


def _moments(
    values: Floats, labels: Sequence[str], rows: Sequence[int] | None
) -> tuple[ClassMoments, ClassCovariances | None]:
    chosen = np.arange(len(values)) if rows is None else np.asarray(rows, np.intp)
    names, classes = np.unique(np.asarray(labels), return_inverse=True)
    dimension = values.shape[1]
    counts, sums = np.bincount(classes), np.zeros((len(names), dimension))
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(chosen), _BLOCK)]
    for block in blocks:
        codes = float_codes(values[chosen[block]])
        for row in np.unique(classes[block]):
            sums[row] += codes[classes[block] == row].sum(axis=0, dtype=np.float64)
    means = sums / counts[:, None]

    def centred(block: slice) -> Floats:
        return float_codes(values[chosen[block]]) - means[classes[block]].astype(np.float32)

    scatter = np.zeros((dimension, dimension))
    for block in blocks:
        apart = centred(block)
        scatter += apart.T @ apart
    degrees = max(len(chosen) - len(names), 0)
    directions = leading(scatter, degrees)
    own = np.zeros((len(names), len(directions), len(directions)))
    for block in blocks if len(directions) else ():
        along = centred(block) @ directions.T
        for row in np.unique(classes[block]):
            of_class = along[classes[block] == row]
            own[row] += of_class.T @ of_class
    variances = _variances(scatter, own.sum(axis=0), degrees)
    precision = solve_precision(scatter.astype(np.float32), variances, len(chosen))
    labelled = tuple(str(name) for name in names)
    moments = ClassMoments(labelled, means, counts.astype(np.float64), log_prior(counts), precision)
    if not len(directions):
        return moments, None
    known = np.ones(len(names), bool)
    freedom = counts.astype(np.float64) - 1
    classes = with_own(freedom)
    found = ClassScatter(directions, classes, own[classes], freedom, known, own.sum(axis=0) / degrees, float(degrees))
    return moments, class_covariances(found, precision.penalty, np.zeros((0, dimension)), len(chosen), degrees)


def _variances(
    scatter: npt.NDArray[np.float64], along: npt.NDArray[np.float64], degrees: int
) -> npt.NDArray[np.float64]:
    """(d,) what the covariance is shrunk to: as :func:`edgetl_device.heads.scatter.variances`, of floats."""
    dimension, size = len(scatter), len(along)
    total = float(np.trace(scatter)) / max(degrees, 1)
    rest = (total - float(np.trace(along)) / max(degrees, 1)) / (dimension - size)
    return np.full(dimension, rest_share(dimension, max(degrees, 1)) * max(rest, LEAST_REST * total / dimension) + 1e-9)


def predict(head: Scorer, values: Floats, rows: Sequence[int]) -> tuple[npt.NDArray[np.intp], Floats]:
    """Embeddings (n, d) at ``rows`` → (r,) indices into ``head.labels`` and (r, C) scores, in blocks."""
    chosen = np.asarray(rows, np.intp)
    scores = [
        head.scores(float_codes(values[chosen[start : start + _BLOCK]])) for start in range(0, len(chosen), _BLOCK)
    ]
    joined = np.concatenate(scores) if scores else np.zeros((0, len(head.labels)), np.float32)
    return joined.argmax(axis=1), joined
