"""How a program of your own is told what happens."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str], None]
"""Is told a line for a person now and then."""


def silent(text: str) -> None:
    """Nobody is told."""
