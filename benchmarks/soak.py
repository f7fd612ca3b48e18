"""An app at full speed for days, if you like: do memory, threads, descriptors and store stay flat, is anything lost?

EDGETL_SOAK_MINUTES=120 python -m benchmarks soak

The app runs in a process of its own, with its page. Its camera gives more frames than can be recognised and is
unplugged again and again. Five eager viewers, three that take nothing and two of motion JPEG watch, while a person
teaches, reviews and forgets. The film is made of few frames, kept in memory, so that the process is not much larger
than an app.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import cycle, islice, repeat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as `edgetl-device run` sets it; NumPy reads it once

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from edgetl_device.app.app import App
from edgetl_device.camera import FakeCamera, open_camera
from edgetl_device.errors import CameraError
from edgetl_device.home import Home
from edgetl_device.photos import Image
from edgetl_device.verification import verify
from edgetl_device.web import serve

from .camera import VIDEO, flowers_bundle
from .harness import DATA, Report, need

MINUTES = float(os.environ.get("EDGETL_SOAK_MINUTES", "120"))
HELD = 40  # frames of the film
FPS = 400.0  # more than can be recognised
SESSION = 12_000  # frames until the camera is unplugged
EAGER, STALLED, MOTION = 5, 3, 2
TAUGHT = 10
ROWS = 16  # of the table
LOOK_S = 5.0
WATCHED = ("rss_mb", "threads", "descriptors", "store_kb")


def main() -> None:
    """Measure and save."""
    report = Report(
        "soak",
        f"{MINUTES:g} minutes at full speed: {EAGER + STALLED + MOTION} viewers, the camera drops every {SESSION} "
        f"frames, {TAUGHT} frames are taught, reviewed and forgotten again and again",
        reach="memory, threads, descriptors and store flat: ≤ 0.5 %/h in the last half; nothing lost",
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.install(flowers_bundle())
        command = [sys.executable, "-m", "benchmarks.soak", "--serve", str(home.folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                watched(report, home, process.pid, process.stdout.readline().decode().strip())
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
        wrong = [each.name for each in verify(home) if not each.ok]
        report.add(minutes=f"verified: {'sound' if not wrong else ', '.join(wrong)}")
    report.save()


def watched(report: Report, home: Home, process: int, url: str) -> None:
    """Look at the process while others use its page; then the rows."""
    looks: list[dict[str, float]] = []
    began = time.monotonic()
    with ExitStack() as stack:
        viewers(stack, url)
        person = Person(url)
        thread = threading.Thread(target=person.act, daemon=True)
        thread.start()
        while (passed := time.monotonic() - began) < MINUTES * 60:
            looks.append({"minutes": passed / 60, **look(home, process), **person.noted})
            time.sleep(LOOK_S)
        person.ended.set()
        thread.join(60)
    for row in looks[:: max(1, len(looks) // ROWS)]:
        report.add(**row)
    report.add(**looks[-1])
    later = [look for look in looks if look["minutes"] > MINUTES / 2]
    slopes = {name: slope_per_hour(later, name) for name in WATCHED}
    report.add(minutes="%/h, last half", **{name: slope for name, (slope, _) in slopes.items()})
    report.add(minutes="± 2 s.e.", **{name: 2 * error for name, (_, error) in slopes.items()})


def look(home: Home, process: int) -> dict[str, float]:
    """What the process takes now."""
    of_process = Path(f"/proc/{process}")
    pages = int((of_process / "statm").read_text().split()[1])
    files = [path.stat().st_size for path in home.folder.iterdir() if path.name.startswith("device.")]
    return {
        "rss_mb": pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        "threads": len(list((of_process / "task").iterdir())),
        "descriptors": len(list((of_process / "fd").iterdir())),
        "store_kb": sum(files) / 1e3,
    }


def slope_per_hour(looks: list[dict[str, float]], name: str) -> tuple[float, float]:
    """Least squares over looks → % of the mean an hour, and the standard error of that."""
    hours = np.array([look["minutes"] / 60 for look in looks])
    values = np.array([look[name] for look in looks])
    if len(looks) < 3:
        return float("nan"), float("nan")
    hours -= hours.mean()
    slope = float(hours @ values / (hours @ hours))
    rest = values - values.mean() - slope * hours
    error = float(np.sqrt(rest @ rest / (len(looks) - 2) / (hours @ hours)))
    return 100 * slope / float(values.mean()), 100 * error / float(values.mean())


# who uses it ---------------------------------------------------------------------------------------------------------


@dataclass
class Person:
    """Teaches, reviews, and forgets what was taught; counts what is there against what was acknowledged."""

    url: str
    ended: threading.Event = field(default_factory=threading.Event)
    noted: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("frames", "reconnects", "lessons", "reviewed", "refused", "lost"), 0)
    )

    def act(self) -> None:
        """Until it is ended."""
        while not self.ended.is_set():
            with suppress(OSError, http.client.HTTPException):
                self._lesson()
                health = self.ask("GET", "/api/v1/status")["camera"]
                self.noted["frames"], self.noted["reconnects"] = health["frames"], health["reconnects"]

    def _lesson(self) -> None:
        taught = self.ask("POST", "/api/v1/learn", {"label": "bottle", "frames": TAUGHT, "interval_ms": 50})
        stored = int(taught.get("stored", 0))
        frames = self.ask("GET", "/api/v1/review").get("frames", [])
        ids = [frame["id"] for frame in frames][:4]
        if ids:
            self.ask("POST", "/api/v1/review/label", {"label": "cup", "ids": ids[:2]})
            if ids[2:]:
                self.ask("POST", "/api/v1/review/drop", {"ids": ids[2:]})
            self.noted["reviewed"] += len(ids)
        counts = self.ask("GET", "/api/v1/status")["samples"]
        self.noted["lost"] += abs(counts.get("bottle", 0) - stored)
        for label in ("bottle", "cup"):
            if counts.get(label):
                self.ask("POST", "/api/v1/forget", {"label": label})
        self.noted["lost"] += sum(self.ask("GET", "/api/v1/status")["samples"].get(x, 0) for x in ("bottle", "cup"))
        self.noted["lessons"] += 1

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request → the JSON of its answer."""
        place = urlsplit(self.url).netloc
        connection = http.client.HTTPConnection(place, timeout=120)
        headers = {"Content-Type": "application/json", "Origin": f"http://{place}"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            value: dict[str, Any] = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status >= 400:
            print(path, answer.status, value, flush=True)
            self.noted["refused"] += 1
        return value


def viewers(stack: ExitStack, url: str) -> None:
    """Eager ones take every picture they are offered; stalled ones none; motion JPEG comes by itself."""
    address = f"{url.replace('http', 'ws', 1)}/api/v1/live"
    left = threading.Event()
    stack.callback(left.set)
    ways = [(take, (address, left))] * EAGER + [(stall, (address, left))] * STALLED + [(drain, (url, left))] * MOTION
    for way, arguments in ways:
        threading.Thread(target=way, args=arguments, daemon=True).start()


def take(address: str, left: threading.Event) -> None:
    """Every picture; a connection that ends is made anew."""
    while not left.wait(0.5):
        with (
            suppress(ConnectionClosed, OSError, TimeoutError),
            connect(address, compression=None, proxy=None) as viewer,
        ):
            while not left.is_set():
                if isinstance(viewer.recv(timeout=60), bytes):
                    viewer.send("{}")


def stall(address: str, left: threading.Event) -> None:
    """The first picture and then nothing, until the app ends that; then once more."""
    while not left.wait(0.5):
        with (
            suppress(ConnectionClosed, OSError, TimeoutError),
            connect(address, compression=None, proxy=None) as viewer,
        ):
            viewer.recv(timeout=60)
            while not left.wait(1.0):
                viewer.ping()


def drain(url: str, left: threading.Event) -> None:
    """Motion JPEG, and all of it."""
    place = urlsplit(url)
    while not left.wait(0.5):
        with suppress(OSError), socket.create_connection((str(place.hostname), int(place.port or 80)), 60) as channel:
            channel.sendall(f"GET /stream.mjpg HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
            while not left.is_set() and channel.recv(1 << 16):
                pass


# the app -------------------------------------------------------------------------------------------------------------


class Unplugged(FakeCamera):
    """A film, again and again, faster than anything recognises it; unplugged after so many frames."""

    def __init__(self, film: list[Image]) -> None:
        super().__init__(fps=FPS, finite=False)
        self._rng = np.random.default_rng(0)
        self._sessions: Iterator[Any] = (self._session(film) for _ in repeat(None))

    def _session(self, film: list[Image]) -> Iterator[Image | Exception]:
        for frame in islice(cycle(film), SESSION):
            yield np.roll(frame, self._rng.integers(frame.shape[1]), axis=1)  # never twice the same, for the review
        yield CameraError("unplugged")


def serve_app(folder: str) -> None:
    """The app and its page until SIGTERM; the address on stdout."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    film = [frame.copy() for frame in islice(open_camera(str(need(DATA / VIDEO)), pace=False).frames(), 0, HELD * 8, 8)]
    with App(Home(Path(folder)), Unplugged(film)) as app, serve(app, port=0) as server:
        print(server.url, flush=True)
        ended.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve_app(sys.argv[2])
    else:
        main()
