"""What the commands of a device take of memory, with the bundle that it starts with and with one of five flowers.

Peaks are those of whole processes as the kernel counts them (``ru_maxrss``). What an app keeps is its resident memory
after some seconds, nobody watching. The head is kept from the installation on, as it is on a device.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from edgetl_device import starter

from .arrow import BIN
from .camera import VIDEO, flowers_bundle
from .harness import DATA, Report, compile_packages, need
from .situations import FOLDERS

TAUGHT = "models/coral/imprinting"
SECONDS = 10.0
ROUNDS = 3


def main() -> None:
    """Measure and save."""
    video, photos, coral = need(DATA / VIDEO), need(DATA / FOLDERS["flowers"]) / "roses", need(DATA / TAUGHT)
    compile_packages()
    report = Report(
        "memory",
        "Memory of a device's commands, MB; of several runs the largest",
        reach="classify ≤ 90, run with the page ≤ 100, with a video file ≤ 115",
    )
    for name, bundle in (("flowers", flowers_bundle()), ("the starter", starter.PATH)):
        with tempfile.TemporaryDirectory() as folder:
            device = [str(BIN / "edgetl-device"), "--home", folder]
            peak([*device, "install", str(bundle)])
            for label in ("cat", "dog"):
                taught = peak([*device, "learn", label, str(coral / f"{label}_train_0.png")])
            asked = [peak([*device, "classify", str(coral / "cat_test_0.png")]) for _ in range(ROUNDS)]
            report.add(bundle=name, command="classify, a photo", peak_mb=max(asked), resident_mb="-")
            report.add(bundle=name, command="learn, a photo", peak_mb=taught, resident_mb="-")
            for source, camera in (("photos", photos), ("a video file", video)):
                for page, options in (("no page", ["--no-web"]), ("the page", ["--web", "127.0.0.1:0"])):
                    runs = [
                        running([*device, "run", "--loop", "--camera", str(camera), *options]) for _ in range(ROUNDS)
                    ]
                    most, kept = (max(column) for column in zip(*runs, strict=True))
                    report.add(bundle=name, command=f"run, {source}, {page}", peak_mb=most, resident_mb=kept)
    report.save()


def peak(command: list[str]) -> float:
    """The largest resident memory of a process, MB."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        return _ended(process)


def running(command: list[str]) -> tuple[float, float]:
    """The same of an app that is ended after some seconds, and what it kept just before."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(SECONDS)
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        process.send_signal(signal.SIGTERM)
        return _ended(process), pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _ended(process: subprocess.Popen[Any]) -> float:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{process.args!r} ended with {process.returncode}")
    return usage.ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
