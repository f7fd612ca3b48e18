"""``edgetl-fleet unit``."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Any

import click

from edgetl_device.console import reports, say


@click.command(
    short_help="Print a systemd unit for a server or a node",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--user", help="Whom it runs as (default: you).")
@click.option(
    "--writes", type=click.Path(path_type=Path), multiple=True, required=True, help="Folder that it may write."
)
@click.argument("command", type=click.Choice(["server", "node"]))
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@reports
def unit(user: str | None, writes: tuple[Path, ...], command: str, options: tuple[str, ...]) -> dict[str, Any]:
    """Print the systemd unit of `edgetl-fleet COMMAND OPTIONS`: a sandbox that reads all and writes --writes alone.

    Paths in OPTIONS are absolute, or count from the present folder.
    """
    from ..systemd import unit as written

    text = written(
        Path(sys.executable), command, options, user or getpass.getuser(), [path.absolute() for path in writes]
    )
    say(text.rstrip("\n"))
    return {"unit": text}
