"""The options of ``run`` that bound what it records."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import InputError

if TYPE_CHECKING:
    from ..app.history import HistorySettings

F = TypeVar("F", bound=Callable[..., Any])

_DAYS, _MB = 30, 64  # as of store/history.py, which is not loaded for --help
_OPTIONS = (
    click.option("--no-history", is_flag=True, help="Record nothing of what it sees, for `edgetl-device history`."),
    click.option(
        "--history-days",
        type=click.FloatRange(0.01, 3650),
        metavar="N",
        help=f"Keep what was recorded for so many days.  [default: {_DAYS}]",
    ),
    click.option(
        "--history-mb",
        type=click.FloatRange(1, 100_000),
        metavar="N",
        help=f"Keep at most so many MB of it; the oldest goes first.  [default: {_MB}]",
    ),
)


def history_options(command: F) -> F:
    """Decorate a command that records."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def history_settings(off: bool, days: float | None, megabytes: float | None) -> HistorySettings | None:
    """What is recorded; None for nothing. Raises InputError where that is asked for, and its bounds too."""
    from ..app.history import HistorySettings

    if off and (days is not None or megabytes is not None):
        raise InputError("--no-history records nothing: leave out --history-days and --history-mb")
    if off:
        return None
    return HistorySettings(days or _DAYS, round((megabytes or _MB) * (1 << 20)))
