"""How long the user of a command has waited for it."""

from __future__ import annotations

import time

import click

_BEGAN = "edgetl.began"


def begin_waiting() -> None:
    """A command begins, whatever it loads and does."""
    click.get_current_context().meta[_BEGAN] = time.perf_counter()


def waited_s() -> float:
    """Seconds since the running command began: with loading TensorFlow, which takes longer than many a training."""
    return float(time.perf_counter() - click.get_current_context().meta[_BEGAN])
