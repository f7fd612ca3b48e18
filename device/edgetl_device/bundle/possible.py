"""Could any samples have these statistics? What a stranger wrote is asked before it is used."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import BundleError, InputError
from ..heads.scatter import scatter_along
from ..statistics import Statistics
from .bundle import Bundle
from .content import BundleContent
from .group_content import GroupContent

_BLOCK_ROWS = 256  # worked on at once, to spare memory
_WIDE = 2048  # features; beyond it single precision has to do, for memory
_EPSILON = float(np.finfo(np.float64).eps)
_MARGIN = 16  # times the rounding of one number and of one sum


def sound_content(bundle: Bundle) -> BundleContent:
    """The content of a bundle of any origin, its statistics checked: what they lead to can be computed.

    Raises:
        BundleError: no samples can have its statistics.
    """
    content = BundleContent(bundle)
    _check_statistics(content, "statistics.npz")
    for name in bundle.groups:
        _check_statistics(GroupContent(content, name), f"the statistics of group {name}")
    return content


def _check_statistics(content: BundleContent, what: str) -> None:
    try:
        check_possible(content.statistics)
    except InputError as error:
        raise error if isinstance(error, BundleError) else BundleError(f"{what}: {error}") from None


def check_possible(statistics: Statistics) -> None:
    """Raise InputError unless the scatter within classes, Σ (x − μ)(x − μ)ᵀ, is positive semi-definite.

    So must be that of each class along the projection, where there is one.

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
    _check_definite(scatter)
    moments = statistics.projected
    if moments is not None:
        for row in np.flatnonzero(moments.counts > 1).tolist():
            _check_definite(_scaled(scatter_along(moments, row), moments.squares[row]))


def _scaled(scatter: npt.NDArray[np.float64], squares: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(q, q) scatter of one class along a projection, for its sums of squares (q,), with room for rounding."""
    scale = np.sqrt(np.maximum(squares, 1).astype(np.float64))
    return np.asarray(scatter / scale[:, None] / scale + np.eye(len(scale)) * _MARGIN * len(scale) * _EPSILON)


def _check_definite(matrix: npt.NDArray[np.floating]) -> None:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise InputError("not statistics: products that no samples can have together") from None
