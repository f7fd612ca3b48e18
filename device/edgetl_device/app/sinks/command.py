"""``command``: a program that runs at each change of label."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import subprocess
import threading

from ...errors import InputError
from ...printable import printable
from ..subscription import Recognition
from .sink import HOLD_S, Changes

log = logging.getLogger("edgetl.sinks")

COMMAND_S = 30.0  # a command that runs longer is ended
_GRACE_S = 0.5  # between asking a command to end and killing it


class LabelCommand:
    """Runs a command when the label changes, one at a time; changes while it runs are skipped, the last one counts.

    No shell is involved: the command is split into arguments once, and label and probability are handed over as the
    environment variables ``EDGETL_LABEL`` and ``EDGETL_PROBABILITY``. Its output goes to stderr.

    Args:
        command: program and arguments, quoted as in a shell.
        hold_s: how long a label must last before it counts, seconds.
        timeout_s: a command that runs longer is ended.

    Raises:
        InputError: there is no such program, or the quotes do not match; the message holds no argument.
    """

    def __init__(self, command: str, *, hold_s: float = HOLD_S, timeout_s: float = COMMAND_S) -> None:
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:  # the message names no argument: they may hold passwords
            raise InputError(f"--on-label: {error}") from None
        if not self._arguments or shutil.which(self._arguments[0]) is None:
            program = printable(self._arguments[0].partition("=")[0], 200) if self._arguments else ""
            raise InputError(f"--on-label {program!r}: no such program; for shell syntax use `sh -c '…'`")
        self._changes = Changes(hold_s)
        self._timeout_s = timeout_s
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, recognition: Recognition) -> None:
        """Run the command, and wait for it, if the label changed."""
        label = self._changes(recognition)
        if label is None:
            return
        probability = recognition.prediction.probability
        environment = os.environ | {"EDGETL_LABEL": label, "EDGETL_PROBABILITY": f"{probability:.4f}"}
        with self._lock:
            if self._closed.is_set():
                return
            try:
                process = subprocess.Popen(
                    self._arguments, stdin=subprocess.DEVNULL, stdout=2, env=environment, start_new_session=True
                )
            except OSError as error:
                log.warning("%s cannot be started: %s", self._arguments[0], error)
                return
            self._process = process
        try:
            code = process.wait(self._timeout_s)
        except subprocess.TimeoutExpired:
            log.warning("%s was still running after %g s and was ended", self._arguments[0], self._timeout_s)
            code = _end(process)
        if code and not self._closed.is_set():
            log.warning("%s failed for label %s with exit code %d", self._arguments[0], label, code)

    def close(self) -> None:
        """End a running command and start none any more."""
        with self._lock:
            self._closed.set()
            if self._process is not None:
                _end(self._process)


def _end(process: subprocess.Popen[bytes]) -> int:
    """Ask a command and its children to end, then insist."""
    for what in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            try:
                os.killpg(process.pid, what)  # it leads a session of its own
                process.wait(_GRACE_S)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
    return process.wait()
