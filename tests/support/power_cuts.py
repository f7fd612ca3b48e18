"""Cut the power again and again, at any write of a device's life, and look at what is left. Run by the tests and the benchmark.

    python tests/support/power_cuts.py BUNDLE FOLDER CUTS SEED [IGNORED]

Each session runs in a child whose every write, sync and rename is recorded (:mod:`disk_record`). Then the power is cut at
random places of the record; of what was not synced any part is left (:mod:`power_cut_disk`), and the real code opens it
(:mod:`power_cut_sessions`). IGNORED is what shows that this test can fail: syncs that the disk only pretends to do,
``database`` (SQLite's), ``files`` (of files by Python) or ``names`` (of folders). Prints one JSON object.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # no threads: this process forks

from disk_record import Event, Recorder
from power_cut_disk import Disk
from power_cut_history import Recording
from power_cut_sessions import SESSIONS as OF_STORE
from power_cut_sessions import Session

from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.home import Home
from edgetl_device.store import database

SESSIONS: tuple[Callable[[Path, tuple[Path, Path], int], Session], ...] = (*OF_STORE, Recording)
CUTS_A_SESSION = 25
NAMES = ("create", "link", "symlink", "unlink", "rename", "mkdir", "rmdir")
AGAIN = 0.15  # of the cuts are followed by another one, while the device starts
IGNORED: dict[str, Callable[[Event], bool]] = {
    "": lambda event: False,
    "database": lambda event: event[0] == "sync" and event[2] == "sqlite",
    "files": lambda event: event[0] == "sync" and event[2] == "python",
    "names": lambda event: event[0] == "syncdir" and event[2] == "python",
}


def recorded(session: Session, live: Callable[[], None]) -> tuple[list[Event], list[Event]]:
    """Let a session live, or start again, in a child → what was there before, and the record."""
    answer = session.root.with_suffix(".record")
    child = os.fork()
    if child == 0:
        try:
            recorder = session.recorder = Recorder(session.root)
            with recorder.recording():
                session.acknowledge()
                live()
            if different := recorder.check():
                raise AssertionError(f"the record is not what happened: {different}")
            answer.write_bytes(pickle.dumps((recorder.before, recorder.events)))
            os._exit(0)
        except BaseException:
            logging.exception("a session failed")
        os._exit(1)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError(f"a session of {session.name} failed by itself")
    content = pickle.loads(answer.read_bytes())
    answer.unlink()
    return content


def wrong(session: Session, events: list[Event], place: int) -> list[str]:
    """What is wrong after a cut before the event at ``place``."""
    marks = [event for event in events if event[0] == "mark"]
    done = [event for event in events[:place] if event[0] == "mark"]
    ends = [event[2] for event in marks if event[1] == "end"]
    at = sum(event[1] == "end" for event in done)
    allowed = ends[max(0, at - 1) : at + 1]
    last = [event for event in done if event[1] == "end"][-1:] or [("mark", "end", ends[0], [], 0)]
    numbers = {"gone": last[0][3], "last": last[0][4]}
    database.SETTLE_AFTER_S = 1.0
    try:
        with contextlib.closing(session.look(allowed, numbers)) as found:
            return list(found)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]


def _place(session: Session, events: list[Event], choose: random.Random) -> int:
    """Where to cut: anywhere, or after a change of names; these are few among many writes."""
    if choose.random() < 0.5:
        return choose.randint(1, len(events))
    begins = [number for number, event in enumerate(events) if event[:3] == ("mark", "begin", session.focus)]
    begin = begins[0] if begins else 0
    ends = [number for number, event in enumerate(events) if number > begin and event[:2] == ("mark", "end")]
    end = ends[0] if begins else len(events)
    named = [number for number in range(begin, end) if events[number][0] in NAMES]
    return choose.choice(named) + 1 if named else choose.randint(1, len(events))


def cut_often(session: Session, cuts: int, choose: random.Random, ignored: str) -> tuple[list[str], Counter[str]]:
    """Record one session and cut it at so many places; what is wrong, and which steps were cut."""
    before, events = recorded(session, session.live)
    disk, problems, steps = Disk(before, IGNORED[ignored]), [], Counter()
    places = sorted(_place(session, events, choose) for _ in range(cuts))
    step, done = "", 0
    for place in places:
        for event in events[done:place]:
            disk.apply(event)
            step = event[2] if event[:2] == ("mark", "begin") else "between" if event[0] == "mark" else step
        done = place
        disk.cut(session.root, choose)
        steps[step] += 1
        where = f"{session.name}, {step}, before event {place} of {len(events)}"
        if choose.random() < AGAIN:
            where += ", and again"
            steps["starting again"] += 1
            try:
                left, starting = recorded(session, session.start_again)
            except RuntimeError as error:
                problems.append(f"{where}: {error}")
                continue
            second = Disk(left, IGNORED[ignored])
            for event in starting[: choose.randint(1, len(starting))]:
                second.apply(event)
            second.cut(session.root, choose)
        problems += [f"{where}: {problem}" for problem in wrong(session, events, place)]
    return problems, steps


def main(bundle: Path, folder: Path, cuts: int, seed: int, ignored: str = "") -> None:
    """Run and print."""
    logging.getLogger("edgetl").addHandler(logging.NullHandler())
    logging.getLogger("edgetl").propagate = False
    folder.mkdir(parents=True)
    other = folder / "other.edgetl"
    parsed = open_bundle(bundle)
    write_bundle(other, {**parsed.manifest, "name": "other"}, parsed.members)
    Home(folder / "warm").examine(bundle)  # the trial of a backbone is remembered, also by children
    choose = random.Random(seed)
    problems: list[str] = []
    steps: dict[str, Counter[str]] = {}
    a_session = min(CUTS_A_SESSION, max(1, cuts // (2 * len(SESSIONS))))
    number = made = 0
    while made < cuts:
        session = SESSIONS[number % len(SESSIONS)](folder / "disk", (bundle, other), seed * 1_000_003 + number)
        shutil.rmtree(session.root, ignore_errors=True)
        session.root.mkdir()
        session.prepare()
        found, were = cut_often(session, min(a_session, cuts - made), choose, ignored)
        problems += found
        steps.setdefault(session.name, Counter()).update(were)
        made += were.total()  # with those that followed
        number += 1
    told: dict[str, Any] = {name: dict(sorted(were.items())) for name, were in sorted(steps.items())}
    print(json.dumps({"cuts": made, "sessions": number, "steps": told, "problems": problems}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:6])
