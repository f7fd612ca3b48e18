"""A thousand kills while learning, and a full disk at every write: is anything lost, doubled or damaged?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .harness import Report

ROUNDS = 1000
TESTS = Path(__file__).parents[1] / "tests"


def main() -> None:
    """Measure and save."""
    question = "SIGKILL at any moment on one store that grows, and a disk that is full at any write"
    report = Report("faults", question, reach="nothing lost, doubled or damaged")
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "toys.edgetl"
        make = f"import sys; sys.path.insert(0, {str(TESTS)!r}); import conftest, pathlib; "
        subprocess.run(
            [sys.executable, "-c", make + f"conftest.build_bundle(pathlib.Path({str(bundle)!r}))"], check=True
        )
        told = _script("crash.py", bundle, folder + "/home", ROUNDS, 0)
        report.add(
            fault="SIGKILL at a random moment",
            times=told["rounds"],
            acknowledged_samples=told["acknowledged"] + told["forgotten"],
            problems=_few(told["problems"]),
        )
        told = _script("full_disk.py", bundle, folder + "/limited", 1)
        report.add(fault="a file that cannot grow, at each page", **_refused(told))
        with _small_disk(Path(folder) / "disk") as disk:
            if disk is not None:
                told = _script("full_disk.py", bundle, f"{disk}/home", 1, "fill")
                report.add(fault="a file system that is full, at each page", **_refused(told))
    report.save()


def _script(name: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, str(TESTS / "support" / name), *map(str, arguments)]
    return dict(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def _refused(told: dict[str, Any]) -> dict[str, Any]:
    return {"times": told["refused"], "acknowledged_samples": told["samples"], "problems": _few(told["problems"])}


def _few(problems: list[str]) -> str:
    return "; ".join(problems[:3]) or "none"


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system of 4 MB in memory, where this user may mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        print("no full file system was tried: it needs root")
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


if __name__ == "__main__":
    main()
