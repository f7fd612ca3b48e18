"""Another machine over the user's own OpenSSH client: their keys, configuration and agent, nothing of ours.

All commands share one connection, so a password is asked for once.
"""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence

from edgetl_device.errors import CheckFailedError, InputError

log = logging.getLogger("edgetl.remote")

_UNREACHABLE = 255  # OpenSSH's own failures, whatever the remote command would have returned


class Remote:
    """An ssh connection; use it as a context manager.

    Args:
        target: ``USER@HOST`` or a host of the user's ``~/.ssh/config``.
        port: None leaves it to the configuration.

    ``EDGETL_SSH`` replaces ``ssh`` by another command, as ``GIT_SSH_COMMAND`` does for git.

    Raises:
        InputError: the target is none.
    """

    def __init__(self, target: str, port: int | None = None) -> None:
        if not target or target.startswith("-") or any(character.isspace() for character in target):
            raise InputError(f"{target!r} is no USER@HOST")
        self.target = target
        self._folder = tempfile.TemporaryDirectory(prefix="edgetl-")
        control = os.path.join(self._folder.name, "%C")  # noqa: PTH118  not a path yet: ssh fills it in
        sharing = ("ControlMaster=auto", f"ControlPath={control}", "ControlPersist=60", "ConnectTimeout=15")
        options = [part for option in sharing for part in ("-o", option)]
        self._ssh = [*shlex.split(os.environ.get("EDGETL_SSH") or "ssh"), *options]
        if port is not None:
            self._ssh += ["-p", str(port)]

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *failure: object) -> None:
        """End the shared connection."""
        subprocess.run([*self._ssh, "-O", "exit", "--", self.target], capture_output=True, check=False)
        self._folder.cleanup()

    def shell(self, script: str, *arguments: str, data: bytes = b"") -> bytes:
        """Run a POSIX shell script there with ``data`` as its standard input → what it writes.

        Raises:
            CheckFailedError: the machine cannot be reached, or the script fails; with the last line it said.
        """
        done = self._run(script, arguments, data)
        said = done.stderr.decode(errors="replace").strip().splitlines()
        for line in said:
            log.info("%s", line)
        if done.returncode:
            reason = said[-1].removeprefix("error: ") if said else f"exit status {done.returncode}"
            if done.returncode == _UNREACHABLE:
                raise CheckFailedError(f"cannot reach {self.target}: {reason}; does `ssh {self.target}` work?")
            raise CheckFailedError(f"{self.target}: {reason}")
        return done.stdout

    def _run(self, script: str, arguments: Sequence[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
        # The login shell there may be any; it only starts sh.
        command = shlex.join(["sh", "-c", script, "edgetl", *arguments])
        try:
            return subprocess.run(
                [*self._ssh, "--", self.target, command], input=data, capture_output=True, check=False
            )
        except FileNotFoundError:
            raise InputError(f"no {self._ssh[0]} on this machine: install OpenSSH's client") from None
