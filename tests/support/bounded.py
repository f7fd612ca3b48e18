"""Read files of strangers within bounds: each in turn, 512 MB of memory and 10 s of time at most for all of one.

    python tests/support/bounded.py MODULE FUNCTION PATH…

calls the function with each path in one process, and prints a JSON line for each: ``path``, ``outcome`` (``accepted``,
``refused`` for an EdgetlError, else the name of the exception), ``detail`` and ``seconds``. :func:`outcomes` does that from
a test, and knows of a process that died.
"""

from __future__ import annotations

import importlib
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgetl_device.errors import EdgetlError

MEMORY = 512 << 20  # bytes beyond what the program itself takes
SECONDS = 10


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    path: Path
    outcome: str
    detail: str
    seconds: float


def outcomes(module: str, function: str, paths: Sequence[Path]) -> list[Outcome]:
    """In a process of its own; a file that kills it has the outcome ``died``, and the others are still tried."""
    found: list[Outcome] = []
    while len(found) < len(paths):
        left = paths[len(found) :]
        command = [sys.executable, __file__, module, function, *map(str, left)]
        done = subprocess.run(command, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            value = json.loads(line)
            found.append(Outcome(left[0].parent / value.pop("path"), **value))
        if done.returncode and len(found) < len(paths):
            found.append(Outcome(paths[len(found)], "died", f"{done.returncode} {done.stderr[-300:]}", 0.0))
    return found


def main() -> None:
    """The command line."""
    module, name, *paths = sys.argv[1:]
    sys.path[:0] = [str(folder) for folder in Path(__file__).parents[1].rglob("*") if folder.is_dir()]
    sys.path.insert(0, str(Path(__file__).parents[1]))
    function = getattr(importlib.import_module(module), name)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for path in paths:
        signal.alarm(SECONDS)  # its default is to end the process
        started = time.perf_counter()
        outcome, detail = "accepted", ""
        try:
            function(Path(path))
        except EdgetlError as error:
            outcome, detail = "refused", str(error)
        except BaseException as error:
            outcome, detail = type(error).__name__, str(error)
        signal.alarm(0)
        line = {"path": path, "outcome": outcome, "detail": detail, "seconds": time.perf_counter() - started}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
