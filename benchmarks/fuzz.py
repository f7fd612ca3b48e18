"""Fuzzing, guided by coverage: is there an input of a stranger's that is answered by anything but a clear line?

``pip install atheris``, then ``python -m benchmarks.fuzz [TARGET…]``; EDGETL_FUZZ_MINUTES is the time of each target,
EDGETL_FUZZ_FOLDER keeps the inputs that were found to reach something new, and those that crash. A crash is an error
that is not edgetl's own, more than 10 seconds, or more than 512 MB beyond what the libraries take.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .harness import Report

MINUTES = float(os.environ.get("EDGETL_FUZZ_MINUTES", "10"))
MOST_S, MOST_MB = 10, 512
_BASE_MB = 400  # instrumented code and what it imports, TensorFlow not among it
_ENOUGH = 20  # crashes of a target in one run
_NAMED = re.compile(rb"Test unit written to (\S+)")
_PROGRESS = re.compile(rb"#(\d+)\s+\S+\s+cov: (\d+) ft: \d+ corp: (\d+)")


@dataclass
class Found:
    """What one target gave."""

    runs: int = 0
    covered: int = 0
    corpus: int = 0
    seconds: float = 0.0
    crashers: tuple[str, ...] = ()


def main(names: list[str]) -> None:
    """Fuzz the targets named, or all; save."""
    from .fuzz_targets import TARGETS

    report = Report(
        "fuzz",
        f"{MINUTES:g} minutes of each target, guided by coverage",
        reach=f"nothing but edgetl's own errors; at most {MOST_S} s and {MOST_MB} MB for an input",
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(os.environ.get("EDGETL_FUZZ_FOLDER", temporary))
        for name in names or list(TARGETS):
            found = fuzzed(name, folder / name.replace(" ", "-"))
            report.add(
                target=name,
                minutes=found.seconds / 60,
                runs=found.runs,
                edges=found.covered,
                corpus=found.corpus,
                crashes=len(found.crashers),
            )
            print(report.rows[-1], *found.crashers, sep="\n  ", flush=True)
    report.save()


def fuzzed(name: str, folder: Path) -> Found:
    """One target, begun again after each crash until its time is over."""
    corpus, crashes = folder / "corpus", folder / "crashes"
    corpus.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(exist_ok=True)
    found, began = Found(), time.monotonic()
    while (left := MINUTES * 60 - (time.monotonic() - began)) > 1 and len(found.crashers) < _ENOUGH:
        command = [sys.executable, "-m", "benchmarks.fuzz", "--one", name, str(corpus), f"{crashes}/", str(int(left))]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        progress = [tuple(map(int, match)) for match in _PROGRESS.findall(done.stdout)]
        if progress:
            found.runs += progress[-1][0]
            found.covered, found.corpus = max(found.covered, progress[-1][1]), progress[-1][2]
        written = [path.decode() for path in _NAMED.findall(done.stdout)]
        found.crashers += tuple(written)
        if done.returncode and not written:
            raise SystemExit(f"{name} does not run:\n{done.stdout.decode(errors='replace')[-3000:]}")
        for path in written:
            Path(f"{path}.txt").write_bytes(done.stdout[-6000:])
    found.seconds = time.monotonic() - began
    return found


def one(name: str, corpus: str, crashes: str, seconds: str) -> None:
    """A target in this process, until it crashes or its time is over."""
    atheris: Any = importlib.import_module("atheris")  # of no platform but Linux, so no requirement

    with atheris.instrument_imports(include=["edgetl_device", "edgetl"]):
        from .fuzz_targets import TARGETS

        target = TARGETS[name]()
        for seed in target.seeds:
            Path(corpus, hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
            target.check(seed)  # imports what it needs while imports are instrumented
    options = [f"-max_total_time={seconds}", f"-timeout={MOST_S}", f"-rss_limit_mb={MOST_MB + _BASE_MB}"]
    largest = max(len(seed) for seed in target.seeds)
    options += [f"-artifact_prefix={crashes}", f"-max_len={max(4096, 2 * largest)}", "-print_final_stats=1"]
    with target.close:
        atheris.Setup([sys.argv[0], *options, corpus], target.check)
        atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(*sys.argv[2:6])
    else:
        main(sys.argv[1:])
