"""Could any samples have these statistics? What a stranger wrote is asked before it is used."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..statistics import Statistics

_BLOCK_ROWS = 256  # worked on at once, to spare memory
_WIDE = 2048  # features; beyond it single precision has to do, for memory
_MARGIN = 16  # times the rounding of one number and of one sum


def check_possible(statistics: Statistics) -> None:
    """Raise InputError unless the scatter within classes, Σ (x − μ)(x − μ)ᵀ, is positive semi-definite.

    That of any samples is, and then so is the Gram matrix; a head solved from another one may weigh features without
    any bound. Each feature is scaled by its root mean square, and a Cholesky factorisation tried, which exists for
    positive definite matrices alone (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition, section
    10.3); what rounding may take away is added before. At d = 1280 it takes about 60 ms of one core.
    """
    dimension = statistics.dimension
    kind = np.float64 if dimension <= _WIDE else np.float32
    sums = statistics.sums.astype(np.float64)
    means = sums / statistics.counts[:, None]
    scale = np.sqrt(np.diagonal(statistics.gram).astype(np.float64))
    scale[scale == 0] = 1  # a feature that is always 0: its products are 0 too
    scatter = np.empty((dimension, dimension), kind)
    for start in range(0, dimension, _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        block = statistics.gram[rows] - sums[:, rows].T @ means
        scatter[rows] = block / scale[rows, None] / scale
    rounding = _MARGIN * (dimension + len(statistics.labels)) * np.finfo(kind).eps
    scatter[np.diag_indices(dimension)] += rounding
    try:
        np.linalg.cholesky(scatter)
    except np.linalg.LinAlgError:
        raise InputError("not statistics: products that no samples can have together") from None
