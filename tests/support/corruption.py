"""Damage a store's files at random, open it, and look: is what it says wrong without a word? Run by the tests and the benchmark.

    python tests/support/corruption.py FOLDER ROUNDS SEED

A process learns, forgets and relabels, and is killed while its write-ahead log is full. Then copies of its files are
damaged, the log, the database or both, in all the ways a card may do that. Opened again, the store must hold exactly
what was acknowledged, or say that it does not. Prints one JSON object.
"""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from edgetl_device.errors import EdgetlError
from edgetl_device.store import database
from edgetl_device.store.store import Store

BACKBONE, BUNDLE, DIMENSION = "b" * 64, "c" * 64, 64
PAGE = 4096
KINDS = ("bit", "byte", "run", "sector", "page", "zeros", "swap", "cut")
FILES = ("device.sqlite", "device.sqlite-wal")
OTHERS = ("device.acknowledged", "device.backup.sqlite")  # damage there changes nothing that the store says


def live(folder: Path, seed: int, settle_after_s: float) -> None:
    """Learn until killed by itself; what was acknowledged is in the files then."""
    database.SETTLE_AFTER_S = settle_after_s
    choose, generator = random.Random(seed), np.random.default_rng(seed)
    store = Store(folder / "device.sqlite")
    ids: list[int] = []
    for number in range(30):
        label = choose.choice(["ball", "box", "kite"])
        raw = generator.integers(-128, 0, (choose.randint(1, 6), DIMENSION)).astype(np.int8)
        ids += store.add_samples(label, raw, BACKBONE, "litert-test", [b"a picture" * 50] if number % 7 == 0 else [])
        if number == 10:
            store.versions.add(BUNDLE, "factory", "installed", "predictive", 0, {}, activate=True)
            store.hide(BACKBONE, "ring")
        if number == 12 and seed % 2:
            store.backup(store.backup_path)
        if number == 18:
            store.relabel_samples(BACKBONE, ids[:3], "pear")
        if number in (16, 24):
            store.versions.add(BUNDLE, "promoted", "better", "lda", ids[-1], {"accuracy": 0.9}, activate=True)
            store.versions.prove(2)
    os.kill(os.getpid(), signal.SIGKILL)


def content(folder: Path) -> dict[str, Any]:
    """All that a learner may ask a store for."""
    store = Store(folder / "device.sqlite")
    try:
        blocks = list(store.embeddings(BACKBONE, DIMENSION))
        return {
            "samples": [(row.id, row.label, row.time) for row in store.samples(BACKBONE)],
            "embeddings": [(ids, labels, runtimes, raw.tobytes()) for ids, labels, runtimes, raw in blocks],
            "counts": store.counts(BACKBONE),
            "newest": [row.id for row in store.newest_samples(BACKBONE)],
            "by label": {name: [row.id for row in store.samples(BACKBONE, name)] for name in ("ball", "pear")},
            "elsewhere": store.count_elsewhere(BACKBONE),
            "hidden": store.hidden(BACKBONE),
            "versions": store.versions.of(BUNDLE),
            "active": store.versions.active(BUNDLE),
            "device": store.device,
            "start": store.versions.count_start(2) if store.versions.get(BUNDLE, 2) else None,
        }
    finally:
        store.close()


def damage(path: Path, kind: str, choose: random.Random) -> bool:
    """Damage a file in place; whether anything changed."""
    data = bytearray(path.read_bytes()) if path.exists() else bytearray()
    before = bytes(data)
    if not data:
        return False
    place = choose.randrange(len(data))
    if kind == "bit":
        data[place] ^= 1 << choose.randrange(8)
    elif kind == "byte":
        data[place] = choose.randrange(256)
    elif kind == "run":
        data[place : place + 16] = choose.randbytes(min(16, len(data) - place))
    elif kind in ("sector", "page", "zeros"):
        size = PAGE if kind == "page" else 512
        start = place // size * size
        size = min(size, len(data) - start)
        data[start : start + size] = bytes(size) if kind == "zeros" else choose.randbytes(size)
    elif kind == "swap" and len(data) > 2 * PAGE:
        one, other = choose.sample(range(len(data) // PAGE), 2)
        one, other = one * PAGE, other * PAGE
        data[one : one + PAGE], data[other : other + PAGE] = data[other : other + PAGE], data[one : one + PAGE]
    elif kind == "cut":
        del data[place:]
    path.write_bytes(data)
    return bytes(data) != before


class Heard(logging.Handler):
    """What was said."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def made(folder: Path, seed: int) -> tuple[dict[str, Any], int]:
    """A killed device's files; → what they hold, and the size of the log."""
    folder.mkdir(parents=True)
    child = os.fork()
    if child == 0:
        try:
            live(folder, seed, 1.0 if seed % 3 else 1e9)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    log_bytes = (folder / "device.sqlite-wal").stat().st_size
    shutil.copytree(folder, folder.with_suffix(".read"))
    truth = content(folder.with_suffix(".read"))
    shutil.rmtree(folder.with_suffix(".read"))
    return truth, log_bytes


def main(folder: Path, rounds: int, seed: int) -> None:
    """Run and print."""
    choose = random.Random(seed)
    heard = Heard()
    log = logging.getLogger("edgetl")
    log.addHandler(heard)
    log.propagate = False
    outcomes: Counter[str] = Counter()
    problems, saved, least = [], [], 1.0
    stores = [(folder / f"made-{number}", *made(folder / f"made-{number}", number)) for number in range(6)]
    for number in range(rounds):
        origin, truth, log_bytes = choose.choice(stores)
        target = [choose.choice([name for name in FILES if name != "device.sqlite-wal" or log_bytes])]
        target = list(FILES) if choose.random() < 0.2 and log_bytes else target
        target = [choose.choice(OTHERS)] if choose.random() < 0.1 else target
        kind = choose.choice(KINDS)
        copy = folder / "damaged"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(origin, copy)
        if choose.random() < 0.7:  # as after a power cut
            (copy / "device.sqlite-shm").unlink(missing_ok=True)
        changed = [damage(copy / name, kind, choose) for name in target]
        heard.lines.clear()
        what = f"round {number}: {kind} in {' and '.join(target)}"
        try:
            after = content(copy)
        except EdgetlError as error:
            outcomes["refused"] += 1
            if "\n" in str(error):
                problems.append(f"{what}: more than one line: {error}")
            continue
        except Exception as error:
            problems.append(f"{what}: {error!r}")
            continue
        said = any("damaged" in line or "incomplete" in line for line in heard.lines)
        if after != truth and target[0] in OTHERS:
            problems.append(f"{what}: the store is another")
        elif after == truth:
            outcomes["said, and all is there" if said else "nothing is wrong"] += 1
        elif not said:
            different = [name for name in truth if truth[name] != after[name]]
            problems.append(f"{what}: {', '.join(different)} changed without a word (changed bytes: {changed})")
        else:
            outcomes["said, and something is missing"] += 1
            true = dict(_rows(truth))
            wrong = [identity for identity, raw in _rows(after) if true.get(identity) != raw]
            if wrong:
                problems.append(f"{what}: sample {wrong[0]} is not what was stored")
            saved.append(len(after["samples"]) / len(truth["samples"]))
            least = min(least, saved[-1])
    mean = sum(saved) / len(saved) if saved else 1.0
    print(
        json.dumps(
            {
                "rounds": rounds,
                "outcomes": dict(sorted(outcomes.items())),
                "saved": round(mean, 3),
                "least": least,
                "problems": problems,
            }
        )
    )


def _rows(held: dict[str, Any]) -> list[tuple[int, bytes]]:
    rows = []
    for ids, _, _, raw in held["embeddings"]:
        rows += [(identity, raw[n * DIMENSION : (n + 1) * DIMENSION]) for n, identity in enumerate(ids)]
    return rows


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
