"""L-BFGS in NumPy: a device has no SciPy.

Limited-memory BFGS, the two-loop recursion (Nocedal and Wright, Numerical Optimization, 2nd ed., algorithms 7.4 and
7.5) with a line search that meets the weak Wolfe conditions by bisection (Lewis and Overton, Mathematical Programming
2013, https://doi.org/10.1007/s10107-012-0514-2).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

MEMORY = 10  # pairs of steps and gradient changes that stand for the Hessian
_ARMIJO, _WOLFE = 1e-4, 0.9
_TRIALS = 30

Vector = npt.NDArray[np.float64]
Objective = Callable[[Vector], tuple[float, Vector]]


def minimise(objective: Objective, start: Vector, tolerance: float = 1e-6, iterations: int = 500) -> Vector:
    """The minimum of a smooth convex function, from ``start`` (n,) float64.

    Args:
        objective: (n,) → its value and its gradient (n,).
        tolerance: done when no entry of the gradient exceeds it.
        iterations: at most; what was reached is returned.
    """
    at = start.copy()
    value, gradient = objective(at)
    pairs: deque[tuple[Vector, Vector, float]] = deque(maxlen=MEMORY)
    for _ in range(iterations):
        if np.abs(gradient).max(initial=0.0) <= tolerance:
            break
        direction = _direction(gradient, pairs)
        length = 1.0 if pairs else min(1.0, 1.0 / float(np.abs(gradient).sum()))
        reached = _search(objective, at, value, gradient, direction, length)
        if reached is None:  # no descent beyond rounding
            break
        after, value, new_gradient = reached
        step, change = after - at, new_gradient - gradient
        curvature = float(step @ change)
        if curvature > 1e-12 * float(change @ change):
            pairs.append((step, change, curvature))
        at, gradient = after, new_gradient
    return at


def _direction(gradient: Vector, pairs: deque[tuple[Vector, Vector, float]]) -> Vector:
    """−H · gradient, H the inverse Hessian that the pairs describe."""
    direction = -gradient
    shares = []
    for step, change, curvature in reversed(pairs):
        share = float(step @ direction) / curvature
        direction -= share * change
        shares.append(share)
    if pairs:
        _, change, curvature = pairs[-1]
        direction *= curvature / float(change @ change)
    for (step, change, curvature), share in zip(pairs, reversed(shares), strict=True):
        direction += (share - float(change @ direction) / curvature) * step
    return direction


def _search(
    objective: Objective, at: Vector, value: float, gradient: Vector, direction: Vector, length: float
) -> tuple[Vector, float, Vector] | None:
    """A step along ``direction`` that lowers the value and flattens the slope enough; None where there is none."""
    slope = float(gradient @ direction)
    low, high = 0.0, np.inf
    best = None
    for _ in range(_TRIALS):
        after = at + length * direction
        new_value, new_gradient = objective(after)
        if new_value > value + _ARMIJO * length * slope:
            high = length
        else:
            best = after, new_value, new_gradient
            if float(new_gradient @ direction) >= _WOLFE * slope:
                return best
            low = length
        length = 2 * low if np.isinf(high) else (low + high) / 2
    return best
