"""Shares as per cents, in the one way that both programs and the page write them."""

from __future__ import annotations


def percent(share: float, digits: int = 0) -> str:
    """0 … 1 → per cents for a person.

    >>> percent(0.934), percent(0.0512, 1)
    ('93 %', '5.1 %')
    """
    return f"{100 * share:.{digits}f} %"
