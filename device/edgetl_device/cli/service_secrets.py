"""What of `run`'s options the systemd unit may not hold, as everyone can read it: it goes into files in the home.

An address with a password is recognised. Of a command or a sink nobody can tell what in its arguments is secret, so all
that have arguments are moved.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import StorageError

_CAMERA, _COMMAND, _SINK = "--camera", "--on-label", "--sink"
_ADDRESS_FILE, _COMMAND_FILE, _SINK_FILE = "camera.address", "on-label.command", "sink-{}.argument"
_SHOWN = {_CAMERA: "ADDRESS", _COMMAND: "COMMAND", _SINK: "SINK"}


@dataclass(frozen=True)
class UnitOptions:
    """The options of a unit.

    Args:
        options: of ``run``, without secrets.
        files: name in the device home → what the service reads from it.
        words: what stands for these in a message.
    """

    options: tuple[str, ...]
    files: dict[str, str]
    words: tuple[str, ...]


def unit_options(options: Sequence[str], params: Mapping[str, Any], folder: Path) -> UnitOptions:
    """The options for the unit.

    Args:
        options: as they were given.
        params: the same, parsed.
        folder: the device home.
    """
    files: dict[str, str] = {}
    moved: list[str] = []
    words: list[str] = []
    given = [(_COMMAND, _COMMAND_FILE, params["command"])]
    names: set[str] = set()
    open_ones: list[str] = []
    for name, file, values in (
        (_CAMERA, _ADDRESS_FILE, params["cameras"]),
        (_SINK, _SINK_FILE, params["sinks"]),
    ):
        secret = [value for value in values if _is_secret(name, value)]
        if secret:  # the others are said again behind these
            names.add(name)
            open_ones += [f"{name}={value}" for value in values if value not in secret]
        given += [(name, _numbered(file, number), value) for number, value in enumerate(secret, 1)]
    for name, file, value in given:
        if value is not None and _is_secret(name, value):
            names.add(name)
            files[file] = value
            moved += [f"{name}-file", str(folder / file)]
            words += [_SHOWN[name]] if _SHOWN[name] not in words else []
    kept = _without(options, names) + open_ones
    return UnitOptions((*moved, *kept), files, tuple(words))


def masked(options: Sequence[str]) -> tuple[str, ...]:
    """The options for a message."""
    shown, before = [], ""
    for option in options:
        name, equals, value = option.partition("=")
        if before in _SHOWN and _is_secret(before, option):
            option = _SHOWN[before]
        elif equals and name in _SHOWN and _is_secret(name, value):
            option = f"{name}={_SHOWN[name]}"
        shown.append(option)
        before = "" if before in _SHOWN else option
    return tuple(shown)


def keep_secrets(folder: Path, files: Mapping[str, str], user: str) -> None:
    """Write the files, which only the service's user may read, and remove those of an earlier service.

    Raises:
        StorageError: one cannot be written, or given to the user.
    """
    from ..files import write_atomically

    before = os.umask(0o077)
    try:
        for name, value in files.items():
            write_atomically(folder / name, f"{value}\n".encode())
            shutil.chown(folder / name, user)
    except OSError as error:
        raise StorageError(
            f"cannot give the files with secrets in {folder} to {user}: {error.strerror or error}"
        ) from None
    finally:
        os.umask(before)
    remove_secrets(folder, keep=files)


def remove_secrets(folder: Path, keep: Mapping[str, str] | None = None) -> None:
    """Remove what an earlier service kept."""
    old = {folder / _COMMAND_FILE, *folder.glob("camera*.address"), *folder.glob(_SINK_FILE.format("*"))}
    for path in old - {folder / name for name in keep or {}}:
        path.unlink(missing_ok=True)


def _numbered(file: str, number: int) -> str:
    """The first camera's file has no number."""
    if file == _ADDRESS_FILE:
        return file if number == 1 else file.replace(".", f"-{number}.")
    return file.format(number)


def _is_secret(name: str, value: str) -> bool:
    from ..addresses import has_secret_beside_variables, is_address

    if name == _CAMERA:
        address = value if is_address(value) else value.partition("=")[2]  # it may have a name
        return has_secret_beside_variables(address)
    if name == _SINK:
        sink, _, argument = value.partition(":")
        return _has_arguments(argument) if sink == "command" else bool(argument)
    return _has_arguments(value)


def _has_arguments(command: str) -> bool:
    try:
        return len(shlex.split(command)) > 1 or "=" in command
    except ValueError:  # refused elsewhere
        return True


def _without(options: Sequence[str], names: set[str]) -> list[str]:
    """The options without these and their values."""
    kept, skip = [], False
    for option in options:
        if skip:
            skip = False
        elif option in names:
            skip = True
        elif option.partition("=")[0] not in names:
            kept.append(option)
    return kept
