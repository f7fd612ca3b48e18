"""Lessons of inspection: each a version; those that do harm are set aside; one can go back, and forgetting is exact."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import numpy as np
import pytest
from disc_parts import part

from edgetl_device.errors import HomeError, InputError
from edgetl_device.home import Home
from edgetl_device.inspection.gate import objection
from edgetl_device.inspection.inspector import Inspector
from edgetl_device.inspection.place_codes import place_codes
from edgetl_device.inspection.place_statistics import place_statistics_of
from edgetl_device.inspection.service import Inspection
from edgetl_device.open_home import OpenHome
from edgetl_device.store import database
from edgetl_device.store.backup import check_backup, restore_database
from edgetl_device.store.inspected import InspectedPhoto
from edgetl_device.store.soundness import what_is_wrong
from edgetl_device.store.store import Store

GOOD = [part(seed) for seed in range(12)]
MORE = [part(seed) for seed in range(50, 56)]
CHIPPED = [part(seed, chipped=True) for seed in range(100, 112)]
ASKED = [part(200), part(201), part(300, chipped=True)]


@pytest.fixture
def opened(home: Home) -> Iterator[OpenHome]:
    with OpenHome(home) as opened:
        yield opened


@pytest.fixture
def inspection(opened: OpenHome) -> Inspection:
    return opened.inspection


def answers(inspection: Inspection) -> list[tuple[float, float, bytes]]:
    """Score, threshold and heat of photos, to the last bit."""
    found = [inspection.check(frame) for frame in ASKED]
    return [(each.score, each.threshold, each.heat.tobytes()) for each in found]


def sums(inspection: Inspection) -> bytes:
    """The exact statistics of the good photos in use."""
    good = [sample for sample in inspection._known.samples(None) if sample.kind != "bad"]
    codes = [place_codes(np.concatenate([sample.maps[level] for sample in good])) for level in range(len(good[0].maps))]
    return place_statistics_of(codes, "b", "v", [str(level) for level in range(len(codes))]).to_bytes()


def test_each_lesson_is_a_version_and_going_back_gives_the_same_answers_to_the_last_bit(inspection: Inspection) -> None:
    first = inspection.learn(GOOD)
    with pytest.raises(InputError, match="before the one in use: `edgetl-device inspect versions` lists those"):
        inspection.rollback()
    before = answers(inspection)
    second = inspection.learn(MORE)
    after = answers(inspection)
    assert first.version != second.version == inspection.status().version and before != after
    assert [row.reason for row in inspection.versions()] == ["taught 12 photos as good", "taught 6 photos as good"]
    assert inspection.rollback() == first.version and answers(inspection) == before
    status = inspection.status()
    assert (status.good, status.unused, status.version) == (12, 6, first.version) and inspection.unused() == second.ids
    assert inspection.rollback(second.version) == second.version and answers(inspection) == after
    inspection.rollback(first.version)
    third = inspection.fine([part(60)])  # the next lesson uses again what was gone back from
    assert third.good == 19 and inspection.status().unused == 0
    with pytest.raises(InputError, match="no version 99 of inspection that can be used"):
        inspection.rollback(99)


def test_forgetting_reaches_into_all_versions_byte_for_byte(home: Home, tmp_path: Path, bundle_path) -> None:
    never = Home(tmp_path / "never")
    never.install(bundle_path)
    with OpenHome(home) as one, OpenHome(never) as two:
        one.inspection.learn(GOOD[:8])
        gone = one.inspection.learn(MORE).ids
        one.inspection.learn(GOOD[8:])
        two.inspection.learn(GOOD[:8])
        two.inspection.learn(GOOD[8:])
        assert one.inspection.forget(gone) == 6
        assert sums(one.inspection) == sums(two.inspection) and answers(one.inspection) == answers(two.inspection)
        one.inspection.rollback()  # to what was in use when the photos were known
        two.inspection.rollback()
        assert answers(one.inspection) == answers(two.inspection)
    for file in (each for each in home.folder.iterdir() if each.is_file()):
        assert MORE[0].tobytes()[:200] not in file.read_bytes()
    assert what_is_wrong(home.store_path) is None


@pytest.mark.parametrize("unscrubbed", [False, True])
def test_a_large_backup_loses_a_forgotten_photo_in_place(
    home: Home, monkeypatch: pytest.MonkeyPatch, unscrubbed: bool
) -> None:
    monkeypatch.setattr(database, "CHECKED_AT_START_BYTES", 0)
    with OpenHome(home) as opened:
        taught, store = opened.inspection.learn(GOOD).ids, opened.learner.store
        rows = dict(store.database.rows("SELECT id, raw FROM inspected"))
        store.backup(store.backup_path)
        file = store.backup_path.stat().st_ino
        if unscrubbed:  # what else may be in it is not known
            with store.database.transaction():
                store.database.to_be_scrubbed()
        assert opened.inspection.forget(taught[2:3]) == 1
        kept = store.backup_path.read_bytes()
        assert (store.backup_path.stat().st_ino != file) == unscrubbed
        assert rows[taught[2]] not in kept and rows[taught[1]] in kept and what_is_wrong(store.backup_path) is None
        check_backup(store.backup_path)


def test_listing_photos_reads_none_of_them(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).integers(-128, 128, (10, 4, 50_000), np.int8)
    store = Store(tmp_path / "store.sqlite")
    store.inspected.add([InspectedPhoto(each[:, :64], each, 640, 480) for each in maps], "b", "r", "view")
    store.close()
    store = Store(tmp_path / "store.sqlite")
    connection = store.database._db
    before, _ = connection.status(apsw.SQLITE_DBSTATUS_CACHE_MISS)
    assert len(store.inspected.rows("b")) == 10 and store.inspected.revision("b")
    pages, _ = connection.status(apsw.SQLITE_DBSTATUS_CACHE_MISS)
    assert pages - before < 5
    assert [(row.id, bytes(values)) for row, values in store.inspected.read("b", 50_000)] == [
        (number, bytes(each)) for number, each in enumerate(maps, start=1)
    ]


def test_a_photo_of_a_large_store_that_is_damaged_is_not_used(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CHECKED_AT_START_BYTES", 0)
    with OpenHome(home) as opened:
        taught = opened.inspection.learn(GOOD)
        opened.learner.store.database.run("UPDATE inspected SET verdict = 'bad' WHERE id = ?", [(taught.ids[0],)])
    with OpenHome(home) as opened, pytest.raises(HomeError, match=r"photo 1 does not match its checksum.*start again"):
        opened.inspection.check(ASKED[0])


def test_a_lesson_that_would_hide_known_defects_is_set_aside_until_a_person_decides(inspection: Inspection) -> None:
    inspection.learn(GOOD)
    inspection.bad(CHIPPED[:4])
    before, version = answers(inspection), inspection.status().version
    taught = inspection.learn(CHIPPED[4:])
    assert taught.aside == taught.ids and taught.version == version and taught.good == 12 and taught.odd == ()
    assert "of 4 photos known as not good would be missed, 0 before" in taught.warnings[0]
    assert f"inspect fine {taught.ids[0]}-{taught.ids[-1]}" in taught.warnings[0]
    assert answers(inspection) == before and inspection.status().aside == 8
    (rejected,) = [row for row in inspection.versions() if row.state == "rejected"]
    assert rejected.reason.startswith("set aside: ")
    with pytest.raises(InputError, match="no version"):
        inspection.rollback(rejected.id)
    assert len(inspection.export().photos) == 16  # what nobody decided about stays here
    later = inspection.learn(MORE)  # another lesson does not bring them in
    assert later.aside == () and later.good == 18 and inspection.status().aside == 8
    between = answers(inspection)
    assert not set(inspection.decide(taught.ids[:3], "bad")) & set(taught.ids)
    assert inspection.judge(taught.ids[3:], "fine") == 5
    status = inspection.status()
    assert (status.good, status.fine, status.bad, status.aside) == (18, 5, 7, 0)
    assert inspection.rollback(later.version) == later.version and answers(inspection) == between  # they are not in it


def test_what_a_person_corrects_counts_at_once_and_is_warned_about(inspection: Inspection) -> None:
    inspection.learn(GOOD)
    inspection.bad(CHIPPED[:4])
    taught = inspection.fine(CHIPPED[4:])
    assert taught.aside == () and taught.good == 20
    assert "would be missed" in taught.warnings[0] and "inspect rollback` goes back" in taught.warnings[0]
    inspection.rollback()
    assert not inspection.check(ASKED[-1]).good


def test_without_known_defects_nothing_is_set_aside(inspection: Inspection) -> None:
    inspection.learn(GOOD)
    assert inspection.learn(CHIPPED[:6]).aside == ()


def test_photos_of_a_store_from_before_versions_are_all_used_and_can_be_gone_back_to(home: Home) -> None:
    with OpenHome(home) as opened:
        opened.inspection.learn(GOOD)
        before = answers(opened.inspection)
        database = opened.learner.store.database
        with database.transaction():  # as a release without versions left it
            database.delete("active", "bundle LIKE '%/inspection'")
            database.delete("versions", "bundle LIKE '%/inspection'")
    with OpenHome(home) as opened:
        inspection = opened.inspection
        assert inspection.status().version is None and answers(inspection) == before
        inspection.learn(MORE)
        assert inspection.versions()[0].reason == "taught before versions were kept"
        inspection.rollback()
        assert answers(inspection) == before


def test_versions_and_what_is_set_aside_are_in_a_backup(home: Home, opened, tmp_path: Path) -> None:
    inspection = opened.inspection
    inspection.learn(GOOD)
    inspection.bad(CHIPPED[:4])
    inspection.learn(CHIPPED[4:])
    before, known = answers(inspection), inspection.status()
    opened.learner.store.backup(tmp_path / "backup.sqlite")
    inspection.forget()
    restore_database(tmp_path / "backup.sqlite", home.store_path)
    with OpenHome(home) as again:
        assert again.inspection.status() == known and answers(again.inspection) == before


def made(good: list[float], bad: list[float]) -> Inspector:
    inspector = object.__new__(Inspector)
    for name, value in {"left_out": np.array(good), "bad": np.array(bad), "threshold": 2.0}.items():
        object.__setattr__(inspector, name, value)
    return inspector


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ([1.0] * 20, [3.0] * 10, None),
        ([1.0] * 20 + [9.0] * 9, [3.0] * 10 + [0.0] * 5, None),  # new photos say nothing of a lesson that brings them
        ([1.0] * 20, [3.0] * 9 + [1.0], None),  # one in ten
        ([1.0] * 20, [3.0] * 8 + [1.0] * 2, "2 of 10 photos known as not good would be missed, 0 before"),
        ([1.0] * 18 + [3.0] * 2, [3.0] * 10, None),
        ([1.0] * 17 + [3.0] * 3, [3.0] * 10, "3 of 20 photos known as good would be flagged, 0 before"),
    ],
)
def test_the_gate_counts_known_photos_that_fare_worse(good: list[float], bad: list[float], said: str | None) -> None:
    assert objection(made([1.0] * 20, [3.0] * 10), made(good, bad)) == said


def test_a_full_disk_or_a_cut_between_photos_and_version_leaves_what_was_in_use(inspection, monkeypatch) -> None:
    inspection.learn(GOOD)
    before = answers(inspection)

    def cut(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(inspection._known.versions, "add", cut)
        with pytest.raises(KeyboardInterrupt):
            inspection.learn(MORE)
    assert answers(inspection) == before and inspection.status().unused == 6
    assert isinstance(inspection._store, Store) and inspection.learn([part(70)]).good == 19
