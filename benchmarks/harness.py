"""What every benchmark shares: machine, commit, seed, medians, a table on the terminal and JSON on disk."""

from __future__ import annotations

import compileall
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("EDGETL_TEST_DATA", Path(__file__).parents[2] / "shared"))
_PACKAGES = ("numpy", "ai-edge-litert", "tflite-runtime", "tensorflow", "opencv-python-headless", "scikit-learn")


@dataclass
class Report:
    """The rows of one benchmark, written to ``results/NAME.json``.

    Args:
        name: of the benchmark.
        question: what it answers.
        seed: of everything random in it.
        reach: what was to be reached, for the reader.
    """

    name: str
    question: str
    seed: int = 0
    reach: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, **row: Any) -> None:
        """One row; columns are what the first row has."""
        self.rows.append(row)

    def save(self, kept: str = "") -> None:
        """Print the table and write the JSON.

        Args:
            kept: what was not measured now but kept from an earlier run.
        """
        RESULTS.mkdir(exist_ok=True)
        value = asdict(self) | {"machine": machine(), "commit": commit(), "date": time.strftime("%Y-%m-%d")}
        value |= {"kept": kept} if kept else {}
        (RESULTS / f"{self.name}.json").write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
        print(f"\n{self.question}")
        if self.reach:
            print(f"to reach: {self.reach}")
        print(table(self.rows))


def saved(name: str) -> dict[str, Any]:
    """What an earlier run wrote."""
    value: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return value


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of equal keys → an aligned table."""
    if not rows:
        return "(nothing measured)"
    header = list(rows[0])
    cells = [header] + [[_cell(row.get(name)) for name in header] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    return "\n".join("  ".join(t.ljust(w) for t, w in zip(line, widths, strict=True)).rstrip() for line in cells)


def median_ms(function: Callable[[], object], runs: int = 7, warmup: int = 1) -> float:
    """Median wall time of a call, milliseconds."""
    times = []
    for run in range(runs + warmup):
        started = time.perf_counter()
        function()
        if run >= warmup:
            times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


def cpu_ms(function: Callable[[], object], runs: int = 7, warmup: int = 1) -> float:
    """Median CPU time of a call, milliseconds: hardly changed by a busy machine; with one BLAS thread it is work."""
    times = []
    for run in range(runs + warmup):
        started = time.process_time()
        function()
        if run >= warmup:
            times.append((time.process_time() - started) * 1e3)
    return statistics.median(times)


def interleaved_ms(functions: dict[str, Callable[[], object]], runs: int = 7) -> dict[str, float]:
    """Median wall times of several calls taken in turn, so that a machine's moods hit all of them, milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(runs):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            times[name].append((time.perf_counter() - started) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def compile_packages() -> None:
    """Bytecode of the project's own code, as an installed wheel has it, before whole processes are timed or weighed."""
    for package in ("edgetl", "device/edgetl_device"):
        compileall.compile_dir(Path(__file__).parents[1] / package, quiet=2)


def machine() -> dict[str, Any]:
    """What the figures were measured on; no host name."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "packages": versions,
    }


def commit() -> str:
    """The commit that was measured, with ``+`` where the tree had changes, other than in what was measured."""
    where = Path(__file__).parent
    changed = ["git", "diff", "--quiet", "HEAD", "--", ":(top)", ":(exclude)results"]
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=where, capture_output=True, text=True, check=True
        )
        clean = subprocess.run(changed, cwd=where, check=False).returncode == 0
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("" if clean else "+")


def need(path: Path) -> Path:
    """A path of the data folder, or SystemExit that says what is missing."""
    if not path.exists():
        raise SystemExit(f"skipped: {path} is missing (set EDGETL_TEST_DATA to the data folder)")
    return path


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
