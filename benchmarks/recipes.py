"""``edgetl sweep`` on flowers: every quantization recipe side by side."""

from __future__ import annotations

import tempfile
from pathlib import Path

from .arrow import edgetl, train_flowers
from .harness import Report

SHOWN = ("name", "accuracy", "agreement", "size_bytes", "zipped_size_bytes", "latency_ms")


def main() -> None:
    """Measure and save."""
    report = Report(
        "recipes",
        "Flowers, MobileNetV2 α=0.35 @224: recipes side by side, heads on 1,000 photos, 587 held out, one thread",
        reach="int8 within 0.01 of float",
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        train_flowers(run)
        done = edgetl("sweep", run)
    for row in done["recipes"]:
        report.add(**{name: row[name] for name in SHOWN})
    report.save()
    print(f"take {done['recommended']}: {done['reason']} (float pipeline {done['float_accuracy']:.3f})")


if __name__ == "__main__":
    main()
