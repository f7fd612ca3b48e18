"""A thousand kills with SIGKILL while learning: is anything lost, doubled or damaged?"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from .harness import Report

ROUNDS = 1000
TESTS = Path(__file__).parents[1] / "tests"


def main() -> None:
    """Measure and save."""
    report = Report("faults", "SIGKILL at any moment, one store that grows", reach="nothing lost, doubled or damaged")
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "toys.edgetl"
        make = f"import sys; sys.path.insert(0, {str(TESTS)!r}); import conftest, pathlib; "
        subprocess.run(
            [sys.executable, "-c", make + f"conftest.build_bundle(pathlib.Path({str(bundle)!r}))"], check=True
        )
        command = [sys.executable, str(TESTS / "device" / "crash.py"), str(bundle), folder + "/home", str(ROUNDS), "0"]
        told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    problems = "; ".join(told["problems"][:3]) or "none"
    report.add(kills=told["rounds"], acknowledged_samples=told["acknowledged"], problems=problems)
    report.save()


if __name__ == "__main__":
    main()
