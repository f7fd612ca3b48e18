"""Passwords that lie in a file: only a file that others cannot read is accepted.

It needs only the standard library.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import TextIO

from .errors import InputError

_MAX_LENGTH = 4096  # characters of a line
_MAX_TEXT = 1 << 16


def read_secret(path: Path, what: str) -> str:
    """The first line of a file.

    Args:
        path: of the file; a pipe such as ``<(pass show camera)`` and a systemd credential are accepted too.
        what: of a message, such as ``password file``.

    Raises:
        InputError: it cannot be read, others may read or change it, or its first line is too long.
    """
    line = _read(path, what, lambda stream: stream.readline(_MAX_LENGTH + 1))
    if len(line) > _MAX_LENGTH:
        raise InputError(f"the first line of the {what} {path} is longer than {_MAX_LENGTH} characters")
    return line.strip("\r\n")


def read_secret_text(path: Path, what: str) -> str:
    """All of a file, such as a command of several lines; otherwise as :func:`read_secret`."""
    text = _read(path, what, lambda stream: stream.read(_MAX_TEXT + 1))
    if len(text) > _MAX_TEXT:
        raise InputError(f"the {what} {path} is longer than {_MAX_TEXT} characters")
    return text.strip("\r\n")


def _read(path: Path, what: str, read: Callable[[TextIO], str]) -> str:
    try:
        with path.open(encoding="utf-8") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            if mode & (stat.S_IRWXO | stat.S_IWGRP):
                raise InputError(
                    f"the {what} {path} can be read or changed by others (mode {mode:04o}): "
                    f"`chmod 600 {quote(str(path))}`"
                )
            return read(stream)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"cannot read the {what} {path}: {reason}") from None
