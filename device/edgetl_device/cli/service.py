"""``edgetl-device service``."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import note, reports, say
from ..errors import InputError, StorageError
from .history_options import history_settings
from .options import in_home
from .page import page_at
from .run import run_camera
from .run_cameras import laid_of, regions_of, specs_of
from .run_sinks import sink_specs
from .service_secrets import keep_secrets, masked, remove_secrets, unit_options

if TYPE_CHECKING:
    from ..home import Home

_GROUPS = ("video", "render", "plugdev", "apex")  # that own cameras and accelerators, where they exist


@click.command(context_settings={"ignore_unknown_options": True}, short_help="Run the camera as a systemd service")
@click.option("--install", "action", flag_value="install", help="Install, enable and start it (as root).")
@click.option("--uninstall", "action", flag_value="uninstall", help="Stop, disable and remove it (as root).")
@click.option("--user", help="The user it runs as (default: you, also under sudo).")
@click.argument("options", metavar="[RUN-OPTIONS]...", nargs=-1, type=click.UNPROCESSED)
@in_home
@reports
def service(action: str | None, user: str | None, options: tuple[str, ...], home: Home) -> dict[str, Any]:
    """Print the systemd unit that runs the camera, or install it; RUN-OPTIONS are those of `edgetl-device run`."""
    from ..app.systemd import UNIT_PATH, unit

    runs_as = user or os.environ.get("SUDO_USER") or getpass.getuser()
    own = _home_of(runs_as)
    program, folder = _program(own), _folder(home, own)
    as_root = _for_root(program, action or "install", home, user, masked(options))
    if action == "uninstall":
        return _uninstall(as_root, folder)
    params = _refuse_what_run_would(options)
    chosen = unit_options(options, params, folder)
    text = unit(program, folder, runs_as, chosen.options, _groups())
    if action is None:
        say(text.rstrip())
        note(f"install it with: {as_root}")
        if chosen.files:
            note(f"with what may be secret for {', '.join(chosen.words)}: kept in {folder}, for {runs_as} only")
    else:
        _needs_root(as_root)
        if not (folder / "bundle.edgetl").exists() and (folder / "trusted.pub").exists():
            raise InputError(f"no signed bundle in {folder}: `edgetl-device install FILE.edgetl` first, as {runs_as}")
        keep_secrets(folder, chosen.files, runs_as)
        _start(text)
        say(f"installed {UNIT_PATH}: `systemctl status edgetl` shows its state, `journalctl -u edgetl` its log")
    return {"path": str(UNIT_PATH), "installed": action == "install", "unit": text}


def _uninstall(as_root: str, folder: Path) -> dict[str, Any]:
    from ..app.systemd import UNIT_PATH

    _needs_root(as_root)
    _systemctl("disable", "--now", UNIT_PATH.name)
    UNIT_PATH.unlink(missing_ok=True)
    remove_secrets(folder)
    _systemctl("daemon-reload")
    say(f"removed {UNIT_PATH}; samples and bundle stay in {folder}")
    return {"path": str(UNIT_PATH), "installed": False}


def _start(unit: str) -> None:
    """Write the unit and start it."""
    from ..app.systemd import UNIT_PATH

    try:
        UNIT_PATH.write_text(unit)
    except OSError as error:
        raise StorageError(f"cannot write {UNIT_PATH}: {error.strerror or error}") from None
    _systemctl("daemon-reload")
    _systemctl("enable", UNIT_PATH.name)
    _systemctl("restart", UNIT_PATH.name)  # it may run already, with other options


def _refuse_what_run_would(options: tuple[str, ...]) -> dict[str, Any]:
    """The options, parsed.

    Raises:
        UsageError, InputError: they would make the service fail at each of its starts.
    """
    from ..app.sinks import BUILT_IN, COMMANDS

    chosen = run_camera.make_context("edgetl-device run", list(options)).params
    for _, sink in sink_specs(chosen):
        name, _, argument = sink.partition(
            ":"
        )  # others are opened by the service: they may be busy, or not for this user
        if name in COMMANDS:  # others are opened by the service: they may be busy, or not for this user
            BUILT_IN[name](argument)
    history_settings(chosen["no_history"], chosen["history_days"], chosen["history_mb"])
    if not chosen["no_web"]:
        page_at(chosen)
    regions_of(chosen["regions"], tuple(specs := specs_of(chosen["cameras"], chosen["camera_files"])))
    laid_of(chosen["turns"], chosen["mirrors"], specs)
    return chosen


def _home_of(user: str) -> Path:
    """A user's home folder; under sudo, HOME is root's."""
    import pwd

    try:
        return Path(pwd.getpwnam(user).pw_dir)
    except KeyError:
        raise InputError(f"no user {user!r} on this machine") from None


def _program(own: Path) -> Path:
    """The installed program: beside the running Python, as systemd's PATH does not know environments.

    `edgetl deploy` and install.sh keep a link to the runtime in use: through it the service follows an update.

    Args:
        own: home folder of whom the service runs as.
    """
    current = own / ".local" / "lib" / "edgetl" / "current"
    prefix = current if current.resolve() == Path(sys.prefix).resolve() else Path(sys.executable).parents[1]
    return prefix / "bin" / "edgetl-device"


def _folder(home: Home, own: Path) -> Path:
    """The device home; under sudo the user's own, not root's."""
    return home.folder.resolve() if _is_chosen(home) else own / ".local" / "share" / "edgetl"


def _is_chosen(home: Home) -> bool:
    """Whether this device home was asked for; else it is the default of whoever asks."""
    from ..home import default_home

    return home.folder != default_home() or "EDGETL_HOME" in os.environ


def _groups() -> list[str]:
    import grp

    existing = {group.gr_name for group in grp.getgrall()}
    return [group for group in _GROUPS if group in existing]


def _for_root(program: Path, action: str, home: Home, user: str | None, options: tuple[str, ...]) -> str:
    """The same command for a shell, as root; sudo hands EDGETL_HOME over to nobody."""
    chosen = ["--home", str(home.folder.resolve())] if _is_chosen(home) else []
    chosen += ["--user", user] if user else []
    return shlex.join(["sudo", str(program), "service", f"--{action}", *chosen, *options])


def _needs_root(command: str) -> None:
    if os.geteuid() != 0:
        raise InputError(f"needs root: {command}")


def _systemctl(*arguments: str) -> None:
    if shutil.which("systemctl") is None:
        raise InputError(
            "no systemd on this machine: run this without --install and adapt the printed unit to your init system"
        )
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"systemctl {' '.join(arguments)} failed: {' '.join(done.stderr.split())}")
