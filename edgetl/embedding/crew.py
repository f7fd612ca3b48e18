"""One function of photo files on every core: this process computes too, and others do what it hands them.

Processes and not threads: reading, checking and resizing a small photo passes Python's lock a dozen times, and two
threads that wait for it in turn lose a quarter of their time. A process takes a few tenths of a second to start, so
there are none until so much is left to do that they pay; until they are ready, this one goes on.
"""

from __future__ import annotations

import fcntl
import logging
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from edgetl_device.errors import PhotoError

from .messages import receive, send
from .photo import EmbeddedPhoto, FileEmbedder, PhotoEmbedder
from .worker import photos_of, setup_of, task_of

log = logging.getLogger("edgetl.embedding")

_WORTH_S = 1.0  # of work for this process alone, from where on others are started
_START_S = 0.25  # of work that was done, from where on they are where nobody knows how much is left: what a start takes
_BATCH_S = 0.02  # what a batch should take
_MOST = 32  # photos of a batch
_QUEUE_S = 0.1  # of work that a process is given ahead: for so long may who asks for results do something else
_TASK_BYTES = 48 << 10  # handed ahead; a pipe holds 64 kB, and to wait for room in it could be for ever
_RESULT_BYTES = 1 << 20  # that may wait in a pipe
_PATIENCE_S = 120.0  # without a result, while nothing else is left to do: a batch takes a second or two at most
_WINDOW = 8192  # photos that may be ready before the one whose turn it is

Result = EmbeddedPhoto | PhotoError


@dataclass(eq=False)
class _Batch:
    paths: list[Path]
    photos: Sequence[Result] | None = None


class _Worker:
    """Another process, and the batches that it was given, in order."""

    def __init__(self, setup: int) -> None:
        self.batches: deque[tuple[_Batch, int]] = deque()
        self.bytes_ahead = 0
        with ExitStack() as on_error:
            task_end, tasks = _pipe(on_error)
            results, result_end = _pipe(on_error)
            with suppress(OSError, AttributeError):  # Linux has it, and bounds it
                fcntl.fcntl(results, fcntl.F_SETPIPE_SZ, _RESULT_BYTES)
            numbers = [str(number) for number in (setup, task_end, result_end, os.getpid())]
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "edgetl.embedding.worker", *numbers],
                env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=(setup, task_end, result_end),
            )  # fmt: skip
            on_error.pop_all()
        os.close(task_end)
        os.close(result_end)
        self._tasks, self.results = tasks, results

    def has_room(self, count: int) -> bool:
        """Whether it should be given another batch, where ``count`` of them are a queue."""
        return len(self.batches) < count and (not self.batches or self.bytes_ahead < _TASK_BYTES)

    def give(self, batch: _Batch) -> None:
        """One more; raises OSError where the process is no more."""
        task = task_of(batch.paths)
        self.batches.append((batch, len(task)))
        self.bytes_ahead += len(task)
        send(self._tasks, task)

    def take(self) -> tuple[_Batch, bytes]:
        """The oldest batch and its result; raises EOFError or OSError where the process is no more."""
        message = receive(self.results)
        batch, size = self.batches.popleft()
        self.bytes_ahead -= size
        return batch, message

    def end(self) -> None:
        """At once: it has nothing that could be lost."""
        self.process.kill()
        os.close(self._tasks)
        os.close(self.results)
        self.process.wait()


def embed_on_cores(work: PhotoEmbedder, files: Iterable[Path], workers: int) -> Iterator[Result]:
    """The results of photo files, in their order; the same bytes for any number of workers.

    Args:
        work: what is done to each file; only a :class:`~.photo.FileEmbedder` can be done by other processes.
        workers: how many processes, this one included.
    """
    crew = _Crew(work, files, workers if isinstance(work.embedder, FileEmbedder) else 1)
    try:
        yield from crew.results()
    finally:
        crew.end()


class _Crew:
    def __init__(self, work: PhotoEmbedder, files: Iterable[Path], most: int) -> None:
        self._work = work
        self._files = iter(files)
        self._left = len(files) if isinstance(files, Sized) else None
        self._most = most
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._lost: deque[_Batch] = deque()
        self._order: deque[_Batch] = deque()
        self._ahead = 0  # photos in that queue
        self._value: np.dtype[Any] | None = None
        self._seconds, self._done = 0.0, 0  # of computing here, and how many photos that were

    def results(self) -> Iterator[Result]:
        """Of all files."""
        while True:
            while self._order and (photos := self._order[0].photos) is not None:
                self._order.popleft()
                self._ahead -= len(photos)
                yield from photos
            self._hand_out()
            if self._workers and self._collect(0.0):
                continue
            batch = self._lost.popleft() if self._lost else self._next()
            if batch is not None:
                self._compute(batch)
            elif self._order:
                self._wait()
            else:
                return

    def end(self) -> None:
        """Leave no process behind."""
        for worker in self._workers:
            worker.end()
        self._selector.close()

    def _pace(self) -> float:
        """Seconds of a photo, as far as is known."""
        return self._seconds / self._done if self._done else _BATCH_S

    def _next(self) -> _Batch | None:
        """Photos that nobody has yet; None where there are none, or too many wait for their turn."""
        if self._ahead >= _WINDOW:
            return None
        size = max(1, min(_MOST, round(_BATCH_S / max(self._pace(), 1e-6))))
        paths = list(islice(self._files, size))
        if not paths:
            self._left = 0
            return None
        if self._left is not None:
            self._left -= len(paths)
        batch = _Batch(paths)
        self._order.append(batch)
        self._ahead += len(paths)
        return batch

    def _compute(self, batch: _Batch) -> None:
        first, started = not self._done, time.perf_counter()
        photos = self._work(batch.paths[:1])
        if first:  # it opened the backbone
            started = time.perf_counter()
        batch.photos = photos + self._work(batch.paths[1:])
        self._seconds += time.perf_counter() - started
        self._done += len(batch.paths) - first or 1

    def _hand_out(self) -> None:
        """Start workers where they pay, and see that each has something to do."""
        if not self._workers and self._most > 1 and self._done and self._worth():
            self._start()
        if not self._workers:
            return
        size = max(1, min(_MOST, round(_BATCH_S / max(self._pace(), 1e-6))))
        queue = max(2, round(_QUEUE_S / max(size * self._pace(), 1e-6)))
        if self._left is not None:  # near the end each gets less, so that all end together
            queue = max(1, min(queue, self._left // (size * self._most)))
        for _ in range(queue):
            for worker in list(self._workers):
                if worker.has_room(queue):
                    batch = self._lost.popleft() if self._lost else self._next()
                    if batch is None:
                        return
                    try:
                        worker.give(batch)
                    except OSError:
                        self._lose(worker)

    def _worth(self) -> bool:
        if self._left is None:
            return self._seconds >= _START_S
        return self._left * self._pace() >= _WORTH_S

    def _start(self) -> None:
        assert isinstance(self._work.embedder, FileEmbedder)
        self._value = self._work.embedder.value
        known = list(self._work.known) if isinstance(self._work.known, Iterable) else []
        most, self._most = self._most, 1  # are tried once
        try:
            with tempfile.TemporaryFile() as setup:
                setup.write(setup_of(self._work, self._work.embedder, known))
                setup.flush()
                for _ in range(most - 1):
                    worker = _Worker(setup.fileno())
                    self._workers.append(worker)
                    self._selector.register(worker.results, selectors.EVENT_READ, worker)
        except OSError as error:
            log.warning("embedding on %d of %d cores: %s", 1 + len(self._workers), most, error)
        self._most = 1 + len(self._workers)

    def _wait(self) -> None:
        """Until there is a result; a process that keeps all others waiting is given up."""
        if self._selector.select(_PATIENCE_S):
            self._collect(0.0)
            return
        for worker in list(self._workers):
            if any(batch is self._order[0] for batch, _ in worker.batches):
                self._lose(worker)

    def _collect(self, timeout: float) -> bool:
        """Take the results that are there; whether it is the turn of one of them."""
        for key, _ in self._selector.select(timeout):
            worker = key.data
            try:
                batch, message = worker.take()
            except (EOFError, OSError):
                self._lose(worker)
                continue
            assert self._value is not None
            batch.photos = photos_of(message, self._value, len(batch.paths), self._work.hashed)
        return bool(self._order and self._order[0].photos is not None)

    def _lose(self, worker: _Worker) -> None:
        """A worker was killed, or cannot do it: others do what it had."""
        self._lost += [batch for batch, _ in worker.batches]
        self._selector.unregister(worker.results)
        self._workers.remove(worker)
        worker.end()
        log.warning("a process that embeds photos ended with code %s; others do its share", worker.process.returncode)
        if not self._workers:
            self._most = 1


def _pipe(on_error: ExitStack) -> tuple[int, int]:
    """Descriptors to read from and to write to, closed where something fails."""
    ends = os.pipe()
    for end in ends:
        on_error.callback(os.close, end)
    return ends


def _environment() -> dict[str, str]:
    """This program's, so that a worker finds the same packages; it needs no threads of its own."""
    path = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
