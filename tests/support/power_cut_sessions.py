"""What a device does while the power fails: one class a kind of session, each with what must be there afterwards.

A session is prepared unseen, then lives step by step, recorded. Each step is acknowledged when its call has returned; a
cut within it may leave what was before or what is after, whole. What must be there is kept beside, from what the calls
returned, not read back from the store.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from disk_record import Recorder

from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.codes import CodeTransform
from edgetl_device.files import write_atomically
from edgetl_device.home import Home
from edgetl_device.learning import solver
from edgetl_device.learning.head_versions import GOOD
from edgetl_device.learning.learner import Learner
from edgetl_device.open_home import OpenHome
from edgetl_device.store import database
from edgetl_device.store.backup import check_backup, restore_database
from edgetl_device.store.inspected import VERDICTS, InspectedPhoto, InspectionSetting
from edgetl_device.store.repair import repairs_in
from edgetl_device.store.schema import MIGRATIONS
from edgetl_device.store.store import Store
from edgetl_device.verification import verify

BACKBONE, BUNDLE = "b" * 64, "c" * 64
PICTURE = b"a small picture" * 100
Ledger = dict[str, Any]


def digest_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]


class Session:
    """One kind of session in the folder ``root``, whose ``home`` is the device's.

    Args:
        root: emptied before.
        bundles: two that differ.
        seed: of everything that is chosen.
    """

    name = ""
    focus = ""  # the step that it is about: names that change there are cut most often

    def __init__(self, root: Path, bundles: tuple[Path, Path], seed: int) -> None:
        self.root, self.bundles = root, bundles
        self.home = Home(root / "home")
        self.path = self.home.store_path
        self.choose = random.Random(f"{self.name} {seed}")
        self.generator = np.random.default_rng(seed)
        self.ledger: Ledger = {"samples": {}}
        self.raws: dict[str, bytes] = {}
        self.gone: list[bytes] = []  # raw embeddings of samples that were forgotten
        self.last = 0  # the largest number that was given to a sample
        self.recorder: Recorder | None = None

    def prepare(self) -> None:
        """What is there before; nobody cuts here."""

    def live(self) -> None:
        """The steps."""
        raise NotImplementedError

    def look(self, allowed: list[Ledger], acknowledged: Ledger) -> Iterator[str]:
        """Open what a cut left with the code that a device runs; what is wrong."""
        raise NotImplementedError

    def start_again(self) -> None:
        """What a device does when the power is back, and it may go again meanwhile."""
        Store(self.path).close()

    # for the steps -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Inside, :attr:`ledger` is changed to what is acknowledged at the end."""
        assert self.recorder is not None
        self.recorder.mark("begin", name)
        yield
        self.acknowledge()

    def acknowledge(self) -> None:
        """Everything so far is."""
        assert self.recorder is not None
        self.recorder.mark("end", deepcopy(self.ledger), list(self.gone), self.last)

    def embeddings(self, count: int) -> np.ndarray:
        return self.generator.integers(-128, 0, (count, 64)).astype(np.int8)

    def learned(self, ids: list[int], label: str, raw: np.ndarray) -> None:
        for row in raw:
            self.ledger["samples"][digest_of(row.tobytes())] = label
            self.raws[digest_of(row.tobytes())] = row.tobytes()
        self.last = max(self.last, *ids)

    def forgotten(self, digests: list[str]) -> None:
        for digest in digests:
            del self.ledger["samples"][digest]
            self.gone.append(self.raws[digest])

    def learn_in(self, store: Store, count: int, backbone: str = BACKBONE) -> None:
        label, raw = self.choose.choice(["ball", "kite", "pear"]), self.embeddings(count)
        self.learned(store.add_samples(label, raw, backbone, "litert-test"), label, raw)

    # for looking -------------------------------------------------------------------------------------------------

    def state_of(self, store: Store, backbone: str = BACKBONE) -> dict[str, str]:
        """Samples of a store, pending ones too: digest of the embedding → label. Numbers may change, embeddings do not."""
        rows = store.database.rows("SELECT raw, label FROM samples WHERE backbone = ?", (backbone,))
        return {digest_of(raw): label for raw, label in rows}

    def compared(self, held: Ledger, allowed: list[Ledger]) -> Iterator[str]:
        """Whether what is held is one of what may be."""
        wanted = [{key: ledger[key] for key in held} for ledger in allowed]
        if held in wanted:
            return
        for key, value in held.items():
            if not any(value == ledger[key] for ledger in wanted):
                if key == "samples":
                    lost = [sorted(set(ledger[key]) - set(value)) for ledger in wanted]
                    back = [sorted(set(value) - set(ledger[key])) for ledger in wanted]
                    yield f"samples: lost {min(lost, key=len)[:5]}, back {min(back, key=len)[:5]}, of {len(value)}"
                else:
                    yield f"{key} is {value!r}, not {' or '.join(repr(ledger[key]) for ledger in wanted)}"
                return
        yield f"a mixture of before and after: {sorted(held)}"

    def goes_on(self, store: Store, last: int, gone: list[bytes], backbone: str = BACKBONE) -> Iterator[str]:
        """What is learned next gets a new number, and nothing of what was forgotten is in any file."""
        other = np.zeros((1, 64), np.int8)
        number = store.add_samples("kite", other, backbone, "litert-test")[0]
        if number <= last:
            yield f"the number {number} is used twice, {last} was given already"
        for path in self.home.folder.iterdir():
            kept = any(mark in path.name for mark in (".damaged-", ".replaced-"))
            if path.is_file() and not kept and not path.name.endswith("-shm"):
                content = path.read_bytes()
                if any(raw in content or self.code_of(raw) in content for raw in gone):
                    yield f"a forgotten sample can still be read in {path.name}"

    def code_of(self, raw: bytes) -> bytes:
        """What a summary of samples would keep of one."""
        return CodeTransform(-128, len(raw))(np.frombuffer(raw, np.int8)[None]).tobytes()

    def kept(self, mark: str) -> list[Path]:
        """Stores that were put aside."""
        found = self.home.folder.glob(f"device.sqlite.{mark}-*")
        beside = (".lock", ".acknowledged", "-wal", "-shm")
        return [path for path in found if not path.name.endswith(beside)]


class Learning(Session):
    """A device with a bundle learns, forgets, relabels, retrains, rolls back, proves and backs up."""

    name = "learning"
    STEPS = ("learn",) * 6 + ("retrain", "promote", "relabel", "forget", "forget", "forget label", "rollback", "trial")
    STEPS += ("drift", "backup", "reopen", "settle", "forget all", "decide", "decide")

    def prepare(self) -> None:
        self.home.install(self.bundles[0])
        learner = self.home.learner()
        self.bundle = learner.bundle
        self.backbone = learner.bundle.backbone_digest
        self.ledger |= {"active": learner.active_version, "hidden": frozenset()}
        for _ in range(3):
            self._learn(learner)
        self.ledger["active"] = learner.retrain(accept_scene_change=True).version
        learner.store.close()

    def live(self) -> None:
        database.SETTLE_AFTER_S = self.choose.choice((0.0, 1.0, 1e9))
        database.CHECKED_AT_START_BYTES = self.choose.choice((0, 16 << 20))  # as if the store were large, or not
        solver.WORTH_KEEPING = self.choose.choice((4, 1024))
        learner = self.home.learner()
        for _ in range(14):
            name = self.choose.choice(self.STEPS)
            with self.step(name):
                if name == "reopen":
                    learner.store.close()
                    learner = self.home.learner()
                else:
                    getattr(self, f"_{name.replace(' ', '_')}")(learner)

    def _learn(self, learner: Learner) -> None:
        label, raw = self.choose.choice(["ball", "box", "kite"]), self.embeddings(self.choose.randint(1, 12))
        self.learned(learner.add(label, raw, [PICTURE] * len(raw) if self.choose.random() < 0.3 else []), label, raw)
        self.ledger["hidden"] -= {label}

    def _retrain(self, learner: Learner) -> None:
        self.ledger["active"] = learner.retrain().version

    def _promote(self, learner: Learner) -> None:
        self.ledger["active"] = learner.retrain(accept_scene_change=True).version

    def _some(self) -> list[str]:
        return self.choose.sample(sorted(self.ledger["samples"]), min(3, len(self.ledger["samples"])))

    def _ids(self, learner: Learner, digests: list[str]) -> list[int]:
        number_of = {
            digest_of(raw): number for number, raw in learner.store.database.rows("SELECT id, raw FROM samples")
        }
        return [number_of[digest] for digest in digests]

    def _relabel(self, learner: Learner) -> None:
        if some := self._some():
            learner.relabel("ring", self._ids(learner, some))
            self.ledger["samples"] |= dict.fromkeys(some, "ring")

    def _forget(self, learner: Learner) -> None:
        if some := self._some():
            learner.forget(self._ids(learner, some))
            self.forgotten(some)

    def _forget_label(self, learner: Learner) -> None:
        """Two acknowledgements: the samples, then the label."""
        self.forgotten_by_label(learner, "box")

    def forgotten_by_label(self, learner: Learner, label: str) -> None:
        some = [digest for digest, name in self.ledger["samples"].items() if name == label]
        if some:
            learner.forget(self._ids(learner, some))
            self.forgotten(some)
            self.acknowledge()
        learner.hide(label)
        self.ledger["hidden"] |= {label}

    def _forget_all(self, learner: Learner) -> None:
        learner.forget_all()
        self.forgotten(list(self.ledger["samples"]))
        self.ledger["hidden"] = frozenset()

    def _decide(self, learner: Learner) -> None:
        """On what the gate set aside."""
        for batch in learner.pending()[:1]:
            raws = learner.store.database.rows(f"SELECT raw FROM samples WHERE id IN ({','.join(map(str, batch.ids))})")
            some = [digest_of(raw) for (raw,) in raws]
            what = self.choose.choice(("use", "move", "forget"))
            if what == "forget":
                learner.forget_pending(batch.id)
                self.forgotten(some)
            elif what == "move":
                learner.move_pending(batch.id, "kite")
                self.ledger["samples"] |= dict.fromkeys(some, "kite")
            else:
                learner.use_pending(batch.id)
                self.ledger["hidden"] -= {self.ledger["samples"][digest] for digest in some}

    def _rollback(self, learner: Learner) -> None:
        good = [row.id for row in learner.versions() if row.state in GOOD]
        self.ledger["active"] = learner.rollback(self.choose.choice(good))

    def _trial(self, learner: Learner) -> None:
        learner.mark_started()
        learner.mark_healthy()

    def _drift(self, learner: Learner) -> None:
        learner.keep_drift(learner.drift())

    def _backup(self, learner: Learner) -> None:
        learner.store.backup(learner.store.backup_path)

    def _settle(self, learner: Learner) -> None:
        learner.store.database.settle(0.0)

    def start_again(self) -> None:
        if self.home.bundle_path.exists():
            self.home.learner().store.close()

    def look(self, allowed: list[Ledger], acknowledged: Ledger) -> Iterator[str]:
        learner = self.home.learner()
        try:
            store = learner.store
            yield from self.compared(
                {
                    "samples": self.state_of(store, self.backbone),
                    "active": learner.active_version,
                    "hidden": store.hidden(self.backbone),
                },
                allowed,
            )
            if any(not each.ok for each in verify(self.home)):
                yield f"it differs from itself: {[each for each in verify(self.home) if not each.ok]}"
            row = store.versions.get(self.bundle.digest, learner.active_version)
            if row is None or row.state not in GOOD or not learner.active_head().labels:
                yield "no servable head"
            if self.kept("damaged"):
                yield "it was taken for damaged"
            yield from self.goes_on(store, acknowledged["last"], acknowledged["gone"], self.backbone)
        finally:
            learner.store.close()


class First(Learning):
    """A device that was nothing yet: its folder, a bundle, a store, the first samples."""

    name = "first"

    def prepare(self) -> None:
        self.bundle = open_bundle(self.bundles[0])
        self.backbone = self.bundle.backbone_digest
        self.ledger |= {"active": 1, "hidden": frozenset(), "installed": False}

    def live(self) -> None:
        with self.step("install"):
            self.home.install(self.bundles[0])
            self.ledger["installed"] = True
        with self.step("open"):
            learner = self.home.learner()
        for name in ("learn", "learn", "promote", "backup", "forget", "learn"):
            with self.step(name):
                getattr(self, f"_{name}")(learner)

    def look(self, allowed: list[Ledger], acknowledged: Ledger) -> Iterator[str]:
        there = self.home.bundle_path.exists()
        if there not in {ledger["installed"] for ledger in allowed}:
            yield f"the bundle is {'there' if there else 'gone'}"
        elif there:
            yield from super().look(allowed, acknowledged)


class Installing(Session):
    """Two bundles take turns, on trial, proven, gone back from, and by deployment; meanwhile samples are learned."""

    name = "install"

    def prepare(self) -> None:
        self.digests = [open_bundle(path).digest for path in self.bundles]
        self.home.install(self.bundles[0])
        learner = self.home.learner()
        self.backbone = learner.bundle.backbone_digest
        self._learn(learner.store)
        learner.store.close()
        self.turn = 0
        self.ledger["bundle"] = self.digests[0]
        self.link = self.root / "current"

    def _learn(self, store: Store) -> None:
        self.learn_in(store, 2, self.backbone)

    def live(self) -> None:
        for _ in range(5):
            name = self.choose.choice(("install", "install", "prove", "fall back", "deploy", "learn"))
            getattr(self, f"_{name.replace(' ', '_')}_step")()

    def _install_step(self) -> None:
        self.turn += 1
        with self.step("install"):
            self.home.install(self.bundles[self.turn % 2])
            self.ledger["bundle"] = self.digests[self.turn % 2]
        with self.step("first version"):
            self.home.learner().store.close()

    def _prove_step(self) -> None:
        with self.step("start"):
            opened = OpenHome(self.home, on_trial=True)
        with self.step("prove"):
            opened.prove()
            opened.close()

    def _fall_back_step(self) -> None:
        trial = self.home.bundle_on_trial
        if trial.can_fall_back():
            with self.step("fall back"), self.home.lock():
                trial.fall_back("does not work")
                self.turn += 1
                self.ledger["bundle"] = hashlib.sha256(self.home.bundle_path.read_bytes()).hexdigest()
            self.turn = self.digests.index(self.ledger["bundle"])

    def _deploy_step(self) -> None:
        self.turn += 1
        candidate = self.home.examine(self.bundles[self.turn % 2])
        with self.step("stage"):
            self.home.stage(candidate, self.link)
        with self.step("switch"):  # as on_device.sh does it: a link beside, renamed, and `sync`
            beside = self.root / ".current"
            beside.unlink(missing_ok=True)
            beside.symlink_to(sys.prefix)
            beside.replace(self.link)
            handle = os.open(self.root, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
            self.ledger["bundle"] = self.digests[self.turn % 2]
        with self.step("take over"):
            self.home.bundle()
        with self.step("switch back"):
            self.link.unlink()
            handle = os.open(self.root, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)

    def _learn_step(self) -> None:
        store = Store(self.path)
        with self.step("learn"):
            self._learn(store)
        store.close()

    def start_again(self) -> None:
        with OpenHome(self.home, on_trial=True) as opened:
            opened.prove()

    def look(self, allowed: list[Ledger], acknowledged: Ledger) -> Iterator[str]:
        bundle = self.home.bundle()
        yield from self.compared({"bundle": bundle.digest}, allowed)
        trusted = self.home.bundle_on_trial
        if trusted.previous.exists():
            open_bundle(trusted.previous)
        with OpenHome(self.home, on_trial=True) as opened:
            opened.prove()
            store = opened.learner.store
            yield from self.compared({"samples": self.state_of(store, self.backbone)}, allowed)
            if not opened.learner.active_head().labels:
                yield "no servable head"
            yield from self.goes_on(store, acknowledged["last"], acknowledged["gone"], self.backbone)


class Restoring(Session):
    """A backup takes the store's place, while nobody or a reader has the old one open, and learning goes on."""

    name = "restore"
    focus = "restore"

    def prepare(self) -> None:
        database.SETTLE_AFTER_S = 1.0
        store = Store(self.path)
        self.learn_in(store, 8)
        self.backup = self.root / "mine.sqlite"
        store.backup(self.backup)
        self.saved = deepcopy(self.ledger["samples"])
        for _ in range(3):
            self.learn_in(store, 60)  # pages that the log does not hold: beside the backup it would be the wrong one
        self.before = deepcopy(self.ledger["samples"])
        store.close()

    def live(self) -> None:
        database.SETTLE_AFTER_S = 1e9  # what is learned stays in the log
        store, reader = Store(self.path), None
        if self.choose.random() < 0.7:  # somebody reads for long, so the log cannot be emptied
            reader = apsw.Connection(str(self.path))
            reader.execute("BEGIN")
            list(reader.execute("SELECT count(*) FROM samples"))
        for _ in range(3):
            with self.step("learn"):
                self.learn_in(store, 2)
                self.before = deepcopy(self.ledger["samples"])
        self.ledger["aside"] = {}
        with self.step("restore"):
            restore_database(self.backup, self.path)
            self.ledger["aside"] = self.before
            self.ledger["samples"] = deepcopy(self.saved)
        if reader is not None:
            reader.close()
        with self.step("learn"):
            self.learn_in(store, 2)
        store.close()

    def look(self, allowed: list[Ledger], acknowledged: Ledger) -> Iterator[str]:
        store = Store(self.path)
        try:
            held = self.state_of(store)
            yield from self.compared({"samples": held}, allowed)
            if self.kept("damaged"):
                yield "it was taken for damaged"
            aside = [ledger.get("aside") for ledger in allowed if ledger["samples"] == held]
            asides = [self._held_by(path) for path in self.kept("replaced")]
            if aside and all(aside) and not any(kept in aside for kept in asides):
                yield f"what was there before is nowhere: {[len(kept) for kept in asides]}"
            yield from self.goes_on(store, acknowledged["last"], [])
        finally:
            store.close()

    def _held_by(self, path: Path) -> dict[str, str]:
        store = Store(path)
        try:
            return self.state_of(store)
        finally:
            store.close()


class Recovering(Session):
    """A store that is damaged, cut short, gone or an old copy is opened: what can be saved is saved, and it is said."""

    name = "recovery"
    focus = "open"
    KINDS = ("sector", "gone", "emptied", "old copy", "log")

    def prepare(self) -> None:
        database.SETTLE_AFTER_S = 1.0
        store = Store(self.path)
        self.learn_in(store, 60)
        if self.choose.random() < 0.6:
            store.backup(store.backup_path)
        old = self.root / "old.sqlite"
        self.learn_in(store, 10)
        store.close()
        shutil.copy(self.path, old)
        database.SETTLE_AFTER_S = 1e9
        store = Store(self.path)
        self.learn_in(store, 30)
        store.versions.add(BUNDLE, "factory", "installed", "lda", 0, {}, activate=True)
        self.taught = len(self.ledger["samples"])
        aside = self.root / "aside"
        shutil.copytree(self.home.folder, aside)  # as it is when the power fails now: with its log
        store.close()
        shutil.rmtree(self.home.folder)
        aside.replace(self.home.folder)
        self.kind = self.choose.choice(self.KINDS)
        log = self.path.with_name("device.sqlite-wal")
        if self.kind in ("sector", "log"):
            target = log if self.kind == "log" else self.path
            data = bytearray(target.read_bytes())
            first = 8 if self.kind == "sector" else 1  # a store without its schema is refused, not repaired
            place = self.choose.randrange(first, len(data) // 512 - 1) * 512
            data[place : place + 512] = self.choose.randbytes(512)
            target.write_bytes(data)
        elif self.kind == "gone":
            self.path.unlink()
        elif self.kind == "emptied":
            self.path.write_bytes(b"")
        else:
            log.unlink()
            shutil.copy(old, self.path)
        old.unlink()
        self.ledger["samples"] = self._saved_undisturbed()
        self.lost = len(self.ledger["samples"]) < self.taught

    def _saved_undisturbed(self) -> dict[str, str]:
        """What a repair saves that nobody cuts."""
        copy = self.root / "copy"
        shutil.copytree(self.home.folder, copy)
        store = Store(copy / self.path.name)
        held = self.state_of(store)
        store.close()
        shutil.rmtree(copy)
        return held

    def live(self) -> None:
        with self.step("open"):
            store = Store(self.path)
        for _ in range(2):
            with self.step("learn"):
                self.learn_in(store, 2)
        store.close()

    def look(self, allowed: list[Ledger], acknowledged: Ledger) -> Iterator[str]:
        store = Store(self.path)
        try:
            yield from self.compared({"samples": self.state_of(store)}, allowed)
            if self.lost and not repairs_in(store.database.rows):
                yield f"{self.kind}: nobody says that samples are missing"
            yield from self.goes_on(store, acknowledged["last"], [])
        finally:
            store.close()


class Migrating(Session):
    """A store of edgetl 0.1 is opened, and learns."""

    name = "migration"

    def prepare(self) -> None:
        self.path.parent.mkdir(parents=True)
        old = apsw.Connection(str(self.path))
        old.pragma("journal_mode", "wal")
        with old:
            for migration in MIGRATIONS[:5]:
                migration(old)
            old.pragma("user_version", 5)
            raw = self.embeddings(200)
            rows = [(BACKBONE, "r", "kite", row.tobytes(), "t") for row in raw]
            old.executemany("INSERT INTO samples (backbone, runtime, label, raw, time) VALUES (?,?,?,?,?)", rows)
        self.learned(list(range(1, 201)), "kite", raw)
        old.close()

    def live(self) -> None:
        with self.step("open"):
            store = Store(self.path)
        with self.step("learn"):
            self.learn_in(store, 2)
        store.close()

    def look(self, allowed: list[Ledger], acknowledged: Ledger) -> Iterator[str]:
        store = Store(self.path)
        try:
            yield from self.compared({"samples": self.state_of(store)}, allowed)
            if self.kept("damaged"):
                yield "it was taken for damaged"
            yield from self.goes_on(store, acknowledged["last"], [])
        finally:
            store.close()


class BackingUp(Session):
    """Backups and exports, into folders that are not there yet and over older ones."""

    name = "backup"

    def prepare(self) -> None:
        self.store = Store(self.path)
        self.learn_in(self.store, 20)
        self.store.close()
        self.ledger |= {"backup": None, "export": None}

    def live(self) -> None:
        store = Store(self.path)
        for _ in range(3):
            with self.step("learn"):
                self.learn_in(store, 2)
            with self.step("backup"):
                store.backup(self.root / "backups" / "of" / "today.sqlite")
                self.ledger["backup"] = len(self.ledger["samples"])
            with self.step("automatic backup"):
                store.backup_if_due()
            with self.step("export"):
                content = json.dumps(sorted(self.ledger["samples"])).encode() * 50
                write_atomically(self.root / "exports" / "learned.stats", content)
                self.ledger["export"] = digest_of(content)
        store.close()

    def look(self, allowed: list[Ledger], acknowledged: Ledger) -> Iterator[str]:
        path, export = self.root / "backups" / "of" / "today.sqlite", self.root / "exports" / "learned.stats"
        held: Ledger = {"backup": None, "export": digest_of(export.read_bytes()) if export.exists() else None}
        if path.exists():
            check_backup(path)
            database = apsw.Connection(str(path))
            held["backup"] = next(iter(database.execute("SELECT count(*) FROM samples")))[0]
            database.close()
        store = Store(self.path)
        try:
            if store.backup_path.exists():
                check_backup(store.backup_path)
            yield from self.compared({"samples": self.state_of(store), **held}, allowed)
            yield from self.goes_on(store, acknowledged["last"], [])
        finally:
            store.close()


class Inspecting(Session):
    """Photos of good and bad parts are taught, judged otherwise and forgotten, and looked at in other ways."""

    name = "inspection"

    def prepare(self) -> None:
        self.ledger["view"] = None
        store = Store(self.path)
        self._teach(store)
        store.close()

    def live(self) -> None:
        store = Store(self.path)
        for _ in range(12):
            name = self.choose.choice(("teach", "teach", "teach", "judge", "forget", "choose", "backup"))
            with self.step(name):
                getattr(self, f"_{name}")(store)
        store.close()

    def _teach(self, store: Store) -> None:
        raw = self.embeddings(2)
        verdict, group = self.choose.choice(VERDICTS), self.choose.choice((None, 0))
        maps = [self.embeddings(40).reshape(1, -1) for _ in raw]
        photos = [InspectedPhoto(row[None], each, 64, 48, verdict, group) for row, each in zip(raw, maps, strict=True)]
        ids = store.inspected.add(photos, BACKBONE, "litert-test", "view")
        self.learned(ids, verdict, raw)

    def _some(self, store: Store) -> dict[int, str]:
        known = {number: digest_of(raw) for number, raw in store.database.rows("SELECT id, raw FROM inspected")}
        return dict(self.choose.sample(sorted(known.items()), min(2, len(known))))

    def _judge(self, store: Store) -> None:
        some, verdict = self._some(store), self.choose.choice(VERDICTS)
        store.inspected.judge(BACKBONE, list(some), verdict)
        self.ledger["samples"] |= dict.fromkeys(some.values(), verdict)

    def _forget(self, store: Store) -> None:
        some = self._some(store)
        store.inspected.remove(BACKBONE, list(some))
        self.forgotten(list(some.values()))

    def _choose(self, store: Store) -> None:
        setting = InspectionSetting(json.dumps({"view": self.choose.random()}), self.choose.randint(1, 9999))
        store.inspected.choose(BACKBONE, setting)
        self.ledger["view"] = setting

    def _backup(self, store: Store) -> None:
        store.backup(store.backup_path)

    def look(self, allowed: list[Ledger], acknowledged: Ledger) -> Iterator[str]:
        store = Store(self.path)
        try:
            rows = store.database.rows("SELECT raw, verdict FROM inspected")
            held = {digest_of(raw): verdict for raw, verdict in rows}
            yield from self.compared({"samples": held, "view": store.inspected.setting(BACKBONE)}, allowed)
            if store.database.state().samples != len(held) or any(len(maps) != 40 * 64 for maps in self._maps(store)):
                yield "its photos are not whole"
            if store.database.next_id("inspected") <= acknowledged["last"]:
                yield f"a number is used twice, {acknowledged['last']} was given already"
            yield from self.goes_on(store, 0, acknowledged["gone"])
        finally:
            store.close()

    def _maps(self, store: Store) -> Iterator[np.ndarray]:
        return (maps[0] for _, maps in store.inspected.read(BACKBONE, 40 * 64))


SESSIONS: tuple[Callable[[Path, tuple[Path, Path], int], Session], ...] = (
    Learning,
    Restoring,
    Recovering,
    Installing,
    First,
    Migrating,
    BackingUp,
    Inspecting,
)
