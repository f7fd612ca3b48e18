"""MQTT, webhooks and server-sent events: what do they cost recognition, with the other end there, away and stalled?"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as `edgetl-device run` sets it; NumPy reads it once

import numpy as np

from edgetl_device.app.app import App
from edgetl_device.app.background import Listener
from edgetl_device.app.pipeline import Pipeline
from edgetl_device.app.sinks.mqtt import MqttSink
from edgetl_device.app.sinks.webhook import WebhookSink
from edgetl_device.app.subscription import Recognition
from edgetl_device.camera import FakeCamera, Frame, open_camera
from edgetl_device.home import Home
from edgetl_device.inference.classifier import Prediction
from edgetl_device.starter import install_starter
from edgetl_device.web.events import Events

from .harness import Report

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
ROUNDS = 7
FRAMES = 200  # of a round
EVENTS = 10_000  # what a minute may bring
HELD = 60  # frames kept in memory, shown again and again
LABELS = [f"thing {number}" for number in range(8)]

Sink = MqttSink | WebhookSink


@contextmanager
def broker(folder: Path) -> Iterator[tuple[int, Callable[[], None]]]:
    """A port, and what starts a mosquitto on it."""
    port = free_port()
    configuration = folder / "mosquitto.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n")
    running: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        running.append(subprocess.Popen([str(MOSQUITTO), "-c", str(configuration)], stderr=subprocess.DEVNULL))
        until(lambda: reachable(port))

    try:
        yield port, start
    finally:
        for process in running:
            process.kill()
            process.wait()


@contextmanager
def stalled() -> Iterator[int]:
    """A port on which somebody listens, takes the connection and says nothing more."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        kept: list[socket.socket] = []

        def take() -> None:
            with suppress(OSError):
                while True:
                    kept.append(server.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for each in kept:
            each.close()


def free_port() -> int:
    """One on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def reachable(port: int) -> bool:
    """Whether somebody listens."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait for something that happens elsewhere."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it did not happen")
        time.sleep(0.005)


def changing(recognition: Recognition, number: int) -> Recognition:
    """The same frame under another label than the one before."""
    label = LABELS[number % len(LABELS)]
    told = Prediction(label, 0.9, False, tuple((each, 0.9 if each == label else 0.01) for each in LABELS))
    return replace(recognition, prediction=told, instant=told)


def main() -> None:
    """Measure and save."""
    if MOSQUITTO is None:
        print("skipped: mosquitto is not installed here", file=sys.stderr)
        return
    report = Report(
        "connections",
        f"Sinks beside the camera app, starter bundle, rendered frames; {EVENTS} changes of label",
        reach="0.97 of the frames a second without sinks, the other end there, away or stalled; memory bounded",
    )
    logging.getLogger("edgetl.sinks").setLevel(logging.ERROR)  # that the others are away is no news here
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        port, start = stack.enter_context(broker(folder))
        silent = stack.enter_context(stalled())
        away = free_port()
        specs = {
            "MQTT, broker there": f"mqtt://127.0.0.1:{port}/there",
            "MQTT, broker away": f"mqtt://127.0.0.1:{away}/away",
            "MQTT, broker stalled": f"mqtt://127.0.0.1:{silent}/stalled",
            "webhook, receiver away": f"http://127.0.0.1:{away}/hook",
            "webhook, receiver stalled": f"http://127.0.0.1:{silent}/hook",
        }
        calls(report, specs, start)
        loops(report, folder, specs)
    report.save()


def opened(spec: str) -> Sink:
    """A sink that counts each change at once."""
    return MqttSink(spec, hold_s=0.0) if spec.startswith("mqtt") else WebhookSink(spec, hold_s=0.0)


def calls(report: Report, specs: dict[str, str], start: Callable[[], None]) -> None:
    """What one call costs the sink's own thread, and what waits after ten thousand changes."""
    image = np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)
    blank = Prediction(None, 0.0, True, ())
    frame = Recognition(Frame(image, 1, 0.0), np.zeros(4, np.int8), blank, blank, 1, "backbone")
    changes = [replace(changing(frame, number), frame=Frame(image, number, float(number))) for number in range(EVENTS)]
    start()
    for name, spec in specs.items():
        sink = opened(spec + ("?snapshot=no" if spec.startswith("mqtt") else ""))
        began = time.perf_counter()
        for change in changes:
            sink(change)
        changed_us = (time.perf_counter() - began) / EVENTS * 1e6
        waiting, kept = waits(sink)
        began = time.perf_counter()
        for _ in range(EVENTS):
            sink(changes[-1])
        same_us = (time.perf_counter() - began) / EVENTS * 1e6
        sink.close()
        report.add(
            sink=name, call_us=round(same_us, 1), changed_us=round(changed_us, 1), waiting=waiting, kept_kb=kept,
        )  # fmt: skip


def waits(sink: Sink) -> tuple[int, float]:
    """How many payloads wait, and how many kilobytes are kept for them."""
    if isinstance(sink, MqttSink):
        return len(sink.broker.outbox), round(sink.broker.outbox.size_bytes / 1e3, 1)
    return len(sink.delivery), round(sum(len(repr(each)) for each in sink.delivery._waiting) / 1e3, 1)


def loops(report: Report, folder: Path, specs: dict[str, str]) -> None:
    """Frames a second and processor time a frame of the whole loop with a sink beside it, against none, in turn.

    A change is sent with its picture; at each 10th frame, or, as bad as it can be, at each.
    """
    home = Home(folder / "home")
    install_starter(home)
    held = list(islice(open_camera("parts", pace=False).frames(), HELD))
    with App(home, FakeCamera(held[:2])) as app:
        classifier = app._learner.classifier(app._backbone)

    def rate(sink: Callable[[Recognition], object] | None, every: int) -> tuple[float, float]:
        pipeline = Pipeline(FakeCamera([held[number % HELD] for number in range(FRAMES)], live=False), classifier)
        count = 0

        def told(recognition: Recognition) -> None:
            nonlocal count
            count += 1
            assert sink is not None
            sink(changing(recognition, count // every))

        listener = Listener("sink", pipeline, told) if sink is not None else None
        if listener is not None:
            listener.start()
        began = time.process_time()
        with pipeline:
            pipeline.wait()
        work_ms = (time.process_time() - began) * 1e3 / FRAMES
        health = pipeline.health()
        if listener is not None:
            listener.stop()
        return (health.frames - 1) / health.seconds, work_ms

    rate(None, 1)
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        for name, spec in specs.items():
            for every, what in ((10, "each_10th"), (1, "each")):
                sink = opened(spec)
                (alone, work), (beside, more) = rate(None, 1), rate(sink, every)
                found.setdefault(f"{name}/{what}", []).append((beside / alone, more - work))
                sink.close()
    for row in report.rows:
        for what in ("each_10th", "each"):
            ratios, works = zip(*found[f"{row['sink']}/{what}"], strict=True)
            row[f"frame_rate_{what}"] = round(statistics.median(ratios), 3)
            row[f"work_ms_{what}"] = round(statistics.median(works), 3)
    streams(report, app)


def streams(report: Report, app: App) -> None:
    """Server-sent events: what ten thousand changes leave."""
    events = Events(app, hold_s=0.0)
    image = np.zeros((2, 2, 3), np.uint8)
    blank = Prediction(None, 0.0, True, ())
    began = time.perf_counter()
    for number in range(EVENTS):
        frame = Recognition(Frame(image, number, float(number)), np.zeros(4, np.int8), blank, blank, 1, "backbone")
        events._notice(changing(frame, number))
    changed_us = (time.perf_counter() - began) / EVENTS * 1e6
    kept = events.since(0)
    size_kb = round(sum(len(event.data) for event in kept) / 1e3, 1)
    row = {"call_us": "", "changed_us": round(changed_us, 1), "waiting": len(kept), "kept_kb": size_kb}
    report.add(
        sink="server-sent events",
        **row,
    )


if __name__ == "__main__":
    main()
