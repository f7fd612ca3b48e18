"""``edgetl-device bench``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ..console import note, reports, say, table
from .options import in_home, runtime_option
from .starting import start_if_empty

if TYPE_CHECKING:
    from ..home import Home


@click.command(short_help="Measure speed and memory on this device")
@click.option("--runs", type=click.IntRange(10), default=200, show_default=True, help="Frames to classify.")
@click.option("--threads", type=click.IntRange(1), help="Threads of the runtime (default: what `install` measured).")
@click.option("--compare", is_flag=True, help="Every installed runtime with 1, 2, 4 … threads, side by side.")
@click.option("--cold-start/--no-cold-start", default=True, help="Also time `classify` from a cold start.")
@runtime_option
@in_home
@reports
def bench(runs: int, threads: int | None, compare: bool, cold_start: bool, runtime: str, home: Home) -> dict[str, Any]:
    """Latency, throughput, memory and retraining time of this device with its bundle."""
    import platform

    from .. import bench as benchmark
    from ..doctor import System

    start_if_empty(home, runtime)
    if compare:
        note("running every runtime with 1, 2, 4 … threads, each in its own process: about a minute")
    measured = benchmark.measure(home, runtime, threads, runs)
    result: dict[str, Any] = asdict(measured)
    result |= {"runs": runs, "machine": platform.machine(), "board": System().text("/proc/device-tree/model") or None}
    result["cold_start_ms"] = benchmark.cold_start_ms(home, runtime) if cold_start else None
    rows = [_row(result)]
    if compare:
        result["compared"] = list(benchmark.compare(home, runs))
        rows = [_row(row) for row in result["compared"]]
    table(("runtime", "threads", "p50 ms", "p95 ms", "p99 ms", "fps", "MB", "retrain ms"), rows)
    if cold_start:
        say(f"cold start of `classify`: {result['cold_start_ms']:.0f} ms")
    if measured.temperature_celsius is not None:
        say(f"processor: {measured.temperature_celsius:.0f} °C")
    if not measured.xnnpack and "edgetpu" not in measured.runtime:
        note("XNNPACK is not used: `edgetl-device doctor` says why")
    return result


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    if "error" in row:
        return row["runtime"], row["threads"], row["error"], None, None, None, None, None
    latency = (f"{row['latency_ms'][point]:.2f}" for point in ("p50", "p95", "p99"))
    memory = f"{row['rss_bytes'] / 1e6:.0f}"
    return row["runtime"], row["threads"], *latency, f"{row['fps']:.1f}", memory, f"{row['retrain_ms']:.1f}"
