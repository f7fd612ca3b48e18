"""Where recognitions go besides the page: a command at every change of label, lines on stdout, and what packages add.

Each sink is called with the newest recognition by a :class:`~edgetl_device.app.background.Listener`, so it may take its
time. A package of your own adds one through the entry point group ``edgetl.sinks`` (:mod:`edgetl_device.extensions`).
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Protocol, TextIO, cast

from ..addresses import filled_in
from ..errors import InputError
from ..extensions import SINKS, call_factory, extension_names, load_extension
from ..printable import printable
from .subscription import Recognition

log = logging.getLogger("edgetl.sinks")

HOLD_S = 0.5  # a label must last so long before it counts as a change
COMMAND_S = 30.0  # a command that runs longer is ended
_GRACE_S = 0.5  # between asking a command to end and killing it
UNKNOWN = "unknown"  # cannot be a class: labels.RESERVED


class Sink(Protocol):
    """What takes recognitions."""

    def __call__(self, recognition: Recognition) -> object:
        """Take the newest recognition; called in a thread of the sink's own, and may take its time."""

    def close(self) -> None:
        """The app ends: make a running call return soon. Comes from another thread; one last call may follow it."""


def open_sink(spec: str) -> Sink:
    """``NAME`` or ``NAME:ARGUMENT``, as for ``--sink`` → the sink.

    ``${NAME}`` in an argument comes from the environment; in a command it is left to the shell that the command starts.

    Raises:
        InputError: there is no such sink, or it refuses its argument.
    """
    name, _, argument = spec.partition(":")
    factory = BUILT_IN.get(name) or load_extension(SINKS, name)
    if factory is None:
        names = ", ".join([*BUILT_IN, *extension_names(SINKS)])
        raise InputError(f"no sink {name!r}: expected {names}; a package adds one by the entry point group {SINKS}")
    sink = call_factory(factory, SINKS, name, argument if name in BUILT_IN else filled_in(argument))
    if not callable(sink) or not callable(getattr(sink, "close", None)):
        raise InputError(f"{name!r} ({SINKS}) returned {type(sink).__name__}, which cannot be called or has no close()")
    return cast(Sink, sink)


def shown(recognition: Recognition) -> str:
    """The label of a recognition, ``unknown`` where it resembles nothing learned."""
    prediction = recognition.prediction
    return UNKNOWN if prediction.unknown or prediction.label is None else prediction.label


class Changes:
    """Debounces labels: reports a change once the new label has lasted.

    Args:
        hold_s: how long it must last, seconds of the camera's time.
        begin: the label before the first; with None the first counts as a change too.
    """

    def __init__(self, hold_s: float = HOLD_S, begin: str | None = UNKNOWN) -> None:
        self._hold_s = hold_s
        self._confirmed = begin
        self._candidate = begin
        self._since_s = 0.0

    def __call__(self, recognition: Recognition) -> str | None:
        """The label if this recognition changed it for good, else None."""
        label = shown(recognition)
        if label != self._candidate:
            self._candidate, self._since_s = label, recognition.frame.time_s
        if label == self._confirmed or recognition.frame.time_s - self._since_s < self._hold_s:
            return None
        self._confirmed = label
        return label


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


BUILT_IN: dict[str, Callable[[str], Sink]] = {"command": LabelCommand}
"""The sinks that ``--sink`` knows without any further package."""


class JsonLines:
    """One JSON object a line for every recognition: time (UTC), frame, label, probability, unknown, version.

    Args:
        gone: called once when nobody reads any more, as after ``| head``.
        stream: where to write; default is stdout.
    """

    def __init__(self, gone: Callable[[], None], stream: TextIO | None = None) -> None:
        self._gone = gone
        self._stream = stream or sys.stdout

    def __call__(self, recognition: Recognition) -> None:
        """Write a line."""
        prediction = recognition.prediction
        line = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "frame": recognition.frame.number,
            "label": prediction.label,
            "probability": round(prediction.probability, 4),
            "unknown": prediction.unknown,
            "version": recognition.version,
        }
        _print(json.dumps(line, ensure_ascii=False), self._stream, self._gone)

    def close(self) -> None:
        """Nothing to end."""


class ChangeLines:
    """A line for a person with the first label, and at every change.

    Args:
        gone: called once when nobody reads any more.
        stream: where to write; default is stdout.
    """

    def __init__(self, gone: Callable[[], None], stream: TextIO | None = None) -> None:
        self._gone = gone
        self._stream = stream or sys.stdout
        self._changes = Changes(0.0, None)

    def __call__(self, recognition: Recognition) -> None:
        """Print a change."""
        label = self._changes(recognition)
        if label is not None:
            share = "" if label == UNKNOWN else f" {recognition.prediction.probability:.2f}"
            _print(f"{datetime.now():%H:%M:%S}  {label}{share}", self._stream, self._gone)

    def close(self) -> None:
        """Nothing to end."""


def _print(line: str, stream: TextIO, gone: Callable[[], None]) -> None:
    try:
        stream.write(line + "\n")
        stream.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at exit; give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        gone()
