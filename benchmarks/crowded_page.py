"""The page beside two hundred idle and fifty slow clients: how long does it take to answer?

The clients of every kind hold their connections: silent ones, headers and bodies that come in a byte at a time, answers
that nobody takes, viewers that acknowledge nothing, bytes that are no HTTP.
"""

from __future__ import annotations

import http.client
import socket
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from edgetl_device.app.app import App
from edgetl_device.camera import open_camera
from edgetl_device.home import Home
from edgetl_device.web import serve

from .camera import flowers_bundle
from .harness import Report, compile_packages

IDLE, SLOW = 200, 50
ROUNDS = 40
PATHS = ("/healthz", "/", "/static/main.js", "/api/v1/status", "/metrics")
_UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n"


def main() -> None:
    """Measure and save."""
    compile_packages()
    report = Report("crowded_page", f"{IDLE} idle and {SLOW} slow clients of one address", reach="every answer ≤ 1 s")
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.install(flowers_bundle())
        with App(home, open_camera("parts")) as app, serve(app, port=0) as server, ExitStack() as stack:
            place = urlsplit(server.url).netloc
            while app.pipeline.latest() is None:
                time.sleep(0.1)
            answers(report, "alone", place)
            for _ in range(IDLE):
                stack.enter_context(connected(place))
            for number in range(SLOW):
                crawl(stack.enter_context(connected(place)), place, number)
            answers(report, f"beside {IDLE} idle and {SLOW} slow clients", place)
    report.save()


def connected(place: str) -> socket.socket:
    """A new connection."""
    host, _, port = place.partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def crawl(channel: socket.socket, place: str, number: int) -> None:
    """Begin something that is never finished."""
    head = f"Host: {place}\r\n"
    key = "MDAwMDAwMDAwMDAwMDAwMA=="
    begun = (
        "GET / HTTP/1.1\r\nX: ",
        f"POST /api/v1/classify HTTP/1.1\r\n{head}Content-Type: image/png\r\nContent-Length: 99999\r\n\r\nx",
        f"GET /static/app.css HTTP/1.1\r\n{head}\r\n" * 50,
        f"GET /api/v1/live HTTP/1.1\r\n{head}{_UPGRADE.format(key)}",
        "\x16\x03\x01\x02\x00\x01\x00\x01",
    )[number % 5]
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    with suppress(ConnectionError):
        channel.sendall(begun.encode("latin-1"))


def answers(report: Report, situation: str, place: str) -> None:
    """Median and slowest of many answers, each over a connection of its own."""
    times_ms = []
    for number in range(ROUNDS):
        began_s = time.perf_counter()
        connection = http.client.HTTPConnection(place, timeout=30)
        connection.request("GET", PATHS[number % len(PATHS)])
        response = connection.getresponse()
        response.read()
        connection.close()
        times_ms.append((time.perf_counter() - began_s) * 1e3)
        if response.status != 200:
            raise SystemExit(f"{PATHS[number % len(PATHS)]} answered {response.status}")
    middle, slowest = np.median(times_ms), max(times_ms)
    report.add(situation=situation, answers=ROUNDS, median_ms=float(middle), slowest_ms=float(slowest))


if __name__ == "__main__":
    main()
