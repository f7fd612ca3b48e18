"""``--home``: which device's state a command works on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..home import Home

Command = Callable[..., Any]


def in_home(command: Command) -> Command:
    """Add ``--home`` to a command, which gets a Home."""

    def opened(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Home:
        from ..home import Home, default_home

        return Home(value or default_home())

    return click.option(
        "--home",
        type=click.Path(path_type=Path),
        callback=opened,
        help="State of this device (default: EDGETL_HOME, else ~/.local/share/edgetl).",
    )(command)


NEW_LABEL = "`--new-label`"  # what to say where a label is meant that looks like a slip

new_label_option = click.option(
    "--new-label", is_flag=True, help="The label is meant, although it looks like a slip of a known one."
)

runtime_option = click.option(
    "--runtime", type=click.Choice(["auto", "litert", "tflite"]), default="auto", help="TFLite runtime to use."
)
