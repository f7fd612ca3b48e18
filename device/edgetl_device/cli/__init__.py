"""``edgetl-device``: thin commands over :class:`~edgetl_device.home.Home` and the learner.

One file for a command or for a few that belong together; heavy imports happen inside the commands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import __version__, console
from .backup import backup, restore
from .bench import bench
from .classify import classify
from .doctor import doctor
from .export_stats import export_stats
from .health import health, why
from .inspect import inspect
from .inspect_versions import rollback as inspect_rollback
from .inspect_versions import versions as inspect_versions
from .install import install
from .learn import learn, retrain
from .pending import pending
from .push import push
from .review import review
from .run import run_camera
from .samples import forget, relabel, samples
from .service import service
from .status import status
from .verify import verify
from .versions import rollback, versions
from .view import view


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="The usual order: run → teach on its page, or learn; doctor where something is wrong.",
)
@console.shared_options
@click.version_option(__version__, prog_name="edgetl-device")
@click.option("--home", type=click.Path(path_type=Path), help="State of this device (default: EDGETL_HOME).")
@click.pass_context
def program(context: click.Context, home: Path | None) -> None:
    """Recognise things with a camera, offline, and learn new ones on the spot."""
    if home is not None:
        context.default_map = {name: _everywhere(command, home) for name, command in program.commands.items()}


def _everywhere(command: click.Command, home: Path) -> dict[str, Any]:
    """Defaults that give a command, or all commands of a group, this home."""
    if isinstance(command, click.Group):
        return {name: {"home": home} for name in command.commands}
    return {"home": home}


for _command in (inspect_versions, inspect_rollback):
    inspect.add_command(_command)

for _command in (
    install,
    classify,
    learn,
    retrain,
    samples,
    health,
    why,
    pending,
    review,
    inspect,
    relabel,
    forget,
    versions,
    rollback,
    view,
    status,
    run_camera,
    service,
    doctor,
    verify,
    bench,
    export_stats,
    push,
    backup,
    restore,
):
    program.add_command(_command)


def main() -> None:
    """Entry point of the ``edgetl-device`` program."""
    raise SystemExit(console.run(program, "edgetl-device"))
