"""Another machine over the user's own OpenSSH client: their keys, configuration and agent, nothing of ours.

All commands share one connection, so a password is asked for once.
"""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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
        for line in done.stderr.decode(errors="replace").strip().splitlines():
            log.info("%s", line)
        if done.returncode:
            raise CheckFailedError(self._reason(done.stderr, done.returncode))
        return done.stdout

    @contextmanager
    def holding(self, script: str, *arguments: str) -> Iterator[None]:
        """A script that says one line and then holds something until its standard input ends: while the block runs.

        Raises:
            CheckFailedError: the machine cannot be reached, or the script ends before it says anything.
        """
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    self._command(script, arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
                )
            except FileNotFoundError:
                raise InputError(f"no {self._ssh[0]} on this machine: install OpenSSH's client") from None
            assert process.stdin is not None and process.stdout is not None
            try:
                if not process.stdout.readline():
                    code = process.wait()
                    errors.seek(0)
                    raise CheckFailedError(self._reason(errors.read(), code))
                yield
            finally:
                process.stdin.close()
                process.stdout.close()
                process.wait()

    def _command(self, script: str, arguments: Sequence[str]) -> list[str]:
        # The login shell there may be any; it only starts sh.
        return [*self._ssh, "--", self.target, shlex.join(["sh", "-c", script, "edgetl", *arguments])]

    def _reason(self, errors: bytes, code: int) -> str:
        said = errors.decode(errors="replace").strip().splitlines()
        reason = said[-1].removeprefix("error: ") if said else f"exit status {code}"
        if code == _UNREACHABLE:
            return f"cannot reach {self.target}: {reason}; does `ssh {self.target}` work?"
        return f"{self.target}: {reason}"

    def _run(self, script: str, arguments: Sequence[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(self._command(script, arguments), input=data, capture_output=True, check=False)
        except FileNotFoundError:
            raise InputError(f"no {self._ssh[0]} on this machine: install OpenSSH's client") from None
