"""``edgetl-fleet``: the server, its nodes, and rounds; heavy imports happen inside the commands."""

from __future__ import annotations

import click

from edgetl_device import console

from .. import __version__
from .node import node
from .register import register
from .round import round_
from .server import server
from .unit import unit


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="The usual order: server → register each node's key → node, on each device → round.",
)
@console.shared_options
@click.version_option(__version__, prog_name="edgetl-fleet")
def program() -> None:
    """Federated rounds on Flower: what cameras learned by themselves, added up exactly."""


for _command in (server, register, node, round_, unit):
    program.add_command(_command)


def main() -> int:
    """Entry point of ``edgetl-fleet``."""
    return console.run(program, "edgetl-fleet")
