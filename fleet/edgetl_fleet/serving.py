"""Whether a server runs in a folder, and whether one may start there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from pathlib import Path

from edgetl_device.errors import InputError

_LOCK = "server.lock"
_CHECK_S = 5.0


def claim(folder: Path) -> None:
    """Hold the folder as long as this process lives, also as the program of Flower that it becomes.

    Raises:
        InputError: another server holds it, or it cannot be written.
    """
    path = folder / _LOCK
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 32, 0).decode(errors="replace").strip()
        os.close(handle)
        who = f" (process {holder})" if holder.isdecimal() else ""
        raise InputError(f"a server of {folder} runs already{who}: stop it first, or use another folder") from None
    with contextlib.suppress(OSError):  # a full disk: the number is only for the message
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
    os.set_inheritable(handle, True)


def check_free(host: str, port: int) -> None:
    """Raises InputError where nothing can listen there."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None) or 0
        reason = os.strerror(number) if number > 0 else error
        raise InputError(f"cannot listen on {host}:{port} ({reason}): choose another with --listen HOST:PORT") from None


def why_silent(host: str, port: int) -> str | None:
    """Why nobody can be reached at an address, in a few words; None where somebody listens."""
    try:
        socket.create_connection((host, port), timeout=_CHECK_S).close()
    except OSError as error:
        return error.strerror or str(error)
    except UnicodeError:
        return "no name of a machine"
    return None
