"""Deploying over ssh: the first time, with the runtime from the package index, and where all is there already."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

from .arrow import edgetl
from .camera import flowers_bundle
from .harness import Report, compile_packages

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from loopback import AVAILABLE, machine  # type: ignore[import-not-found]

ROUNDS = 5


def main() -> None:
    """Measure and save."""
    if not AVAILABLE:
        sys.exit("skipped: needs OpenSSH's client and server")
    compile_packages()
    report = Report("deploy", "edgetl deploy over the loopback, flowers bundle", reach="up to date ≤ 5 s")
    index = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    with tempfile.TemporaryDirectory() as folder, machine(Path(folder) / "device", index) as device:
        os.environ["EDGETL_SSH"] = device.ssh
        first = edgetl("deploy", "camera", flowers_bundle())
        again = [edgetl("deploy", "camera", flowers_bundle())["wall"] for _ in range(ROUNDS)]
        runtime = device.root / ".local" / "lib" / "edgetl" / "current"
        size = sum(p.lstat().st_size for p in runtime.resolve().rglob("*") if p.is_file() and not p.is_symlink())
    report.add(figure="the first time, with the runtime, s", value=first["wall"])
    report.add(figure="to a machine that is up to date, median s", value=statistics.median(again))
    report.add(figure="installed, MB", value=size / 1e6)
    report.save()


if __name__ == "__main__":
    main()
