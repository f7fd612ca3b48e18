"""Commands, each in a forked child of a process that has imported them already: what became of it, and what it took.

    python -m benchmarks.forked PROGRAM

reads a line of JSON for each command from standard input: ``arguments``, ``environment`` and ``log``, a file for what
it writes. It answers with a line: ``code`` (below zero for a signal), ``wall_s``, ``cpu_s`` and ``mb``, the memory of
the largest process, those that the command started included (``getrusage(2)``: ``ru_maxrss``).
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST_S = 120  # then it is ended
_IMPORTS = {
    "edgetl": ("edgetl.cli", "numpy", "cv2", "click"),
    "edgetl_device": ("edgetl_device.cli", "edgetl_device.device", "numpy", "cv2", "ai_edge_litert.interpreter"),
}


@dataclass(frozen=True)
class Outcome:
    """What became of a command.

    Args:
        code: its exit code; below zero the signal that ended it.
        output: all that it wrote.
        wall_s, cpu_s: what it and its children took, seconds.
        mb: memory of the largest of these processes, megabytes.
    """

    code: int
    output: str
    wall_s: float
    cpu_s: float
    mb: float

    @property
    def crashed(self) -> bool:
        """Whether it ended in another way than a command may."""
        return self.code not in (0, 1, 2) or "Traceback (most recent call last)" in self.output


class ForkServer:
    """Runs commands of one program.

    Args:
        program: ``edgetl`` or ``edgetl_device``.
        folder: for what they write.
    """

    def __init__(self, program: str, folder: Path) -> None:
        self._log = folder / f"{program}.log"
        command = [sys.executable, "-m", "benchmarks.forked", program]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, arguments: Sequence[object], **environment: str) -> Outcome:
        """Run a command."""
        asked = {"arguments": [str(each) for each in arguments], "environment": environment, "log": str(self._log)}
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return Outcome(output=self._log.read_text(errors="replace"), **answer)

    def close(self) -> None:
        """End the server."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _forked(asked: dict[str, Any], run: Any, program: str) -> dict[str, Any]:
    began_s = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.setsid()
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream, handle in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
            os.dup2(handle, stream)
        os.environ.update(asked["environment"])
        code = 70
        try:
            code = run(program, asked["arguments"])
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(child, signal.SIGKILL))
    signal.alarm(LONGEST_S)
    _, status, usage = os.wait4(child, 0)
    signal.alarm(0)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "wall_s": time.perf_counter() - began_s,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "mb": usage.ru_maxrss / 1024,
    }


def main(program: str) -> None:
    """Serve until standard input ends."""
    for name in _IMPORTS[program]:
        importlib.import_module(name)
    from edgetl_device import console

    cli = importlib.import_module(f"{program}.cli").program

    def run(name: str, arguments: list[str]) -> int:
        try:
            return console.run(cli, name.replace("_", "-"), arguments)
        except BaseException:  # whatever the program lets through is what is being measured, and is told as a crash
            import traceback

            traceback.print_exc()
            return 70

    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        answers.write(json.dumps(_forked(json.loads(line), run, program)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
