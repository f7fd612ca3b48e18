"""Half an hour of watching, teaching, forgetting and unplugging: does memory stay flat, and do threads end?

EDGETL_SOAK_MINUTES=5 python -m benchmarks soak
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from itertools import cycle, islice
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as `edgetl-device run` sets it; NumPy reads it once

from edgetl_device.app.app import App
from edgetl_device.camera import FakeCamera, open_camera
from edgetl_device.errors import CameraError
from edgetl_device.home import Home
from edgetl_device.photos import Image

from .camera import VIDEO, flowers_bundle
from .harness import DATA, Report, need

MINUTES = float(os.environ.get("EDGETL_SOAK_MINUTES", "30"))
FPS = 30.0
SESSION = 300  # frames until the camera is unplugged
LOOKS = 12  # rows of the table
TAUGHT = 20


def main() -> None:
    """Measure and save."""
    report = Report(
        "soak",
        f"{MINUTES:g} minutes at {FPS:g} frames/s: 4 listeners of which 2 are stalled, the camera drops every "
        f"{SESSION} frames, {TAUGHT} frames are taught, retrained and forgotten again and again",
        reach="memory flat after the first look: ≤ 5 % more at the end",
    )
    video = need(DATA / VIDEO)
    images = list(islice(open_camera(str(video), pace=False).frames(), 240))
    session: list[Image | float | Exception] = [*islice(cycle(images), SESSION), CameraError("unplugged")]
    sessions = [session] * (int(MINUTES * 60 * FPS / SESSION) + 10)
    camera = FakeCamera(*sessions, fps=FPS, finite=False)
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.install(flowers_bundle())
        with App(home, camera) as app:
            began = time.monotonic()
            listeners = [app.pipeline.subscribe() for _ in range(4)]
            for look in range(LOOKS + 1):
                while time.monotonic() - began < look * MINUTES * 60 / LOOKS:
                    burst = [recognition for _ in range(TAUGHT) if (recognition := listeners[0].get(10)) is not None]
                    listeners[1].get(0)
                    ids = app.teach("bottle", burst)
                    app.retrain(accept_scene_change=True)
                    app.forget(ids)
                health = app.pipeline.health()
                report.add(
                    minutes=(time.monotonic() - began) / 60,
                    rss_mb=resident_bytes() / 1e6,
                    threads=threading.active_count(),
                    descriptors=len(list(Path("/proc/self/fd").iterdir())),
                    frames=health.frames,
                    dropped=health.dropped,
                    reconnects=health.reconnects,
                    versions=len(app.versions()),
                    store_kb=home.store_path.stat().st_size / 1e3,
                )
    report.save()
    first, last = report.rows[1]["rss_mb"], report.rows[-1]["rss_mb"]
    print(f"memory: {first:.0f} MB after the first look, {last:.0f} MB at the end ({last / first - 1:+.1%})")


def resident_bytes() -> int:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
