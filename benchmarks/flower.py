"""A thousand devices in one federated round of Flower: what does it cost, and is the sum that of ``edgetl merge``?

    OPENBLAS_NUM_THREADS=1 python -m benchmarks flower
    python -m benchmarks.flower 1000 strategy

The exports are those of ``fleet``: of each device a store that learned a hundred photos. They pass through Flower's own
simulation (Ray, nodes as actors), in the environment that ``make test-fleet`` makes; and, in one process, through the
same apps and the same Strategy without Flower's transport, so that the difference is what Flower costs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.merging.exports import sources_in
from edgetl_device.merging.merge import merge
from edgetl_device.sending.outgoing import outgoing

from .fleet import DEVICES, SAMPLES, SETS, Photos, make_bundle, make_devices
from .harness import Report

PYTHON = Path(__file__).parents[1] / ".venv-fleet" / "bin" / "python"
REACH = "the same bytes as edgetl merge"


WAYS = {"strategy": "the Strategy in one process", "simulation": "Flower's simulation"}


def main(count: int = DEVICES, ways: Sequence[str] = tuple(WAYS)) -> None:
    """Measure and save.

    Args:
        ways: of :data:`WAYS`; Ray does not start on a machine that is too busy, and the other way does without it.
    """
    python = Path(os.environ.get("EDGETL_FLEET_PYTHON", PYTHON))
    if not python.exists():
        sys.exit("skipped: `make test-fleet` makes the environment with Flower that this needs")
    report = Report("flower", f"{count} devices of {SAMPLES} photos each, one round, d = 1280", reach=REACH)
    with tempfile.TemporaryDirectory() as work, tempfile.TemporaryDirectory(dir="/dev/shm") as homes:
        folder = Path(work)
        factory = make_bundle(folder / "base.edgetl", Photos.load(SETS[1]))
        exports = folder / "exports"
        exports.mkdir()
        for number, device in enumerate(make_devices(Path(homes), factory, Photos.load(SETS[0]), count)):
            (exports / f"{number}.stats").write_bytes(outgoing(device.learner).data)
        started, cpu = time.perf_counter(), time.process_time()
        merge(factory.bundle, sources_in([exports]), folder / "merged.edgetl", accept=True)
        seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
        report.add(way="edgetl merge, of files", cpu_ms=round(cpu_s / count * 1e3, 2), seconds=round(seconds, 1))
        expected = statistics(folder / "merged.edgetl")
        for name in ways:
            facts = one_round(python, folder, name, count)
            assert facts["answered"] == count, facts
            assert statistics(folder / f"{name}.edgetl") == expected, "not the bytes of edgetl merge"
            report.add(way=WAYS[name], cpu_ms=facts["cpu_ms"], seconds=facts["seconds"], rss_mb=facts["rss_mb"])
    report.save()


def one_round(python: Path, folder: Path, way: str, count: int) -> dict[str, Any]:
    """A round in the environment with Flower → what it cost."""
    script = Path(__file__).with_name("flower_rounds.py")
    command = [str(python), str(script), str(folder), way, str(count)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def statistics(path: Path) -> bytes:
    """Of a bundle."""
    return BundleContent(open_bundle(path)).statistics.to_bytes()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else DEVICES, sys.argv[2:] or tuple(WAYS))
