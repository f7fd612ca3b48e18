"""``--home``: which device's state a command works on."""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..home import Home
    from ..learning.learner import Learner

Command = Callable[..., Any]

_STACK = (
    2 << 20
)  # bytes of each thread; Linux sets 8 MB aside, of which a dozen threads leave a small device too little


def in_home(command: Command) -> Command:
    """Add ``--home`` to a command, which gets a Home."""

    def opened(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Home:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each thread sets memory aside, and gains little here
        threading.stack_size(_STACK)
        from ..home import Home, default_home

        return Home(value or default_home())

    return click.option(
        "--home",
        type=click.Path(path_type=Path),
        callback=opened,
        help="State of this device (default: EDGETL_HOME, else ~/.local/share/edgetl).",
    )(command)


def in_group(learner: Learner, group: str | None) -> Learner:
    """The learner of a group that is known, or the one given where none is asked for."""
    from ..learning.groups import Groups

    return learner if group is None else Groups(learner).known(group)


def group_words(group: str | None) -> str:
    """What a command needs besides, so that it is about this group."""
    return "" if group is None else f" --group {shlex.quote(group)}"


NEW_LABEL = "`--new-label`"  # what to say where a label is meant that looks like a slip

new_label_option = click.option(
    "--new-label", is_flag=True, help="The label is meant, although it looks like a slip of a known one."
)

group_option = click.option(
    "--group",
    metavar="NAME",
    help="The labels of a group, such as `condition`: another question about the same photos.",
)

runtime_option = click.option(
    "--runtime", type=click.Choice(["auto", "litert", "tflite"]), default="auto", help="TFLite runtime to use."
)
