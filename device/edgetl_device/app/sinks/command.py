"""``command`` and ``part-command``: a program that runs at each change of label, or for each inspected part."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING

from ...errors import InputError
from ...printable import printable
from ...view_names import ViewName
from ..subscription import Recognition
from .sink import HOLD_S, Changes

if TYPE_CHECKING:
    from ..inspecting import PartVerdict

log = logging.getLogger("edgetl.sinks")

COMMAND_S = 30.0  # a command that runs longer is ended
_GRACE_S = 0.5  # between asking a command to end and killing it


class _Command:
    """Runs a command, one at a time. No shell is involved: it is split into arguments once. Its output goes to stderr.

    Args:
        command: program and arguments, quoted as in a shell.
        option: of the command line, for messages.
        timeout_s: a command that runs longer is ended.

    Raises:
        InputError: there is no such program, or the quotes do not match; the message holds no argument.
    """

    def __init__(self, command: str, option: str, timeout_s: float) -> None:
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:  # the message names no argument: they may hold passwords
            raise InputError(f"{option}: {error}") from None
        if not self._arguments or shutil.which(self._arguments[0]) is None:
            program = printable(self._arguments[0].partition("=")[0], 200) if self._arguments else ""
            raise InputError(f"{option} {program!r}: no such program; for shell syntax use `sh -c '…'`")
        self._timeout_s = timeout_s
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, variables: dict[str, str], why: str) -> None:
        """Run the command with more environment variables, and wait for it."""
        environment = os.environ | variables
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
            log.warning("%s failed for %s with exit code %d", self._arguments[0], why, code)

    def close(self) -> None:
        """End a running command and start none any more."""
        with self._lock:
            self._closed.set()
            if self._process is not None:
                _end(self._process)


class LabelCommand(_Command):
    """Runs a command when the label changes; changes while it runs are skipped, the last one counts.

    Label and probability are handed over as the environment variables ``EDGETL_LABEL`` and ``EDGETL_PROBABILITY``; the
    names of the camera and the region, where they have one, as ``EDGETL_CAMERA`` and ``EDGETL_REGION``. Each of several
    views has its changes, and a command that runs for one delays those of the others.

    Args:
        command: program and arguments, quoted as in a shell.
        hold_s: how long a label must last before it counts, seconds.
        timeout_s: a command that runs longer is ended.

    Raises:
        InputError: there is no such program, or the quotes do not match; the message holds no argument.
    """

    def __init__(self, command: str, *, hold_s: float = HOLD_S, timeout_s: float = COMMAND_S) -> None:
        super().__init__(command, "--on-label", timeout_s)
        self._changes = Changes(hold_s)

    def __call__(self, recognition: Recognition) -> None:
        """Run the command, and wait for it, if the label changed."""
        label = self._changes(recognition)
        if label is not None:
            probability = f"{recognition.prediction.probability:.4f}"
            variables = {"EDGETL_LABEL": label, "EDGETL_PROBABILITY": probability}
            self.run(variables | _names(*recognition.name), f"label {label}")

    def keep_only(self, names: Collection[ViewName]) -> None:
        """Forget views that there are no more."""
        self._changes.keep_only(names)


class PartCommand(_Command):
    """Runs a command for each inspected part, one after the other.

    Handed over are the environment variables ``EDGETL_VERDICT`` (``good`` or ``bad``), ``EDGETL_SCORE``,
    ``EDGETL_THRESHOLD``, ``EDGETL_GOOD_PARTS`` and ``EDGETL_BAD_PARTS`` (of this shift).

    Args:
        command: program and arguments, quoted as in a shell.
        timeout_s: a command that runs longer is ended.

    Raises:
        InputError: as :class:`LabelCommand`.
    """

    def __init__(self, command: str, *, timeout_s: float = COMMAND_S) -> None:
        super().__init__(command, "--sink part-command", timeout_s)

    def __call__(self, recognition: Recognition) -> None:
        """Nothing: labels are not what it waits for."""

    def part(self, verdict: PartVerdict) -> None:
        """Run the command, and wait for it."""
        fields = verdict.to_json()
        names = ("verdict", "score", "threshold", "good_parts", "bad_parts")
        variables = {f"EDGETL_{name.upper()}": str(fields[name]) for name in names}
        self.run(variables | _names(verdict.camera, ""), f"a {fields['verdict']} part")


def _names(camera: str, region: str) -> dict[str, str]:
    return {name: value for name, value in (("EDGETL_CAMERA", camera), ("EDGETL_REGION", region)) if value}


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
