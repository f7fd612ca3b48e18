"""Kill what replaces a store or a bundle, at any moment, and look at what is left. Run by the tests and the benchmark.

    python tests/support/replacement_crash.py BUNDLE FOLDER ROUNDS SEED

Each round a child restores a backup, opens a damaged store, migrates one of edgetl 0.1, or installs a bundle, and is
killed with SIGKILL. Then the home must hold what it held or what it should hold, whole; a device that learned before and
learns afterwards has lost nothing that it acknowledged. Prints one JSON object.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # no threads: this process forks

import apsw
import numpy as np

from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.home import Home
from edgetl_device.store.backup import restore_database
from edgetl_device.store.schema import MIGRATIONS
from edgetl_device.store.store import Store

BACKBONE = "b" * 64
UNDISTURBED_S = 60.0


def embeddings(generator: np.random.Generator, count: int) -> np.ndarray:
    return generator.integers(-128, 0, (count, 64)).astype(np.int8)


def ids_of(path: Path) -> set[int]:
    store = Store(path)
    try:
        return {row.id for row in store.samples(BACKBONE)}
    finally:
        store.close()


def learn(path: Path, count: int, seed: int) -> set[int]:
    store = Store(path)
    try:
        return set(store.add_samples("kite", embeddings(np.random.default_rng(seed), count), BACKBONE, "r"))
    finally:
        store.close()


def killed(action, longest_s: float, choose: random.Random) -> bool:
    """Run a step in a child and kill it within `longest_s`, or let it end; whether it was killed in time."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        logging.disable()
        os.write(write, b".")
        try:
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.read(read, 1)
    os.close(read)
    os.close(write)
    if longest_s < UNDISTURBED_S:
        time.sleep(choose.uniform(0.0, longest_s))
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, "the step failed by itself"
    return os.WIFSIGNALED(status)


def made(folder: Path, seed: int) -> tuple[Path, set[int], set[int]]:
    """A store with a backup: what the backup holds, and what was acknowledged after it."""
    path = folder / "device.sqlite"
    before = learn(path, 20, seed)
    store = Store(path)
    store.backup(store.backup_path)
    store.backup(folder / "mine.sqlite")
    store.close()
    return path, before, learn(path, 10, seed + 1)


def restoring(folder: Path, longest_s: float, choose: random.Random, seed: int) -> tuple[list[str], bool]:
    path, before, after = made(folder, seed)
    again = choose.random() < 0.25  # killed, and killed again
    was = [killed(lambda: restore_database(folder / "mine.sqlite", path), longest_s, choose) for _ in range(1 + again)]
    held = ids_of(path)
    problems = [] if held in (before, before | after) else [f"it holds {len(held)} samples, neither 20 nor 30"]
    if held == before:
        kept = [other for other in folder.glob("device.sqlite.replaced-*") if other.suffix != ".lock"]
        kept = [other for other in kept if not other.name.endswith(("-wal", "-shm", ".acknowledged"))]
        if not any(ids_of(other) == before | after for other in kept):
            problems.append("what was there before is nowhere")
    return problems, all(was)


def recovering(folder: Path, longest_s: float, choose: random.Random, seed: int) -> tuple[list[str], bool]:
    path, before, after = made(folder, seed)
    data = bytearray(path.read_bytes())
    place = choose.randrange(4096, len(data))
    size = min(512, len(data) - place)
    data[place : place + size] = choose.randbytes(size)
    path.write_bytes(data)
    if choose.random() < 0.2:
        path.unlink()
        after = set()  # nothing but the backup is left of it
    was = killed(lambda: Store(path).close(), longest_s, choose)
    held = ids_of(path)
    problems = [] if before <= held else [f"{len(before - held)} samples of the backup are gone"]
    if not held <= before | after:
        problems.append("samples that were never there")
    return problems, was


def migrating(folder: Path, longest_s: float, choose: random.Random, seed: int) -> tuple[list[str], bool]:
    path = folder / "device.sqlite"
    old = apsw.Connection(str(path))
    old.pragma("journal_mode", "wal")
    for migration in MIGRATIONS[:5]:
        migration(old)
    old.pragma("user_version", 5)
    rows = [(BACKBONE, "r", "kite", bytes(64), "t") for _ in range(300)]
    old.executemany("INSERT INTO samples (backbone, runtime, label, raw, time) VALUES (?,?,?,?,?)", rows)
    old.close()
    was = killed(lambda: Store(path).close(), longest_s, choose)
    held = ids_of(path)
    return ([] if len(held) == 300 else [f"{len(held)} of 300 samples"]), was


class Installing:
    """Two bundles take turns in one home."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        self.home = Home(folder / "installed")
        parsed = open_bundle(bundle)
        other = folder / "other.edgetl"
        write_bundle(other, {**parsed.manifest, "name": "other"}, parsed.members)
        self.bundles = [bundle, other]
        self.digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in self.bundles}
        self.home.install(bundle)
        self.acknowledged: set[int] = set()
        self.turn = 0

    def __call__(self, _folder: Path, longest_s: float, choose: random.Random, seed: int) -> tuple[list[str], bool]:
        self.acknowledged |= learn(self.home.store_path, 2, seed)
        self.turn += 1
        was = killed(lambda: self.home.install(self.bundles[self.turn % 2]), longest_s, choose)
        problems = []
        if hashlib.sha256(self.home.bundle_path.read_bytes()).hexdigest() not in self.digests:
            problems.append("half a bundle is installed")
        if not self.home.learner().active_head().labels:
            problems.append("no servable head")
        if lost := self.acknowledged - ids_of(self.home.store_path):
            problems.append(f"{len(lost)} acknowledged samples are gone")
        return problems, was


class Rounds:
    """One kind of step, again and again in a fresh home, killed anywhere between its begin and its end."""

    def __init__(self, step, home: Path, choose: random.Random) -> None:
        self.step, self.home, self.choose = step, home, choose
        self.longest_s = UNDISTURBED_S
        self.killed_in_time = 0

    def __call__(self, seed: int) -> list[str]:
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        begin = time.monotonic()
        problems, in_time = self.step(self.home, self.longest_s, self.choose, seed)
        if self.longest_s == UNDISTURBED_S:
            self.longest_s = time.monotonic() - begin  # with all that surrounds it: too long at first
        else:
            self.longest_s *= 1.1 if in_time else 0.7
        self.killed_in_time += in_time
        return problems


def main(bundle: Path, folder: Path, rounds: int, seed: int) -> None:
    """Run and print."""
    logging.disable()
    choose = random.Random(seed)
    functions = {"restore": restoring, "recovery": recovering, "migration": migrating}
    functions["install"] = Installing(bundle, folder)
    steps = {name: Rounds(function, folder / "home", choose) for name, function in functions.items()}
    problems: list[str] = []
    for number in range(rounds):
        name = list(steps)[number % len(steps)]
        problems += [f"round {number}, {name}: {problem}" for problem in steps[name](seed * 1_000_003 + number)]
    in_time = {name: step.killed_in_time for name, step in steps.items()}
    print(json.dumps({"rounds": rounds, "killed in time": in_time, "problems": problems}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
