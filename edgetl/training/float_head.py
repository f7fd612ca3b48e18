"""The reference head: the device's default rule on float embeddings, fitted in blocks so that memory stays flat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgetl_device.codes import LEVELS_PER_RMS
from edgetl_device.heads.class_moments import ClassMoments, log_prior
from edgetl_device.heads.precision import solve_precision
from edgetl_device.heads.predictive import Predictive, solve_predictive

Floats = npt.NDArray[np.float32]

_BLOCK = 2048  # embeddings in memory at once


def float_codes(values: Floats) -> Floats:
    """(n, d) float embeddings → signed square root, L2-normalised: the codes of the device without their rounding."""
    root = np.sign(values) * np.sqrt(np.abs(values))
    norm = np.linalg.norm(root, axis=1, keepdims=True)
    return np.asarray(root / np.maximum(norm, 1e-12) * LEVELS_PER_RMS * np.sqrt(values.shape[1]), np.float32)


def fit_float_head(values: Floats, labels: Sequence[str], rows: Sequence[int] | None = None) -> Predictive:
    """The reference that conversion is held against: the same rule on float embeddings, nothing quantized.

    Args:
        values: (n, d); may be mapped from a file.
        labels: of the embeddings used.
        rows: which of the n are used; None for all.
    """
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
    scatter = np.zeros((dimension, dimension))
    for block in blocks:
        centred = float_codes(values[chosen[block]]) - means[classes[block]].astype(np.float32)
        scatter += centred.T @ centred
    variances = np.diag(scatter) / max(len(chosen) - len(names), 1)
    floored = np.maximum(variances, 0.1 * variances.mean()) + 1e-9
    precision = solve_precision(scatter.astype(np.float32), floored, len(chosen))
    labelled = tuple(str(name) for name in names)
    return solve_predictive(ClassMoments(labelled, means, counts.astype(np.float64), log_prior(counts), precision))


def predict(head: Predictive, values: Floats, rows: Sequence[int]) -> tuple[npt.NDArray[np.intp], Floats]:
    """Embeddings (n, d) at ``rows`` → (r,) indices into ``head.labels`` and (r, C) scores, in blocks."""
    chosen = np.asarray(rows, np.intp)
    scores = [
        head.scores(float_codes(values[chosen[start : start + _BLOCK]])) for start in range(0, len(chosen), _BLOCK)
    ]
    joined = np.concatenate(scores) if scores else np.zeros((0, len(head.labels)), np.float32)
    return joined.argmax(axis=1), joined
