import resource
import struct
from pathlib import Path

import apsw
import numpy as np
import pytest
from sqlite_steps import steps_of

from edgetl_device.errors import HomeError, StorageError
from edgetl_device.store import changes, database, versions
from edgetl_device.store.backup import check_backup, restore_database, what_is_wrong
from edgetl_device.store.regions import RegionRow
from edgetl_device.store.repair import RECOVERED
from edgetl_device.store.schema import MIGRATIONS
from edgetl_device.store.store import Store

RAW = np.arange(12, dtype=np.int8).reshape(3, 4)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "device.sqlite"


def test_samples_are_there_after_reopening(path) -> None:
    ids = Store(path).add_samples("cat", RAW, "backbone", "litert-1")
    ((found, labels, runtimes, raw),) = Store(path).embeddings("backbone", 4)
    assert found == ids and labels == ["cat"] * 3 and runtimes == ["litert-1"] * 3 and (raw == RAW).all()


def test_samples_of_another_backbone_are_not_mixed_in(path) -> None:
    store = Store(path)
    store.add_samples("cat", RAW, "one", "r")
    store.add_samples("dog", RAW, "two", "r")
    assert [row.label for row in store.samples("one")] == ["cat"] * 3
    assert list(store.embeddings("three", 4)) == []


@pytest.mark.parametrize("label", [None, "cat"])
def test_the_newest_samples_cost_the_same_however_many_are_stored(path, label) -> None:
    store = Store(path)
    steps = []

    def newest(before: int | None) -> list[int]:
        steps.append(0)
        store.database._db.set_progress_handler(lambda: steps.append(steps.pop() + 1) or False, 1)
        rows = store.newest_samples("one", label, before, 4)
        store.database._db.set_progress_handler(None)
        return [row.id for row in rows]

    ids = store.add_samples("cat", RAW, "one", "r") + store.add_samples("cat", RAW, "one", "r")
    assert newest(None) == ids[:1:-1] and newest(ids[2]) == ids[1::-1] and newest(0) == []
    ids = store.add_samples("cat", np.tile(RAW, (300, 1)), "one", "r")
    assert newest(None) == ids[:-5:-1]
    assert steps[-1] <= steps[0] + 5
    store.add_samples("dog", RAW, "one", "r")
    store.add_samples("cat", RAW, "two", "r")
    assert len(newest(None)) == 4 and (newest(None) == ids[:-5:-1]) == (label == "cat")


def test_closing_a_store_that_was_replaced_leaves_the_files_of_the_new_one_alone(path) -> None:
    old = Store(path)
    old.backup(path.with_name("copy.sqlite"))
    old.add_samples("cat", RAW, "one", "r")
    assert not old.is_replaced()
    aside = restore_database(path.with_name("copy.sqlite"), path)
    new = Store(path)
    new.add_samples("dog", RAW, "one", "r")
    assert old.is_replaced() and not new.is_replaced()
    old.close()
    assert [row.label for row in Store(path).samples("one")] == ["dog"] * 3
    assert [row.label for row in Store(aside).samples("one")] == ["cat"] * 3


def test_a_restored_store_is_opened_by_several_at_once_without_changing_it(path) -> None:
    """Of two that change it to write-ahead logging at once one is told that it is in use."""
    old = Store(path)
    old.backup(path.with_name("copy.sqlite"))
    old.close()
    restore_database(path.with_name("copy.sqlite"), path)
    with apsw.Connection(str(path)) as reader:  # holds the file, as one does that changes it
        assert list(reader.execute("SELECT * FROM samples")) == []
        assert Store(path).counts("one") == {}


@pytest.mark.parametrize("why", ["it was restored", "the disk was full"])
def test_a_store_that_cannot_be_opened_again_at_first_is_opened_later(path, monkeypatch, why: str) -> None:
    store = Store(path)
    store.backup(path.with_name("copy.sqlite"))
    if why == "it was restored":
        restore_database(path.with_name("copy.sqlite"), path)
    else:  # there is room again, so others are let in
        store.database._exclusive = True

    def fails(connection: apsw.Connection) -> None:
        raise apsw.BusyError("database is locked")

    with monkeypatch.context() as patch, pytest.raises(StorageError, match="in use by another process"):
        patch.setattr(database, "make_durable", fails)
        store.add_samples("cat", RAW, "one", "r")
    assert store.is_replaced()  # so an app opens the home anew
    stored = 0 if why == "it was restored" else 3
    store.add_samples("cat", RAW, "one", "r")
    assert Store(path).counts("one") == store.counts("one") == {"cat": stored + 3}


def cut_off_change(store: Store, cut: Path, log: bytes) -> Path:
    """A copy of a store as a power cut in the middle of the change to write-ahead logging leaves it."""
    cut.parent.mkdir()
    content = store.path.read_bytes()
    cut.write_bytes(content)
    page = bytearray(content[:4096])
    page[18:20] = b"\1\1"  # no log yet
    check = 7 + sum(page[place] for place in range(4096 - 200, 0, -200))
    head = bytes.fromhex("d9d505f920a163d7") + struct.pack(">5I", 1, 7, len(content) // 4096, 512, 4096)
    record = struct.pack(">I", 1) + page + struct.pack(">I", check & 0xFFFFFFFF)
    cut.with_name(f"{cut.name}-journal").write_bytes(head.ljust(512, b"\0") + record)
    cut.with_name(f"{cut.name}-wal").write_bytes(log)
    return cut


def test_a_cut_off_change_to_write_ahead_logging_keeps_nobody_out(path, tmp_path) -> None:
    """The journal that would undo it is still there, and so is the log: SQLite uses both, one after the other."""
    store = Store(path)
    store.add_samples("cat", RAW, "one", "r")
    store.database.settle(0.0)
    log = tmp_path / "log.sqlite"
    Store(log).close()
    other = apsw.Connection(str(log))
    other.execute("CREATE TABLE t (x)")
    begun = log.with_name("log.sqlite-wal").read_bytes()[:32]
    cut = cut_off_change(store, tmp_path / "cut" / path.name, begun)
    first = Store(cut)
    first.add_samples("cat", RAW[:1], "one", "r")
    first.database.settle(0.0)
    assert Store(cut).counts("one") == first.counts("one") == {"cat": 4}


def test_a_cut_off_change_to_write_ahead_logging_can_be_read_on_a_full_disk(path, tmp_path, monkeypatch) -> None:
    store = Store(path)
    monkeypatch.setattr(store.database, "settle", lambda *_: None)
    store.add_samples("cat", np.zeros((99, 1280), np.int8), "one", "r")
    log = path.with_name(f"{path.name}-wal").read_bytes()
    cut = cut_off_change(store, tmp_path / "cut" / path.name, log)
    bounds = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (cut.stat().st_size, bounds[1]))
    try:
        read = Store(cut)
        assert read.counts("one") == {"cat": 99}
        read.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, bounds)
    assert Store(cut).counts("one") == {"cat": 99}


def test_a_failed_step_leaves_nothing_behind(path) -> None:
    store = Store(path)
    with pytest.raises(ZeroDivisionError), store.database.transaction():
        store.database.log_event("learn", {})
        raise ZeroDivisionError
    assert list(store.database.rows("SELECT count(*) FROM events")) == [(0,)]


def test_the_event_log_is_bounded_and_repairs_stay_in_it(path, monkeypatch) -> None:
    monkeypatch.setattr(changes, "MOST_EVENTS", 5)
    store = Store(path)
    with store.database.transaction():
        store.database.log_event(RECOVERED, {})
    for number in range(20):
        store.regions.keep(RegionRow("", f"region {number}", "{}"))
        store.regions.remove("", f"region {number}")
    rows = list(store.database.rows("SELECT id, kind FROM events ORDER BY id"))
    assert rows == [(1, RECOVERED), *((number, "region") for number in range(37, 42))]
    store.close()
    assert what_is_wrong(path) is None


def test_a_new_version_and_its_activation_are_one_step(path) -> None:
    store = Store(path)
    first = store.versions.add("bundle", "factory", "installed", "lda", 0, {}, activate=True)
    second = store.versions.add("bundle", "rejected", "worse", "lda", 3, {"accuracy": 0.5}, activate=False)
    assert store.versions.active("bundle") == first and second == first + 1
    assert [row.state for row in store.versions.of("bundle")] == ["factory", "rejected"]
    assert store.versions.of("bundle")[1].metrics == {"accuracy": 0.5} and store.versions.of("other") == []


GOOD = ("factory", "promoted")


def test_the_oldest_versions_go_but_for_the_factorys_and_those_in_use(path, monkeypatch) -> None:
    store = Store(path)
    monkeypatch.setattr(versions, "MOST_VERSIONS", 3)

    def add(bundle: str, state: str, activate: bool = False) -> int:
        return store.versions.add(bundle, state, "", "lda", 0, {}, activate=activate)

    factory, used, _ = add("a", "factory"), add("a", "promoted", activate=True), add("a", "promoted")
    store.versions.count_start(used + 1)
    others = [add("b", "promoted", activate=True) for _ in range(3)]
    newest = [add("a", state) for state in ("promoted", "rejected", "promoted", "promoted")]
    assert [row.id for row in store.versions.of("a")] == [factory, used, *newest] and store.versions.active("a") == used
    assert [row.id for row in store.versions.of("b")] == others and store.versions.newest("a") == newest[-1]
    assert list(store.database.rows("SELECT * FROM trials")) == []
    before = [store.versions.before("a", number, GOOD) for number in (factory, used, newest[0], newest[2])]
    assert [row and row.id for row in before] == [None, factory, used, newest[0]]
    assert what_is_wrong(path) is None


def test_versions_that_the_gate_rejected_displace_none_that_can_be_gone_back_to(path, monkeypatch) -> None:
    store = Store(path)
    monkeypatch.setattr(versions, "MOST_VERSIONS", 3)
    states = ("factory", "promoted", *["rejected"] * 5, "promoted", "rejected")
    ids = [store.versions.add("a", state, "", "lda", 0, {}, activate=state in GOOD) for state in states]
    assert [row.id for row in store.versions.of("a")] == [*ids[:2], *ids[5:]]
    before = store.versions.before("a", store.versions.active("a"), GOOD)
    assert before.id == ids[1]


def test_adding_a_version_mostly_reads_none_of_the_others(path) -> None:
    store = Store(path)
    with store.database.transaction():
        for _ in range(5 * versions.MOST_VERSIONS):
            store.database.insert(
                "versions", bundle="a", time="", state="promoted", reason="", rule="lda", last_sample=0, metrics="{}"
            )
    steps = [
        steps_of(store, lambda: store.versions.add("a", "promoted", "", "lda", 0, {}, activate=True))
        for _ in range(versions.MOST_VERSIONS // 5)
    ]
    assert sorted(steps)[len(steps) * 9 // 10] < 1000
    assert versions.MOST_VERSIONS <= len(store.versions.of("a")) <= 1.2 * versions.MOST_VERSIONS


def test_counting_samples_of_other_backbones_reads_none_of_this_one(path) -> None:
    store = Store(path)
    for backbone, count in (("a", 2), ("b", 500), ("c", 3)):
        store.add_samples("cat", np.zeros((count, 8), np.int8), backbone, "r")
    assert [store.count_elsewhere(backbone) for backbone in "abcd"] == [503, 5, 502, 505]
    assert steps_of(store, lambda: store.count_elsewhere("b")) < 100


def test_forgetting_leaves_no_trace_in_the_files(path) -> None:
    secret = np.frombuffer(b"a-secret-embedding-of-64-bytes--" * 2, np.int8)[None]
    store = Store(path)
    ids = store.add_samples("cat", secret, "backbone", "r")

    def traces() -> bool:
        return any(secret.tobytes() in file.read_bytes() for file in path.parent.iterdir())

    assert traces()
    store.remove_samples("backbone", ids)
    assert not traces()


def test_ids_are_never_used_again(path) -> None:
    store = Store(path)
    ids = store.add_samples("cat", RAW, "backbone", "r")
    store.remove_samples("backbone", ids)
    assert min(store.add_samples("cat", RAW, "backbone", "r")) > max(ids)


def test_a_file_that_is_no_store_is_refused_and_left_alone(path) -> None:
    path.write_bytes(b"these are my notes, not a database" * 100)
    with pytest.raises(HomeError, match="not a store"):
        Store(path)
    assert path.read_bytes().startswith(b"these are my notes")


def damage(path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:8192] = b"\xff" * 4096
    path.write_bytes(data)


def test_a_damaged_store_is_moved_aside_and_the_last_backup_takes_its_place(path, caplog) -> None:
    store = Store(path)
    store.add_samples("cat", RAW, "backbone", "r")
    store.backup_if_due()
    store.add_samples("dog", RAW, "backbone", "r")
    store.close()
    damage(path)
    damaged = path.read_bytes()
    assert [row.label for row in Store(path).samples("backbone")] == ["cat"] * 3
    (aside,) = path.parent.glob("*.damaged-*")
    assert aside.read_bytes() == damaged and "was damaged" in caplog.text


def test_a_damaged_store_without_a_backup_is_a_clear_error_and_left_alone(path) -> None:
    store = Store(path)
    store.add_samples("cat", RAW, "backbone", "r")
    store.close()
    damage(path)
    damaged = path.read_bytes()
    with pytest.raises(HomeError, match="restore FILE"):
        Store(path)
    assert path.read_bytes() == damaged


def test_a_backup_is_one_sound_file_with_everything_acknowledged(path, tmp_path) -> None:
    store = Store(path)
    store.add_samples("cat", RAW, "backbone", "r")
    store.backup(tmp_path / "copy.sqlite")
    assert what_is_wrong(tmp_path / "copy.sqlite") is None
    assert len(Store(tmp_path / "copy.sqlite").samples("backbone")) == 3
    assert not list(tmp_path.glob(".copy*"))


def test_the_automatic_backup_is_renewed_once_a_day(path) -> None:
    import os

    store = Store(path)
    store.backup_if_due()
    first = store.backup_path.stat().st_mtime_ns
    store.backup_if_due()
    assert store.backup_path.stat().st_mtime_ns == first
    os.utime(store.backup_path, (0, 0))
    store.backup_if_due()
    assert store.backup_path.stat().st_mtime_ns >= first


def test_a_damaged_backup_restores_nothing(path, tmp_path) -> None:
    store = Store(path)
    store.add_samples("cat", RAW, "backbone", "r")
    (tmp_path / "bad.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(HomeError, match="cannot be restored"):
        restore_database(tmp_path / "bad.sqlite", path)
    assert len(Store(path).samples("backbone")) == 3


def test_a_full_budget_refuses_with_the_remedy_and_stores_nothing(path) -> None:
    store = Store(path, max_samples=4)
    store.add_samples("cat", RAW, "backbone", "r")
    with pytest.raises(StorageError, match=r"full \(3 samples.*make room with `edgetl-device forget"):
        store.add_samples("cat", RAW, "backbone", "r")
    assert len(store.samples("backbone")) == 3
    small = Store(path, max_bytes=1000)
    with pytest.raises(StorageError, match="full"):
        small.add_samples("cat", RAW[:1], "backbone", "r")


def test_a_store_of_a_newer_edgetl_asks_for_an_update(path) -> None:
    Store(path).database._db.pragma("user_version", len(MIGRATIONS) + 1)
    with pytest.raises(HomeError, match="newer edgetl"):
        Store(path)


def test_a_busy_store_says_so(path, monkeypatch) -> None:
    monkeypatch.setattr("edgetl_device.store.connection.BUSY_TIMEOUT_MS", 50)
    one, other = Store(path), Store(path)
    with one.database.transaction(), pytest.raises(StorageError, match="in use by another process"):
        other.add_samples("cat", RAW, "backbone", "r")
    assert other.add_samples("cat", RAW, "backbone", "r") == [1, 2, 3]


def test_a_full_database_is_a_clear_error_and_the_store_goes_on(path) -> None:
    store = Store(path)
    pages = store.database._db.pragma("page_count")
    store.database._db.pragma("max_page_count", pages + 2)
    with pytest.raises(StorageError, match="free some disk space"):
        store.add_samples("cat", np.zeros((50, 1000), np.int8), "backbone", "r")
    assert store.samples("backbone") == []
    store.database._db.pragma("max_page_count", 10**6)
    assert len(store.add_samples("cat", RAW, "backbone", "r")) == 3


def test_what_was_forgotten_is_not_in_the_automatic_backup_either(path) -> None:
    secret = np.frombuffer(b"a-secret-embedding-of-64-bytes--" * 2, np.int8)[None]
    store = Store(path)
    ids = store.add_samples("cat", secret, "backbone", "r")
    store.backup_if_due()
    assert secret.tobytes() in store.backup_path.read_bytes()
    store.remove_samples("backbone", ids)
    assert not any(secret.tobytes() in file.read_bytes() for file in path.parent.iterdir())


def test_a_full_disk_is_not_mistaken_for_damage(path, monkeypatch) -> None:
    store = Store(path)
    store.add_samples("cat", RAW, "backbone", "r")
    store.backup_if_due()
    store.close()
    before = path.read_bytes()

    def full(*arguments: object, **options: object) -> None:
        raise apsw.FullError("database or disk is full")

    monkeypatch.setattr(apsw, "Connection", full)
    with pytest.raises(StorageError, match="free some disk space"):
        Store(path)
    assert path.read_bytes() == before and not list(path.parent.glob("*.damaged-*"))


def test_a_store_that_vanished_is_restored_from_its_backup(path) -> None:
    store = Store(path)
    store.add_samples("cat", RAW, "backbone", "r")
    store.backup_if_due()
    store.close()
    path.unlink()
    assert len(Store(path).samples("backbone")) == 3


def test_room_is_there_again_after_forgetting(path) -> None:
    empty = Store(path)
    store = Store(path, max_bytes=empty.database.size_bytes() + 48_000)
    empty.close()
    raw = np.zeros((40, 1000), np.int8)
    ids = store.add_samples("cat", raw, "backbone", "r")
    with pytest.raises(StorageError, match="full"):
        store.add_samples("cat", raw, "backbone", "r")
    store.remove_samples("backbone", ids)
    assert len(store.add_samples("cat", raw, "backbone", "r")) == 40


def test_only_a_store_of_ours_can_be_restored(path, tmp_path) -> None:
    Store(path).backup(tmp_path / "good.sqlite")
    check_backup(tmp_path / "good.sqlite")
    (tmp_path / "empty.sqlite").touch()
    foreign = apsw.Connection(str(tmp_path / "foreign.sqlite"))
    foreign.execute("CREATE TABLE notes (text); PRAGMA user_version = 1")
    foreign.close()
    for name in ("empty", "foreign", "missing"):
        with pytest.raises(HomeError, match="cannot be restored"):
            check_backup(tmp_path / f"{name}.sqlite")


PICTURE = b"\xff\xd8 a picture that no other file holds \xff\xd9"


def everything(path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_thumbnails_are_kept_with_their_samples_and_forgotten_with_them_without_a_trace(path) -> None:
    store = Store(path)
    ids = store.add_samples("cat", RAW, "backbone", "r", [PICTURE, None, PICTURE])
    assert [store.thumbnail(i) for i in ids] == [PICTURE, None, PICTURE]
    assert store.thumbnail(99) is None and PICTURE in everything(path)
    store.remove_samples("backbone", ids)
    assert store.thumbnail(ids[0]) is None and PICTURE not in everything(path)


def test_backups_hold_no_thumbnails_but_all_samples(path, tmp_path) -> None:
    store = Store(path)
    store.add_samples("cat", RAW, "backbone", "r", [PICTURE] * 3)
    store.backup(tmp_path / "copy" / "b.sqlite")
    assert PICTURE not in (tmp_path / "copy" / "b.sqlite").read_bytes()
    assert len(Store(tmp_path / "copy" / "b.sqlite").samples("backbone")) == 3
    assert store.thumbnail(1) == PICTURE


def test_where_the_budget_is_hit_the_oldest_thumbnails_go_first_and_no_sample(path) -> None:
    store = Store(path, max_bytes=1_200_000)
    raw, large = np.zeros((10, 1000), np.int8), PICTURE * 200
    ids = [i for _ in range(8) for i in store.add_samples("cat", raw, "backbone", "r", [large] * 10)]
    for _ in range(50):
        ids += store.add_samples("cat", raw, "backbone", "r")
    assert store.samples("backbone")[-1].id == 580 and store.database.size_bytes() <= store.budget.max_bytes
    kept = [store.thumbnail(i) is not None for i in ids[:80]]
    assert not kept[0] and not any(kept[:64])
    logged = [kind for (kind,) in store.database.rows("SELECT kind FROM events ORDER BY id")]
    assert logged[-1] == "learn" and "thumbnails dropped" in logged


def test_where_there_is_no_room_for_thumbnails_samples_are_stored_without(path) -> None:
    empty = Store(path)
    store = Store(path, max_bytes=empty.database.size_bytes() + 18_000)
    empty.close()
    (identity,) = store.add_samples("cat", RAW[:1], "backbone", "r", [bytes(200_000)])
    assert store.thumbnail(identity) is None


def test_a_store_of_the_first_release_is_brought_up_to_date(path) -> None:
    old = apsw.Connection(str(path))
    for migration in MIGRATIONS[:2]:
        migration(old)
    old.pragma("user_version", 2)
    old.execute("INSERT INTO samples (backbone, runtime, label, raw, time) VALUES ('b', 'r', 'cat', x'00010203', 't')")
    old.close()
    store = Store(path)
    assert [row.label for row in store.samples("b")] == ["cat"] and store.thumbnail(1) is None
    store.add_samples("dog", RAW, "b", "r", [PICTURE] * 3)
    assert store.counts("b") == {"cat": 1, "dog": 3}


def test_samples_are_read_in_blocks_in_order(path, monkeypatch) -> None:
    monkeypatch.setattr("edgetl_device.store.learned_samples.BLOCK_SAMPLES", 4)
    store = Store(path)
    for number in range(11):
        store.add_samples(f"c{number % 2}", np.full((1, 4), number, np.int8), "backbone", "r")
    blocks = list(store.embeddings("backbone", 4, after=1, up_to=10))
    assert [block[0] for block in blocks] == [[2, 3, 4, 5], [6, 7, 8, 9], [10]]
    assert [int(row[0]) for block in blocks for row in block[3]] == list(range(1, 10))
    assert blocks[0][1] == ["c1", "c0", "c1", "c0"]


def test_a_commit_that_fails_leaves_the_store_usable(path) -> None:
    class Failing:
        """Passes everything on, but the first COMMIT meets a full disk."""

        def __init__(self, db) -> None:
            self.db, self.failed = db, False

        def __getattr__(self, name):
            return getattr(self.db, name)

        def execute(self, query, *values):
            if query == "COMMIT" and not self.failed:
                self.failed = True
                raise apsw.FullError("database or disk is full")
            return self.db.execute(query, *values)

    store = Store(path)
    store.database._db = Failing(store.database._db)
    with pytest.raises(StorageError, match="free some disk space"):
        store.add_samples("cat", RAW, "backbone", "r")
    assert store.samples("backbone") == [] and len(store.add_samples("cat", RAW, "backbone", "r")) == 3
