"""Kill a learning device again and again, at any moment, and look at what is left. Run by test_crash and the benchmark.

    python tests/support/crash.py BUNDLE HOME ROUNDS SEED [MOST]

Each round forks a child that learns, forgets, relabels, retrains, sets aside, rolls back, proves versions and backs up, on one store
that grows from round to round, and records and deletes events of the history. It reports a sample or event only after
it was acknowledged; then it is killed with SIGKILL, some moments after at most MOST such lines, so that a slow machine
gets as far as a fast one. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # no threads: this process forks

import numpy as np

from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.learning.head_versions import GOOD
from edgetl_device.learning.learner import Learner
from edgetl_device.store.backup import what_is_wrong
from edgetl_device.store.history import History
from edgetl_device.store.history_event import Event
from edgetl_device.store.store import Store

ACTIONS = ("learn",) * 5 + ("retrain", "promote", "relabel", "forget", "rollback", "trial", "drift", "backup")
ACTIONS += ("set aside", "use", "move", "record", "record", "delete")
MOST_LINES = 60  # a child says some two in a step
LONGEST_S = 0.05  # from a line to the kill: a step or two
PICTURE = b"a small picture" * 100


def live(folder: Path, factory: BundleContent, seed: int, report: int) -> None:
    """Learn until killed; every acknowledged id is written to ``report``: +3 learned, ?3 to be forgotten, -3 forgotten.

    Of events: >3 recorded, ~3 to be deleted, <3 deleted.
    """

    def tell(sign: str, ids: list[int]) -> None:
        os.write(report, "".join(f"{sign}{identity}\n" for identity in ids).encode())

    def moving(action: Callable[[], object]) -> None:
        """What is pending may get other ids, or has them already."""
        before = {row.id for row in learner.samples()}
        pending = {row.id for row in learner.samples() if row.pending}
        tell("?", sorted(pending))
        action()
        after = {row.id for row in learner.samples()}
        tell("-", sorted(before - after))
        tell("+", sorted((after - before) | (pending & after)))

    choose = random.Random(seed)
    generator = np.random.default_rng(seed)
    learner = Learner(factory, Store(folder / "device.sqlite"), "litert-test")
    history = History(folder / "history.sqlite")
    history.cut_off_open()
    while True:
        action = choose.choice(ACTIONS)
        os.write(report, f"!{action.replace(' ', '-')}\n".encode())
        if action == "learn":
            raw = generator.integers(-128, 0, (choose.randint(1, 4), learner.transform.dimension)).astype(np.int8)
            pictures = [PICTURE] * len(raw) if choose.random() < 0.3 else []
            tell("+", learner.add(choose.choice(["ball", "box", "kite"]), raw, pictures))
        elif action == "retrain":
            learner.retrain()
        elif action == "promote":
            moving(lambda: learner.retrain(accept_scene_change=True))
        elif action == "set aside" and (learned := [row.id for row in learner.samples() if not row.pending]):
            learner.store.set_aside([(learned[-3:], "box", "a test")])
        elif action == "use" and learner.pending():
            moving(lambda: learner.use_pending(learner.pending()[0].id))
        elif action == "move" and learner.pending():
            moving(lambda: learner.move_pending(learner.pending()[-1].id, "ring"))
        elif action == "forget" and learner.samples():
            ids = [row.id for row in choose.sample(learner.samples(), 1)]
            tell("?", ids)
            learner.forget(ids)
            tell("-", ids)
        elif action == "trial":
            learner.mark_started()
            learner.mark_healthy()
        elif action == "drift":
            learner.keep_drift(learner.drift())
        elif action == "relabel" and learner.samples():
            moving(lambda: learner.relabel("ring", [learner.samples()[0].id]))
        elif action == "rollback" and learner.active_version > 1:
            learner.rollback(1)
        elif action == "record":
            event = Event("kite", datetime.now(timezone.utc).isoformat(timespec="milliseconds"), 1.0, 0.5, "camera")
            tell(">", history.write([(event, PICTURE), (event, None)], history.events(limit=2)))
        elif action == "delete" and (kept := history.events(limit=20)):
            ids = [event.id for event in choose.sample(kept, min(3, len(kept)))]
            tell("~", ids)
            history.delete(ids)
            tell("<", ids)
        elif action == "backup":
            learner.store.backup(folder / "device.backup.sqlite")


def check_history(folder: Path, present: set[int], absent: set[int]) -> list[str]:
    """What is wrong with the history after a kill."""
    problems = []
    history = History(folder / "history.sqlite")
    ids = {event.id for event in history.events(limit=1_000_000)}
    if lost := present - ids:
        problems.append(f"lost {len(lost)} acknowledged events")
    if back := absent & ids:
        problems.append(f"{len(back)} deleted events are back")
    if any(event.picture and history.snapshot(event.id) != PICTURE for event in history.events(limit=1_000_000)):
        problems.append("a picture is not whole")
    history.close()
    return problems


def check(folder: Path, factory: BundleContent, present: set[int], absent: set[int]) -> list[str]:
    """What is wrong after a kill; empty is right."""
    path = folder / "device.sqlite"
    problems = []
    if path.exists() and (problem := what_is_wrong(path)) is not None:
        problems.append(f"integrity: {problem}")
    store = Store(path)
    learner = Learner(factory, store, "litert-test")
    ids = [row.id for row in learner.samples()]
    if len(ids) != len(set(ids)):
        problems.append("a sample is there twice")
    if lost := present - set(ids):
        problems.append(f"lost {len(lost)} acknowledged samples")
    if back := absent & set(ids):
        problems.append(f"{len(back)} forgotten samples are back")
    stray = "SELECT count(*) FROM thumbnails WHERE sample NOT IN (SELECT id FROM samples)"
    if next(store.database.rows(stray)) != (0,):
        problems.append("a thumbnail without its sample")
    for table in ("pending", "confirmed"):
        if next(store.database.rows(f"SELECT count(*) FROM {table} WHERE sample NOT IN (SELECT id FROM samples)")) != (
            0,
        ):
            problems.append(f"a row of {table} without its sample")
    active = store.versions.get(learner.bundle.digest, learner.active_version)
    if active is None or active.state not in GOOD:
        problems.append("the active version is not a good one")
    if not learner.active_head().labels:
        problems.append("no servable head")
    if list(folder.glob("*.damaged-*")):
        problems.append("a store was quarantined")
    store.close()
    return problems


def heard(read: int, lines: int) -> bytes:
    """What a child says until it has said so many lines, or nothing for ten seconds."""
    said = b""
    while said.count(b"\n") < lines and select.select([read], [], [], 10)[0] and (part := os.read(read, 65536)):
        said += part
    return said


def main(bundle: Path, folder: Path, rounds: int, seed: int, most: int = MOST_LINES) -> None:
    """Run and print."""
    factory = BundleContent(open_bundle(bundle))
    factory.statistics  # noqa: B018  parsed once, here, not in every child
    choose = random.Random(seed)
    present: set[int] = set()
    absent: set[int] = set()
    recorded: set[int] = set()
    deleted: set[int] = set()
    started: Counter[str] = Counter()
    problems: list[str] = []
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(rounds):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            try:
                live(folder, factory, seed * 1_000_003 + number, write)
            finally:
                os._exit(1)  # only a bug gets here: a child ends by SIGKILL
        os.close(write)
        said = b""
        if choose.random() < 0.8:  # the others are killed while they open the store, or soon after
            said = heard(read, choose.randint(1, most))
        time.sleep(choose.uniform(0.0, LONGEST_S))
        alive = os.waitpid(child, os.WNOHANG) == (0, 0)
        if alive:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        else:
            problems.append(f"round {number}: the child failed by itself")
        while select.select([read], [], [], 0)[0] and (part := os.read(read, 65536)):
            said += part
        os.close(read)
        whole = said[: said.rfind(b"\n") + 1]
        for line in whole.decode().split():
            if line[0] == "!":
                started[line[1:]] += 1
            elif line[0] == "+":
                present.add(int(line[1:]))
            elif line[0] == ">":
                recorded.add(int(line[1:]))
            elif line[0] in "~<":
                recorded.discard(int(line[1:]))
                deleted |= {int(line[1:])} if line[0] == "<" else set()
            else:  # from the announcement on it may be gone
                present.discard(int(line[1:]))
                absent |= {int(line[1:])} if line[0] == "-" else set()
        found = [*check(folder, factory, present, absent), *check_history(folder, recorded, deleted)]
        problems += [f"round {number}: {problem}" for problem in found]
    events = {"events": len(recorded), "events_deleted": len(deleted)}
    told = {"acknowledged": len(present), "forgotten": len(absent), **events, "started": dict(sorted(started.items()))}
    print(json.dumps({"rounds": rounds, **told, "problems": problems}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), *map(int, sys.argv[5:]))
