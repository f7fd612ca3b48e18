"""Flower's own programs: how they are called, and where they keep what they need."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import socket
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import tomllib

from edgetl_device.errors import InputError
from edgetl_device.files import write_atomically
from edgetl_device.printable import printable
from edgetl_device.sending.delivery import certificate_problem

from .serving import why_silent
from .supernode import APP

CONNECTION = "edgetl"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_CHECK_S = 5.0
_FLWR = "import sys; from flwr.cli.app import app; sys.argv[0] = 'flwr'; sys.exit(app())"


def environment(state: Path) -> dict[str, str]:
    """For Flower's programs: state in one folder, no telemetry and no look for updates unless they are asked for.

    They start each other by name, so the folder of this environment's programs comes first on the PATH. No header is
    believed about where a request comes from: the SuperLink's guard goes by that.
    """
    programs = str(Path(sys.executable).parent)
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    return {
        **quiet,
        **os.environ,
        "FORWARDED_ALLOW_IPS": "",
        "FLWR_HOME": str(state),
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]),
    }


def become(module: str, arguments: Sequence[str], state: Path) -> None:
    """Replace this process by a guarded program of Flower; does not return."""
    state.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", f"edgetl_fleet.{module}", *arguments], environment(state))


def in_words(program: str, arguments: Sequence[str]) -> str:
    """A command as a shell takes it."""
    return shlex.join([program, *arguments])


def write_connection(state: Path, port: int, authority: Path) -> None:
    """The connection by which ``flwr`` reaches this machine's SuperLink, as its default."""
    lines = ["[superlink]", f'default = "{CONNECTION}"', "", f"[superlink.{CONNECTION}]"]
    lines += [f'address = "127.0.0.1:{port}"', f"root-certificates = {json.dumps(str(authority))}", ""]
    state.mkdir(parents=True, exist_ok=True)
    write_atomically(state / "config.toml", "\n".join(lines).encode())


def flwr(state: Path, *arguments: str, timeout_s: float | None = None) -> str:
    """Run ``flwr`` against this machine's SuperLink → what it prints.

    Raises:
        InputError: no server runs, or it failed; with its last line.
    """
    start = f"`edgetl-fleet server {shlex.quote(str(state.parent))}`"
    if not (state / "config.toml").exists():
        raise InputError(f"{state.parent} is no folder of a server: start one by {start}")
    if why_silent("127.0.0.1", _port_of(state)):
        raise InputError(f"no server runs for {state.parent}: {start} starts it")
    command = [sys.executable, "-c", _FLWR, *arguments]
    try:
        done = subprocess.run(
            command, env=environment(state), capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise InputError("the SuperLink did not answer in time: is it running?") from None
    if done.returncode:
        raise InputError(f"flwr {arguments[0]}: {last_words(done.stderr or done.stdout)}")
    return done.stdout


def _port_of(state: Path) -> int:
    """Of the connection that was written."""
    try:
        found = tomllib.loads((state / "config.toml").read_text())["superlink"][CONNECTION]["address"]
        return int(str(found).rpartition(":")[2])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot use {state / 'config.toml'} ({printable(error)}): start the server again") from None


def last_words(text: str) -> str:
    """What a program of Flower gave as the reason, in one line: its last frame, or its last line."""
    lines = [printable(_ANSI.sub("", line)).strip() for line in text.splitlines()]
    frame = [line.strip("│ ") for line in lines if line.startswith("│")]
    found = [" ".join(frame)] if frame else [line for line in lines if line]
    return found[-1][:500] if found else "no reason given"


def app_arguments() -> list[str]:
    """Our app, as ``flwr run`` takes it."""
    return [str(APP), CONNECTION]


def config_text(values: Mapping[str, str | bool | int]) -> str:
    """Values → the text of ``--node-config`` or ``--run-config``.

    Raises:
        InputError: Flower would read it in another way.
    """
    text = " ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
    if parsed_config(text) != dict(values):
        raise InputError("Flower cannot take these paths: use names without quotes, backslashes and control characters")
    return text


def parsed_config(text: str) -> dict[str, object] | None:
    """What Flower reads in it; None where it cannot."""
    import click
    from flwr.common.config import parse_config_args

    try:
        found: dict[str, object] = parse_config_args([text])
    except (click.ClickException, ValueError):
        return None
    return found


def check_server(address: str, authority: Path) -> str | None:
    """Why a server does not answer now, in a few words; None where it does, with a certificate to trust.

    Raises:
        InputError: its certificate is not to be trusted, or this is no address or no certificate.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"{printable(address)} is no address of a server: expected HOST:PORT")
    try:
        context = ssl.create_default_context(cafile=authority)
    except OSError as error:
        raise InputError(f"cannot use the certificate {authority}: {error.strerror or error}") from None
    try:
        with socket.create_connection((host, int(port)), timeout=_CHECK_S) as raw:
            context.wrap_socket(raw, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        raise InputError(certificate_problem(host, error)) from None
    except UnicodeError:
        raise InputError(f"{printable(address)} is no address of a server: expected HOST:PORT") from None
    except OSError as error:
        return printable(error.strerror or error)
    return None


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        number: int = found.getsockname()[1]
        return number
