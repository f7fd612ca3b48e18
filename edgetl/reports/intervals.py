"""How sure a share is, in words."""

from __future__ import annotations


def spread(interval: tuple[float, float]) -> str:
    """A 95 % interval as text.

    >>> spread((0.7134, 0.8256))
    '0.71 … 0.83'
    """
    return f"{interval[0]:.2f} … {interval[1]:.2f}"
