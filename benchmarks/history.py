"""The history: what does an event take, how often is a card written, and what does recording cost recognition?"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as `edgetl-device run` sets it; NumPy reads it once

import apsw
import numpy as np

from edgetl_device.app import history as module
from edgetl_device.app import recorder as recording
from edgetl_device.app.app import App
from edgetl_device.app.background import Listener
from edgetl_device.app.history import HistorySettings, HistoryWriter
from edgetl_device.app.pipeline import Pipeline
from edgetl_device.app.recorder import Recorder
from edgetl_device.app.subscription import Recognition, Subscription
from edgetl_device.camera import FakeCamera, Frame, open_camera
from edgetl_device.home import Home
from edgetl_device.inference.classifier import Prediction
from edgetl_device.photos import thumbnail
from edgetl_device.starter import install_starter
from edgetl_device.store.history import History
from edgetl_device.store.history_event import ANY

from .harness import Report

HOUR = 3600  # events, one a second
BATCHES_S = (30.0, 5.0, 0.0)  # between two; 0 writes each event at once, as a plain INSERT would
MANY = 10_000  # events in a minute
FRAMES = 3000  # of a round
EVERY = 30  # frames of an event: one a second at 30 frames a second
ROUNDS = 9
HELD = 60  # frames kept in memory, shown again and again


class Clock:
    """A clock that is moved by hand."""

    now_s = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now_s


class Quiet:
    """A pipeline that delivers nothing by itself."""

    def subscribe(self, **_: object) -> Subscription:
        """Nothing will come."""
        return Subscription(lambda _: None, None)


class _CountedFile(apsw.VFSFile):
    def __init__(self, counts: Counter[str], system: str, name: Any, flags: list[int]) -> None:
        super().__init__(system, name, flags)
        self._counts = counts

    def xSync(self, flags: int) -> None:
        self._counts["syncs"] += 1
        super().xSync(flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._counts["bytes"] += len(data)
        super().xWrite(data, offset)


class _Counting(apsw.VFS):
    """The system's files, counted."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts, self._system = counts, apsw.vfs_names()[0]
        super().__init__("counting", self._system, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _CountedFile(self._counts, self._system, name, flags)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """What SQLite writes and syncs meanwhile."""
    counts: Counter[str] = Counter()
    vfs = _Counting(counts)
    try:
        yield counts
    finally:
        vfs.unregister()


def seen(label: str, image: np.ndarray, number: int, time_s: float) -> Recognition:
    """A frame under a label."""
    told = Prediction(label, 0.9, False, ((label, 0.9),))
    return Recognition(Frame(image, number, time_s), np.zeros(4, np.int8), told, told, 1, "backbone")


def recorder_of(writer: HistoryWriter, picture: Callable[[Recognition], bytes | None], hold_s: float = 0.0) -> Recorder:
    """One that is shown recognitions by hand."""
    return Recorder(Quiet(), writer, picture, hold_s)  # type: ignore[arg-type]


def an_hour(report: Report, frames: list[np.ndarray]) -> None:
    """One event a second for an hour of a clock that is moved by hand, in batches of several lengths."""
    pictures = [thumbnail(frame) for frame in frames]
    clock = Clock()
    for batch_s in BATCHES_S:
        with tempfile.TemporaryDirectory() as folder, counted() as counts:
            settings = HistorySettings(flush_s=batch_s)
            writer = HistoryWriter(Path(folder) / "history.sqlite", settings, clock=clock)
            recorder = recorder_of(writer, lambda recognition: pictures[recognition.frame.number % HELD])
            flushed_s = clock.now_s = 1e6
            began = time.process_time()
            for second in range(HOUR):
                clock.now_s = 1e6 + second
                recorder.see(seen(f"thing {second % 8}", frames[0], second, clock()))
                if clock() - flushed_s >= batch_s:
                    flushed_s = clock()
                    assert writer.flush()
            cpu_s = time.process_time() - began
            writer.stop()
            size, kept = writer._history.size_bytes(), writer.count(ANY)
            report.add(
                measured="an event a second for an hour",
                written=f"in batches of {batch_s:.0f} s" if batch_s else "each event at once",
                events=kept,
                bytes_an_event=round(size / kept),
                syncs_an_hour=counts["syncs"],
                mb_an_hour=round(counts["bytes"] / 1e6, 1),
                cpu_ms_an_event=round(cpu_s / HOUR * 1e3, 3),
                dropped=writer.status()["dropped"],
            )


def a_minute(report: Report, frames: list[np.ndarray]) -> None:
    """Ten thousand events in a real minute, which no camera gives: of them what the disk may take is kept."""
    with tempfile.TemporaryDirectory() as folder, counted() as counts:
        writer = HistoryWriter(Path(folder) / "history.sqlite", HistorySettings())
        recorder = recorder_of(writer, lambda recognition: thumbnail(recognition.frame.image))
        writer.start()
        most, began_cpu, began = 0, time.process_time(), time.monotonic()
        for number in range(MANY):
            time.sleep(max(0.0, began + number * 60 / MANY - time.monotonic()))
            recorder.see(seen(f"thing {number % 8}", frames[number % HELD], number, time.monotonic()))
            most = max(most, len(writer._waiting))
        cpu_s = time.process_time() - began_cpu
        assert writer.stop(30.0) and most <= module.MOST_WAITING
        history = History(Path(folder) / "history.sqlite")
        kept, size = history.count(), history.size_bytes()
        history.close()
    report.add(
        measured=f"{MANY} events in {time.monotonic() - began:.0f} s",
        written=f"at most {most} waited",
        events=kept,
        bytes_an_event=round(size / kept),
        syncs_an_hour=counts["syncs"],
        mb_an_hour=round(counts["bytes"] / 1e6, 1),
        cpu_ms_an_event=round(cpu_s / MANY * 1e3, 3),
        dropped=writer.status()["dropped"],
    )


def loop(report: Report, frames: list[np.ndarray]) -> None:
    """Processor time of a frame, recorded and not, in turn: an event with its picture at every 30th frame."""
    recording.SNAPSHOT_S = 0.0  # the frames come faster than a camera's
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        install_starter(home)
        with App(home, FakeCamera(frames[:2])) as app:
            classifier = app._learner.classifier(app._backbone)

        def round_of(records: bool, number: int) -> tuple[float, int]:
            pipeline = Pipeline(FakeCamera([frames[n % HELD] for n in range(FRAMES)], live=False), classifier)
            settings = HistorySettings(flush_s=0.5)
            writer = HistoryWriter(Path(folder) / f"{number}.sqlite", settings, records=records)
            recorder = recorder_of(writer, lambda recognition: thumbnail(recognition.frame.image))

            def told(recognition: Recognition) -> None:
                label = f"thing {recognition.frame.number // EVERY % 8}"
                prediction = Prediction(label, 0.9, False, ((label, 0.9),))
                if records:
                    recorder.see(replace(recognition, prediction=prediction))

            listener = Listener("recorder", pipeline, told)
            began = time.process_time()
            writer.start()
            listener.start()
            pipeline.start()
            pipeline.wait(120.0)
            listener.stop()
            pipeline.stop()
            kept = writer.count(ANY) if writer.stop() and records else 0
            return (time.process_time() - began) / FRAMES * 1e3, kept

        round_of(True, 0)
        found: dict[bool, list[float]] = {True: [], False: []}
        events = 0
        for number in range(ROUNDS):
            for records in (True, False) if number % 2 else (False, True):
                spent, kept = round_of(records, 2 * number + records + 1)
                found[records].append(spent)
                events = max(events, kept)
        without, with_ = (statistics.median(found[records]) for records in (False, True))
        pairs = [after - before for before, after in zip(found[False], found[True], strict=True)]
    report.add(
        measured=f"the loop, {FRAMES} frames, {ROUNDS} rounds",
        written=f"{without:.2f} ms of processor a frame without, {with_:.2f} with: "
        f"{statistics.median(pairs):+.3f} ({min(pairs):+.3f} to {max(pairs):+.3f})",
        events=events,
        dropped=0,
    )


def main() -> None:
    """Measure and save."""
    report = Report(
        "history",
        "What the camera saw, recorded: an event of 640 x 480 frames with its picture of 160 px",
        reach="a tenth of the syncs of a transaction an event; 0.01 of a core at 30 frames a second; memory bounded",
    )
    frames = list(islice(open_camera("parts", pace=False).frames(), HELD))
    an_hour(report, frames)
    a_minute(report, frames)
    loop(report, frames)
    report.save()


if __name__ == "__main__":
    main()
