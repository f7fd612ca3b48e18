"""The page: what do its viewers cost recognition, and what does it cost in memory?"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as `edgetl-device run` sets it; NumPy reads it once

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from edgetl_device.app.app import App
from edgetl_device.camera import open_camera
from edgetl_device.home import Home
from edgetl_device.web import serve

from .arrow import BIN
from .camera import VIDEO, flowers_bundle
from .harness import DATA, Report, compile_packages, need
from .situations import FOLDERS

ROUNDS = 5
VIEWERS = 4
SECONDS = 4.0


def main() -> None:
    """Measure and save."""
    video = need(DATA / VIDEO)
    compile_packages()
    report = Report(
        "web",
        f"{VIEWERS} viewers of a 640 × 360 video, frames as fast as they are recognised",
        reach="4 stalled viewers cost ≤ 5 % of the frame rate; at most 120 MB idle with the page",
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.install(flowers_bundle())
        rates(report, home, video)
        memory(report, home, video)
    report.save()


def rates(report: Report, home: Home, video: Path) -> None:
    """Recognised frames a second without viewers, with stalled ones and with eager ones, in turn."""
    camera = open_camera(str(video), loop=True, pace=False)
    found: dict[str, list[float]] = {"no": [], "stalled": [], "eager": []}
    with App(home, camera) as app, serve(app, port=0) as server:
        for _ in range(ROUNDS):
            for way, rates_of in found.items():
                with viewers(server.url, 0 if way == "no" else VIEWERS, eager=way == "eager"):
                    before, began = app.pipeline.health().frames, time.perf_counter()
                    time.sleep(SECONDS)
                    rates_of.append((app.pipeline.health().frames - before) / (time.perf_counter() - began))
    report.add(figure="frames recognised a second, nobody watching", value=statistics.median(found["no"]))
    for way in ("stalled", "eager"):
        share = statistics.median(a / b for a, b in zip(found[way], found["no"], strict=True))
        report.add(figure=f"with {VIEWERS} {way} viewers / without", value=share)


@contextmanager
def viewers(url: str, count: int, eager: bool) -> Iterator[None]:
    """That many WebSockets; eager ones take every picture they are offered."""
    with ExitStack() as stack:
        address = f"{url.replace('http', 'ws', 1)}/api/v1/live"
        for _ in range(count):
            socket = stack.enter_context(connect(address, compression=None, proxy=None))
            socket.recv(timeout=10)

            def take(socket=socket) -> None:  # type: ignore[no-untyped-def]
                try:
                    while True:
                        if isinstance(socket.recv(), bytes):
                            socket.send("{}")
                except ConnectionClosed:
                    return

            if eager:
                threading.Thread(target=take, daemon=True).start()
        yield


def memory(report: Report, home: Home, video: Path) -> None:
    """Resident memory of the real program after a few seconds, with and without the page.

    A video file brings FFmpeg with it, 11 MB; photos need as little as a USB camera.
    """
    command = [str(BIN / "edgetl-device"), "--home", str(home.folder), "run", "--loop", "--camera"]
    for camera, source in (("photos", need(DATA / FOLDERS["flowers"]) / "roses"), ("a video", video)):
        for page, options in (("no page", ["--no-web"]), ("the page, nobody watching", ["--web", "127.0.0.1:0"])):
            whole = [*command, str(source), *options]
            process = subprocess.Popen(whole, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(8)
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            process.send_signal(signal.SIGTERM)
            process.wait()
            megabytes = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
            report.add(figure=f"resident memory with {camera} and {page}, MB", value=megabytes)


if __name__ == "__main__":
    main()
