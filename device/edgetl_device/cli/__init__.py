"""``edgetl-device``: thin commands over :class:`~edgetl_device.home.Home` and the learner.

One file for a command or for a few that belong together; heavy imports happen inside the commands.
"""

from __future__ import annotations

import importlib
from collections.abc import ItemsView, Mapping, ValuesView
from pathlib import Path
from typing import Any

import click

from .. import __version__, console

_WHERE = {
    "install": "install",
    "classify": "classify",
    "learn": "learn",
    "retrain": "learn:retrain",
    "samples": "samples",
    "health": "health",
    "why": "health:why",
    "confirm": "samples:confirm",
    "pending": "pending",
    "review": "review",
    "history": "history",
    "inspect": "inspect",
    "relabel": "samples:relabel",
    "forget": "samples:forget",
    "versions": "versions",
    "rollback": "versions:rollback",
    "view": "view",
    "status": "status",
    "run": "run:run_camera",
    "service": "service",
    "doctor": "doctor",
    "verify": "verify",
    "bench": "bench",
    "export-stats": "export_stats:export_stats",
    "push": "push",
    "backup": "backup",
    "restore": "backup:restore",
}
"""Name of a command → its module here, and what it is called there where that is another name."""


class _Commands(dict[str, click.Command]):
    """Commands by name, each imported when it is asked for: a small device pays for the one that it runs."""

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = _WHERE[name].partition(":")
        command: click.Command = getattr(importlib.import_module(f".{module}", __name__), attribute or name)
        return command

    def get(self, name: str, default: Any = None) -> Any:
        """As of any mapping."""
        return Mapping.get(self, name, default)

    def values(self) -> ValuesView[click.Command]:  # type: ignore[override]
        """As of any mapping."""
        return ValuesView(self)

    def items(self) -> ItemsView[str, click.Command]:  # type: ignore[override]
        """As of any mapping."""
        return ItemsView(self)


class _Everywhere(dict[str, Any]):
    """Defaults that give all commands of a group, or one command, this home."""

    def __init__(self, home: Path, group: click.Group | None = None) -> None:
        super().__init__(home=home)
        self._home, self._group = home, group

    def get(self, name: str, default: Any = None) -> Any:
        """The home, or the defaults of a command of that name."""
        if self._group is None or name not in self._group.commands:
            return super().get(name, default)
        command = self._group.commands[name]
        return _Everywhere(self._home, command if isinstance(command, click.Group) else None)


@click.group(
    commands=_Commands.fromkeys(_WHERE),
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
        context.default_map = _Everywhere(home, program)


def main() -> None:
    """Entry point of the ``edgetl-device`` program."""
    raise SystemExit(console.run(program, "edgetl-device"))
