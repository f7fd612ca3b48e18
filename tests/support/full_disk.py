"""Let every write of a learning device meet a full disk, one after the other. Run by test_full_disk and the benchmark.

    python tests/support/full_disk.py BUNDLE HOME STEP [fill]

Each step is tried with more and more room until it succeeds: none, then STEP pages of 4 KiB more each time. Room is
taken away by a limit on the size of files, or with ``fill`` by filling the small file system that HOME is on. While
there is none, the device must go on recognising; afterwards it must be as before the step, or as after it where the step
said that it succeeded. Prints one JSON object.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edgetl_device.bundle.export import Export
from edgetl_device.errors import StorageError
from edgetl_device.files import write_atomically
from edgetl_device.home import Home
from edgetl_device.store.backup import check_backup, what_is_wrong

PAGE = 4096
PICTURE = os.urandom(3 * PAGE)


@contextmanager
def limited(_folder: Path, pages: int) -> Iterator[None]:
    """No file can grow beyond so many pages."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (pages * PAGE, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def filled(folder: Path, pages: int) -> Iterator[None]:
    """The file system that holds ``folder`` has so many pages left."""
    filler = folder.parent / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while os.statvfs(folder).f_bavail > pages:
                stream.write(bytes(PAGE))
        except OSError:
            pass
    try:
        yield
    finally:
        filler.unlink()


class Device:
    """A home, and what must be in it."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        self.bundle, self.home = bundle, Home(folder)
        self.home.install(bundle)
        self.learner = self.home.learner()
        self.generator = np.random.default_rng(0)
        for _ in range(4):
            self.learner.add("kite", self._embeddings(5))
        self.learner.retrain(accept_scene_change=True)
        self.learner.store.backup(folder / "copy.sqlite")
        self.export()
        self.files = {path.name for path in folder.iterdir()}

    def _embeddings(self, count: int) -> np.ndarray:
        return self.generator.integers(-128, 0, (count, self.learner.transform.dimension)).astype(np.int8)

    def learn(self) -> None:
        self.learner.add("kite", self._embeddings(40), [PICTURE] * 3 + [None] * 37)

    def retrain(self) -> None:
        self.learner.retrain(accept_scene_change=True)

    def relabel(self) -> None:
        self.learner.relabel("ring", [self.learner.samples()[-1].id])

    def forget(self) -> None:
        self.learner.forget([row.id for row in self.learner.samples()[:20]])

    def rollback(self) -> None:
        self.learner.rollback(1)

    def trial(self) -> None:
        self.learner.mark_started()
        self.learner.mark_healthy()

    def drift(self) -> None:
        self.learner.keep_drift(self.learner.drift())

    def backup(self) -> None:
        self.learner.store.backup(self.home.folder / "copy.sqlite")

    def export(self) -> None:
        content = Export(self.learner.store.device, "now", self.learner.device_statistics()).to_bytes()
        write_atomically(self.home.folder / "learned.stats", content)

    def install(self) -> None:
        self.home.install(self.bundle)

    def reopen(self) -> None:
        self.learner.store.close()
        self.learner = self.home.learner()

    def state(self) -> tuple[object, ...]:
        """What a step may change, all of it or nothing."""
        learner = self.learner
        labels = tuple((row.id, row.label) for row in learner.samples())
        versions = tuple((row.id, row.state) for row in learner.versions())
        return labels, versions, learner.active_version

    def problems(self) -> list[str]:
        """What must never be."""
        folder, found = self.home.folder, []
        if (wrong := what_is_wrong(self.home.store_path)) is not None:
            found.append(f"integrity: {wrong}")
        try:
            check_backup(folder / "copy.sqlite")
            Export.from_bytes((folder / "learned.stats").read_bytes())
        except Exception as error:
            found.append(f"a good file was spoilt: {error}")
        if hashlib.sha256((folder / "bundle.edgetl").read_bytes()).digest() != self.digest:
            found.append("the bundle was spoilt")
        known = {*self.files, "device.sqlite-wal", "device.sqlite-shm"}
        if extra := {path.name for path in folder.iterdir()} - known:
            found.append(f"left behind: {sorted(extra)}")
        return found

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.bundle.read_bytes()).digest()


def main(bundle: Path, folder: Path, step: int, room: Callable[[Path, int], contextmanager]) -> None:
    """Run and print."""
    logging.disable()
    device = Device(bundle, folder)
    codes = device.learner.transform(device._embeddings(8))
    problems: list[str] = []
    refused = 0
    names = ("learn", "retrain", "relabel", "forget", "rollback", "trial", "drift", "backup", "export", "install")
    for name in (*names, "reopen", "learn"):
        for pages in range(0, 100_000, step):
            device.learner.store.database._db.wal_checkpoint(mode=3)  # every write from the first page on
            before, error = device.state(), None
            with room(folder, pages):
                try:
                    getattr(device, name)()
                except StorageError as refusal:
                    error = refusal
                except Exception as other:
                    problems.append(f"{name}, {pages} pages: {other!r}")
                try:
                    if name != "reopen" or error is None:
                        device.learner.active_head().predict(codes)
                except Exception as other:
                    problems.append(f"{name}, {pages} pages: nothing is recognised: {other!r}")
            if name == "reopen":
                device.learner = device.home.learner() if error else device.learner
                device.learner.mark_healthy()  # it had the file to itself until it could write
            elif error is not None and device.state() != before:
                problems.append(f"{name}, {pages} pages: failed, but changed something")
            problems += [f"{name}, {pages} pages: {problem}" for problem in device.problems()]
            if error is None:
                break
            refused += 1
        else:
            problems.append(f"{name}: never succeeded")
    print(json.dumps({"refused": refused, "samples": len(device.learner.samples()), "problems": problems}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), filled if sys.argv[4:] == ["fill"] else limited)
