"""Kills, power cuts, damage and a full disk: is anything lost, doubled or changed without a word?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .harness import Report

ROUNDS = 1000
REPLACEMENTS = 1000
DAMAGES = 500
POWER_CUTS = 5000
TESTS = Path(__file__).parents[1] / "tests"


def main() -> None:
    """Measure and save."""
    question = "SIGKILL at any moment, power cuts, random damage, and a disk that is full at any write"
    report = Report("faults", question, reach="nothing lost or doubled, and no damage that is not noticed")
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a kill does not ask whether a disk is slow
    with tempfile.TemporaryDirectory(dir=memory) as folder, _small_disk(Path(folder) / "disk") as disk:
        bundle = Path(folder) / "toys.edgetl"
        make = f"import sys; sys.path.insert(0, {str(TESTS)!r}); import conftest, pathlib; "
        subprocess.run(
            [sys.executable, "-c", make + f"conftest.build_bundle(pathlib.Path({str(bundle)!r}))"], check=True
        )
        with ThreadPoolExecutor() as pool:  # they wait more than they work, each in a home of its own
            kills = pool.submit(_script, "crash.py", bundle, folder + "/home", ROUNDS, 0)
            replaced = pool.submit(_script, "replacement_crash.py", bundle, folder + "/replaced", REPLACEMENTS, 0)
            cuts = pool.submit(_script, "power_cuts.py", bundle, folder + "/cuts", POWER_CUTS, 0)
            damages = pool.submit(_script, "corruption.py", folder + "/damaged", DAMAGES, 0)
            limited = pool.submit(_script, "full_disk.py", bundle, folder + "/limited", 1)
            filled = pool.submit(_script, "full_disk.py", bundle, f"{disk}/home", 1, "fill") if disk else None
        _add(report, kills.result(), replaced.result(), cuts.result(), damages.result())
        report.add(fault="a file that cannot grow, at each page", **_refused(limited.result()))
        if filled is not None:
            report.add(fault="a file system that is full, at each page", **_refused(filled.result()))
    report.save()


def _add(
    report: Report, kills: dict[str, Any], replaced: dict[str, Any], cuts: dict[str, Any], damages: dict[str, Any]
) -> None:
    report.add(
        fault="SIGKILL at a random moment",
        times=kills["rounds"],
        acknowledged_samples=kills["acknowledged"] + kills["forgotten"],
        acknowledged_events=kills["events"] + kills["events_deleted"],
        problems=_few(kills["problems"]),
    )
    in_time = ", ".join(f"{count} {step}" for step, count in sorted(replaced["killed in time"].items()))
    report.add(
        fault=f"SIGKILL while the store or the bundle is replaced ({in_time})",
        times=replaced["rounds"],
        acknowledged_samples="-",
        problems=_few(replaced["problems"]),
    )
    kinds = ", ".join(f"{sum(steps.values())} {kind}" for kind, steps in sorted(cuts["steps"].items()))
    report.add(
        fault=f"simulated power cut ({cuts['sessions']} recorded sessions: {kinds})",
        times=cuts["cuts"],
        acknowledged_samples="-",
        problems=_few(cuts["problems"]),
    )
    outcomes = ", ".join(f"{count} × {kind}" for kind, count in damages["outcomes"].items())
    report.add(
        fault=f"random damage of database or log ({outcomes}; {damages['saved']:.0%} of samples saved on average)",
        times=damages["rounds"],
        acknowledged_samples="-",
        problems=_few(damages["problems"]),
    )


def _script(name: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, str(TESTS / "support" / name), *map(str, arguments)]
    return dict(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def _refused(outcome: dict[str, Any]) -> dict[str, Any]:
    return {
        "times": outcome["refused"],
        "acknowledged_samples": outcome["samples"],
        "problems": _few(outcome["problems"]),
    }


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
