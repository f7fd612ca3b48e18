"""Nothing that was acknowledged is lost without a word: restores, damage, kills, and several programs at once."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import apsw
import numpy as np
import pytest

from edgetl_device.store import database
from edgetl_device.store.acknowledged import AcknowledgedFile, acknowledged_path
from edgetl_device.store.backup import check_backup, restore_database, what_is_wrong
from edgetl_device.store.group_store import GroupStore
from edgetl_device.store.inspected import InspectedPhoto
from edgetl_device.store.review import ReviewFrame
from edgetl_device.store.schema import MIGRATIONS
from edgetl_device.store.state import OF_SAMPLES
from edgetl_device.store.store import Store
from edgetl_device.view import View

SUPPORT = Path(__file__).parents[2] / "support"
RAW = np.arange(12, dtype=np.int8).reshape(3, 4)
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "device.sqlite"


@pytest.fixture
def memory_folder(tmp_path):
    """A folder in memory, where there is one: a kill does not ask whether a disk is slow."""
    shared_memory = Path("/dev/shm")
    if not os.access(shared_memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared_memory) as folder:
        yield Path(folder)


def labels(path: Path) -> list[str]:
    store = Store(path)
    try:
        return [row.label for row in store.samples("b")]
    finally:
        store.close()


def ids(path: Path) -> set[int]:
    """Whatever was opened is closed: SQLite takes an old name's index away where a process has a file by two names."""
    store = Store(path)
    try:
        return {row.id for row in store.samples("b")}
    finally:
        store.close()


def run(script: str, *arguments: object) -> dict:
    command = [sys.executable, str(SUPPORT / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.once
def test_no_damage_of_database_or_log_passes_unnoticed(memory_folder) -> None:
    outcome = run("corruption.py", memory_folder / "stores", 120, 0)
    assert outcome["problems"] == [] and outcome["rounds"] == 120
    assert outcome["outcomes"]["said, and something is missing"] > 20  # or nothing was damaged
    assert outcome["outcomes"]["nothing is wrong"] > 10


@pytest.mark.slow
@pytest.mark.once
def test_kills_during_restore_recovery_migration_and_install_lose_nothing(bundle_path, memory_folder) -> None:
    outcome = run("replacement_crash.py", bundle_path, memory_folder / "homes", 80, 0)
    assert outcome["problems"] == []
    assert all(outcome["killed in time"][step] > 2 for step in ("restore", "recovery", "migration", "install"))


LEARN = """
import sys
import numpy as np
from pathlib import Path
from edgetl_device.store.store import Store
store = Store(Path(sys.argv[1]))
print("open", flush=True)
while True:
    (number,) = store.add_samples("cat", np.zeros((1, 4), np.int8), "b", "r")
    print(number, flush=True)
"""


@pytest.mark.parametrize("page", range(1, 12))
def test_what_a_damaged_page_does_is_told_in_one_line(path, page: int) -> None:
    store = Store(path)
    store.add_samples("cat", np.zeros((40, 8), np.int8), "b", "r")
    store.database.settle(0.0)
    store.close()
    size = 4096
    with path.open("r+b") as stream:
        stream.seek(page * size)
        stream.write(b"\xff" * 8)
    told = what_is_wrong(path)
    assert told and "\n" not in told


@pytest.mark.slow
@pytest.mark.once
def test_what_is_taught_while_a_backup_is_restored_goes_to_one_of_the_two_stores(path, tmp_path) -> None:
    store = Store(path)
    store.backup(path.with_name("mine.sqlite"))
    store.close()
    for number in range(8):
        said = tmp_path / f"said-{number}"

        def acknowledged(said: Path = said, at_least: int = 0) -> list[int]:
            deadline = time.monotonic() + 60
            while len(lines := said.read_text().split("\n")[:-1]) < at_least and time.monotonic() < deadline:
                time.sleep(0.01)
            return [int(line) for line in lines[1:]]  # the first says that the store is open

        with said.open("w") as stream:
            process = subprocess.Popen([sys.executable, "-c", LEARN, str(path)], stdout=stream)
        acknowledged(at_least=4)
        aside = restore_database(path.with_name("mine.sqlite"), path)
        when = len(acknowledged())
        after = acknowledged(at_least=when + 5)[when + 1 :]  # the next one may have been half done
        process.kill()
        process.wait()
        now, before = ids(path), ids(aside)
        assert not now & before, "a number was used twice"
        assert set(acknowledged()) <= now | before
        assert after and set(after) <= now, f"round {number}: taught after the restore, but not there"


def test_a_program_that_opens_a_store_while_it_is_replaced_does_no_harm_to_the_new_one(path, monkeypatch) -> None:
    """It looks before the replacement begins, and opens the old file when the log is gone: a new log is the new file's."""
    store = Store(path)
    store.backup(path.with_name("mine.sqlite"))
    store.close()
    fork = multiprocessing.get_context("fork")
    opened, learned = fork.Event(), fork.Event()

    def read() -> None:
        look, connect, first = database.second_names, database.connect, iter([lambda path: []])
        database.second_names = lambda path: next(first, look)(path)
        database.connect = lambda path: (connect(path), opened.set())[0]
        store = Store(path)
        assert learned.wait(60)
        store.close()

    reader, rename = fork.Process(target=read), Path.replace

    def slow(staging: Path, target: Path) -> Path:
        if target == path:
            reader.start()
            assert opened.wait(60)
        return rename(staging, target)

    monkeypatch.setattr(Path, "replace", slow)
    restore_database(path.with_name("mine.sqlite"), path)
    monkeypatch.setattr(database, "SETTLE_AFTER_S", 1e9)  # what is learned stays in the log
    store = Store(path)
    taught = {*store.add_samples("cat", RAW, "b", "r"), *store.add_samples("dog", RAW, "b", "r")}
    learned.set()
    reader.join()
    assert reader.exitcode == 0 and {row.id for row in store.samples("b")} == ids(path) == taught


OPEN_AND_LEARN = """
import sys
import numpy as np
from pathlib import Path
from edgetl_device.store.store import Store
sys.stdin.readline()
store = Store(Path(sys.argv[1]))
print(store.add_samples("cat", np.zeros((1, 4), np.int8), "b", "r")[0])
"""


@pytest.mark.slow
@pytest.mark.once
def test_programs_that_open_a_damaged_store_at_once_repair_it_once_and_lose_nothing(path) -> None:
    store = Store(path)
    first = store.add_samples("dog", np.tile(RAW, (200, 1)), "b", "r")
    store.backup(store.backup_path)
    store.close()
    data = bytearray(path.read_bytes())
    data[8192:8704] = bytes(512)
    path.write_bytes(data)
    command = [sys.executable, "-c", OPEN_AND_LEARN, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    programs = [subprocess.Popen(command, **pipes) for _ in range(5)]
    outputs = [program.communicate("go\n", timeout=60) for program in programs]
    assert all(not program.returncode for program in programs), outputs
    learned = {int(out) for out, _ in outputs}
    assert len(learned) == 5
    assert ids(path) == learned | set(first)
    assert len([name for name in path.parent.glob("*.damaged-*") if name.suffix != ".lock"]) == 1


def test_a_log_that_was_cut_short_is_noticed_and_the_missing_are_counted(path, caplog, monkeypatch) -> None:
    monkeypatch.setattr("edgetl_device.store.database.SETTLE_AFTER_S", 1e9)
    store = Store(path)
    for _ in range(5):
        store.add_samples("cat", RAW, "b", "r")
    copy = path.parent.parent / "killed" / "device.sqlite"
    shutil.copytree(path.parent, copy.parent)
    log = copy.with_name("device.sqlite-wal")
    assert log.stat().st_size > 20_000
    os.truncate(log, log.stat().st_size - 100)
    assert labels(copy) == ["cat"] * 12
    assert "was incomplete" in caplog.text and "3 of the 15 acknowledged are missing" in caplog.text
    caplog.clear()
    assert labels(copy) == ["cat"] * 12 and not caplog.text  # it is said once, and logged in the store
    assert [kind for (kind,) in Store(copy).database.rows("SELECT kind FROM events")][-1] == "recovered"


def test_an_older_copy_put_in_place_by_hand_is_noticed(path, caplog) -> None:
    store = Store(path)
    store.add_samples("cat", RAW, "b", "r")
    store.close()
    shutil.copy(path, path.with_name("old"))
    store = Store(path)
    store.add_samples("dog", RAW, "b", "r")
    store.close()
    shutil.copy(path.with_name("old"), path)
    assert labels(path) == ["cat"] * 3
    assert "3 of the 6 acknowledged are missing" in caplog.text


@pytest.mark.parametrize("what", ["empty", "gone"])
def test_a_store_that_was_emptied_or_deleted_is_noticed(path, caplog, what: str) -> None:
    store = Store(path)
    store.add_samples("cat", RAW, "b", "r")
    store.close()
    path.unlink() if what == "gone" else path.write_bytes(b"")
    assert labels(path) == []
    assert "3 of the 3 acknowledged are missing" in caplog.text


@pytest.mark.parametrize("what", ["gone", "older"])
def test_what_a_repair_lost_stays_told_in_every_copy_until_it_is_accepted(path, what: str) -> None:
    store = Store(path)
    store.add_samples("cat", RAW, "b", "r")
    assert store.repairs() == []
    store.close()
    shutil.copy(path, path.with_name("old"))
    store = Store(path)
    store.add_samples("cat", RAW, "b", "r")
    store.close()
    path.unlink() if what == "gone" else shutil.copy(path.with_name("old"), path)
    saved = 0 if what == "gone" else 3
    store = Store(path)
    (repair,) = store.repairs()
    assert (repair.samples, repair.acknowledged, repair.missing) == (saved, 6, 6 - saved)
    assert f"{6 - saved} of the 6 acknowledged samples are missing" in repair.outcome
    store.backup(path.with_name("after.sqlite"))
    store.accept_losses()
    assert store.repairs() == []
    store.close()
    restore_database(path.with_name("after.sqlite"), path)
    store = Store(path)
    assert len(store.repairs()) == 1  # they are missing in that copy too, and nobody accepted it there
    store.database.delete("events", "kind <> ''")
    for detail in ("", "[]", '{"problem": 1}', '{"problem": "", "samples": {}, "acknowledged": "x"}'):
        with store.database.transaction():
            store.database.insert("events", time="t", kind="recovered", detail=detail)
    assert store.repairs() == []  # a backup's events may be anybody's


def test_a_store_with_all_its_samples_after_a_repair_says_that_none_is_missing(path) -> None:
    store = Store(path)
    store.add_samples("cat", np.tile(RAW, (100, 1)), "b", "r")
    store.backup(store.backup_path)
    store.close()
    path.write_bytes(path.read_bytes()[:4096])
    store = Store(path)
    (repair,) = store.repairs()
    assert repair.missing == 0 and "none of the 300 acknowledged samples is missing" in repair.outcome


@pytest.mark.parametrize("emptied", [False, True])
def test_a_replacement_that_was_cut_off_is_undone_with_its_log(path, monkeypatch, emptied: bool) -> None:
    """The log goes before the new database comes, unless a reader kept it from being emptied with all that is in it."""
    store = Store(path)
    store.add_samples("cat", RAW, "b", "r")
    store.backup(path.with_name("mine.sqlite"))
    monkeypatch.setattr("edgetl_device.store.database.SETTLE_AFTER_S", 1e9)
    reader = apsw.Connection(str(path))
    if not emptied:
        reader.execute("BEGIN")
    list(reader.execute("SELECT count(*) FROM samples"))
    store.add_samples("dog", RAW, "b", "r")

    def fails(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fails)
        patch.setattr("edgetl_device.store.connection.BUSY_TIMEOUT_MS", 10)
        with pytest.raises(KeyboardInterrupt):
            restore_database(path.with_name("mine.sqlite"), path)
    assert path.stat().st_nlink == 2 and not path.with_name("device.sqlite-wal").exists()
    look = "import sys; from pathlib import Path; from edgetl_device.store.soundness import what_is_wrong as look; "
    subprocess.run([sys.executable, "-c", f"{look}assert look(Path(sys.argv[1])) is None", str(path)], check=True)
    for number in (7, 9):  # who had it open shares it with who opens it now
        assert store.add_samples("cow", RAW[:1], "b", "r") == [number]
        command = [sys.executable, "-c", OPEN_AND_LEARN, str(path)]
        assert subprocess.run(command, input=b"go\n", capture_output=True, check=True).stdout == b"%d\n" % (number + 1)
    assert labels(path) == ["cat"] * 3 + ["dog"] * 3 + ["cow", "cat"] * 2
    assert path.stat().st_nlink == 1 and not list(path.parent.glob("device.sqlite.*"))


def test_samples_that_are_right_are_saved_from_a_damaged_store_without_any_backup(path, caplog) -> None:
    store = Store(path)
    store.add_samples("cat", np.tile(RAW, (100, 1)), "b", "r")
    number = store.versions.add("bundle", "factory", "installed", "lda", 0, {}, activate=True)
    device = store.device
    store.close()
    data = bytearray(path.read_bytes())
    place = data.rindex(b"cat")  # in the index or a row
    data[place : place + 3] = b"cow"
    path.write_bytes(data)
    store = Store(path)
    assert len(store.samples("b")) >= 299 and set(store.counts("b")) == {"cat"}
    assert store.versions.active("bundle") == number and store.device == device
    assert "was damaged" in caplog.text
    assert what_is_wrong(path) is None


def test_nothing_stays_about_a_sample_that_a_repair_could_not_save(path, tmp_path) -> None:
    store = Store(path)
    lost, saved, _ = GroupStore(store, "light").add_samples("dim", RAW, "b", "r", view=json.dumps(View().to_json()))
    store.views.note_place([lost, saved], "porch", "feeder")
    store.confirm([lost, saved])
    store.close()
    damaged = apsw.Connection(str(path))
    damaged.execute("UPDATE grouped SET label = 'dum' WHERE sample = ?", (lost,))
    damaged.close()
    store = Store(path)
    for table in OF_SAMPLES:
        assert not list(store.database.rows(f"SELECT * FROM {table} WHERE sample = ?", (lost,)))
    assert store.views.place_of([saved]) == [("porch", "feeder")]
    store.backup(tmp_path / "backup.sqlite")
    check_backup(tmp_path / "backup.sqlite")


def test_numbers_of_samples_and_changes_never_go_back(path) -> None:
    store = Store(path)
    store.add_samples("cat", RAW, "b", "r")
    store.backup(path.with_name("mine.sqlite"))
    last = store.add_samples("cat", RAW, "b", "r")[-1]
    sequence = store.sequence()
    store.close()
    restore_database(path.with_name("mine.sqlite"), path)
    store = Store(path)
    assert store.sequence() > sequence
    assert store.add_samples("cat", RAW, "b", "r")[0] == last + 1
    store.close()
    other = path.parent.parent / "other" / "device.sqlite"  # on new hardware
    restore_database(path.with_name("mine.sqlite"), other)
    assert Store(other).sequence() > sequence


def test_a_damaged_count_of_acknowledgements_is_no_damage_of_the_store(path, caplog) -> None:
    store = Store(path)
    store.add_samples("cat", RAW, "b", "r")
    store.close()
    for content in (b"", b"\xff" * 9000, b"{}" * 4000):
        acknowledged_path(path).write_bytes(content)
        assert labels(path) == ["cat"] * 3 and not caplog.text
    store = Store(path)
    store.add_samples("cat", RAW, "b", "r")
    assert AcknowledgedFile(acknowledged_path(path)).read()[0].samples == 6


def test_a_torn_count_leaves_the_one_before(path) -> None:
    store = Store(path)
    for _ in range(4):
        store.add_samples("cat", RAW, "b", "r")
    store.close()
    data = acknowledged_path(path).read_bytes()
    records = AcknowledgedFile(acknowledged_path(path)).read()
    assert [record.samples for record in records] == [12, 9]
    newest = 4096 * (records[0].sequence % 2)
    acknowledged_path(path).write_bytes(data[: newest + 40] + bytes(100) + data[newest + 140 :])
    assert [record.samples for record in AcknowledgedFile(acknowledged_path(path)).read()] == [9]


def test_a_store_of_0_1_is_brought_up_to_date_with_checksums(path) -> None:
    path.parent.mkdir()
    old = apsw.Connection(str(path))
    old.pragma("journal_mode", "wal")
    for migration in MIGRATIONS[:5]:
        migration(old)
    old.pragma("user_version", 5)
    insert = "INSERT INTO samples (backbone, runtime, label, raw, time) VALUES ('b', 'r', ?, ?, '2026')"
    old.executemany(insert, [("cat", bytes([n] * 4)) for n in range(5)])
    old.execute(
        "INSERT INTO versions (bundle, time, state, reason, rule, last_sample, metrics) "
        "VALUES ('bundle', 't', 'factory', 'installed', 'lda', 0, '{}'); INSERT INTO active VALUES ('bundle', 1);"
        "INSERT INTO thumbnails VALUES (1, x'ffd8'); INSERT INTO hidden VALUES ('b', 'dog');"
        "INSERT INTO events (time, kind, detail) VALUES ('t', 'learn', '{}')"
    )
    device = next(iter(old.execute("SELECT device FROM identity")))[0]
    old.close()
    store = Store(path)
    assert store.counts("b") == {"cat": 5} and store.hidden("b") == {"dog"} and store.thumbnail(1) == b"\xff\xd8"
    assert store.versions.active("bundle") == 1 and store.device == device
    ((_, _, _, raw),) = store.embeddings("b", 4)
    assert raw[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert store.add_samples("cat", RAW, "b", "r") == [6, 7, 8]
    store.close()
    assert what_is_wrong(path) is None


def test_backups_and_replacements_are_durable_with_their_names(path, monkeypatch) -> None:
    done: list[str] = []
    fsync, rename = os.fsync, Path.replace

    def synced(handle: int) -> None:
        done.append("sync " + Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    def replaced(self: Path, target: Path) -> Path:
        done.append(f"rename {Path(target).name}")
        return rename(self, target)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    store = Store(path)
    store.add_samples("cat", RAW, "b", "r")
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    store.backup(path.with_name("mine.sqlite"))
    assert done[0].startswith("sync .mine.sqlite.") and done[1:] == ["rename mine.sqlite", "sync home"]
    done.clear()
    restore_database(path.with_name("mine.sqlite"), path)
    assert done[-2:] == ["rename device.sqlite", "sync home"] and done[0].startswith("sync .device.sqlite.")


def test_forgetting_that_was_interrupted_is_finished_at_the_next_opening(path, monkeypatch) -> None:
    secret = np.frombuffer(b"a-secret-embedding-of-64-bytes--" * 2, np.int8)[None]
    store = Store(path)
    ids = store.add_samples("cat", secret, "b", "r")
    store.backup_if_due()
    monkeypatch.setattr("edgetl_device.store.database.Database.scrub", lambda self, gone: None)
    store.remove_samples("b", ids)
    monkeypatch.undo()
    assert any(secret.tobytes() in file.read_bytes() for file in path.parent.iterdir())
    store.close()
    Store(path)
    assert not any(secret.tobytes() in file.read_bytes() for file in path.parent.iterdir())


@pytest.mark.parametrize("what", ["a photo of inspection", "a frame for review"])
def test_who_forgets_while_another_program_learns_clears_away_what_that_one_left_too(path, monkeypatch, what) -> None:
    monkeypatch.setattr(database, "CHECKED_AT_START_BYTES", 0)  # as if the backup were large
    raw = np.random.default_rng(0).integers(-128, 128, (1, 256), np.int8)
    store = Store(path)
    GroupStore(store, "wear").add_samples("worn", raw, "b", "r")
    store.inspected.add([InspectedPhoto(RAW, RAW, 640, 480)], "b", "r", "view")
    store.review.keep(ReviewFrame("b", "r", "", "unsure", None, 0.5, raw[0], b"jpeg"), "r")
    store.backup(store.backup_path)

    def forget() -> None:
        other = Store(path)
        assert other.review.drop() if what == "a frame for review" else other.inspected.remove("b", [1])
        other.close()

    thread = threading.Thread(target=forget)
    with store.lock():
        thread.start()
        time.sleep(0.3)  # it waits for the lock
        numbers = store.add_samples("cat", raw, "b", "r")  # by another number than the photo had in the group alone
    thread.join()
    store.remove_samples("b", numbers)
    assert raw.tobytes() not in store.backup_path.read_bytes()


def test_what_was_learned_leaves_the_log_at_once(path) -> None:
    store = Store(path)
    store.add_samples("cat", RAW, "b", "r")
    assert path.with_name("device.sqlite-wal").stat().st_size == 0
    alone = path.parent.parent / "alone.sqlite"
    shutil.copy(path, alone)
    assert labels(alone) == ["cat"] * 3
