"""How many threads the runtime gets: measured on the device, because counting cores misleads.

With four threads on one free core inference is 20 times slower than with one, and on a small backbone more threads
gain little even on free cores, which camera and learning need too. So a thread more must pay for itself.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..bundle.bundle import Bundle
from ..files import write_atomically

DEFAULT = 1
GAIN = 1.3  # times faster, at the slow end, that twice the threads must be
_RUNS = 20


@dataclass(frozen=True)
class Choice:
    """What was measured.

    Args:
        threads: the number to use.
        p95_ms: of each number that was tried, the 95th percentile of the latency, milliseconds.
    """

    threads: int
    p95_ms: dict[int, float]


def choose(prepare: Callable[[int], Callable[[], object]]) -> Choice:
    """Measure 1, 2, 4 … threads, at most as many as there are free cores, until more do not pay.

    Args:
        prepare: number of threads → a call that computes once.
    """
    best, latencies = DEFAULT, {}
    for threads in _candidates():
        latencies[threads] = _p95_ms(prepare(threads))
        if threads > best:
            if latencies[best] < GAIN * latencies[threads]:
                break
            best = threads
    return Choice(best, latencies)


def remember(path: Path, bundle: Bundle, runtime: str, choice: Choice) -> None:
    """Keep a choice for a bundle's backbone and a runtime; raises StorageError."""
    value = {"backbone": bundle.backbone_digest, "runtime": runtime, "threads": choice.threads, "p95_ms": choice.p95_ms}
    write_atomically(path, json.dumps(value, indent=1).encode(), private=True)


def recall(path: Path, bundle: Bundle, runtime: str) -> int | None:
    """What was kept; None where nothing was measured with this backbone and runtime, so where it never ran."""
    try:
        value = json.loads(path.read_bytes())
        fits = value["backbone"] == bundle.backbone_digest and value["runtime"] == runtime
        threads = int(value["threads"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not fits:
        return None
    return threads if 1 <= threads <= cores() else DEFAULT


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _candidates() -> list[int]:
    """1, 2, 4 … but always one core less than there are, for camera and learning."""
    return [threads for threads in (1, 2, 4) if threads == 1 or threads < cores()]


def _p95_ms(compute: Callable[[], object]) -> float:
    compute()  # the first call allocates
    times = []
    for _ in range(_RUNS):
        started = time.perf_counter()
        compute()
        times.append((time.perf_counter() - started) * 1e3)
    return sorted(times)[int(0.95 * _RUNS)]
