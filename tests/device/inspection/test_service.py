"""Inspection of a home: taught, corrected and forgotten exactly."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import build_bundle
from disc_parts import part

from edgetl_device.arrays import pack, text_array, unpack
from edgetl_device.errors import InputError, MismatchError, PhotoError, StorageError
from edgetl_device.home import Home
from edgetl_device.inspection.export import InspectionExport, read_export
from edgetl_device.inspection.service import Inspection
from edgetl_device.open_home import OpenHome
from edgetl_device.store.backup import restore_database
from edgetl_device.store.soundness import what_is_wrong
from edgetl_device.store.store import Store
from edgetl_device.view import View


@pytest.fixture
def opened(home: Home):
    with OpenHome(home) as opened:
        yield opened


@pytest.fixture
def inspection(opened) -> Inspection:
    return opened.inspection


GOOD = [part(seed) for seed in range(24)]


def test_twenty_good_parts_are_enough_to_flag_a_chipped_one_and_say_where(inspection: Inspection) -> None:
    taught = inspection.learn(GOOD)
    assert len(taught.ids) == taught.good == 24 and taught.skipped == () and inspection.ready
    chipped, whole = (
        inspection.check(part(100, chipped=True)),
        [inspection.check(part(seed)) for seed in range(200, 220)],
    )
    assert not chipped.good and chipped.score > chipped.threshold
    x, y, width, height = chipped.where
    assert x < 0.7 < x + width and y < 0.3 < y + height  # the corner that is missing
    assert chipped.score > 2 * max(finding.score for finding in whole)
    assert all(finding.where is None for finding in whole if finding.good)
    assert chipped.heat.max() >= 1 and chipped.heat.dtype == np.float32
    for first in (24, 300):  # one lot of twenty-four may be unlucky
        inspection.forget()
        inspection.learn([part(seed) for seed in range(first, first + 24)])
        whole += [inspection.check(part(seed)) for seed in range(200, 220)]
    assert sum(finding.good for finding in whole) >= 50  # of 60: of 24 good parts, up to 17 in 100 may be flagged


def test_what_was_forgotten_leaves_no_trace(home: Home, opened, tmp_path: Path) -> None:
    inspection = opened.inspection
    kept = inspection.learn(GOOD[:12]).ids
    before = [inspection.check(frame) for frame in GOOD[12:]]
    gone = inspection.learn(GOOD[12:]).ids
    marks = [
        bytes(blob)[200:600]
        for (blob,) in sqlite3.connect(home.store_path).execute("SELECT maps FROM inspected WHERE id > 12")
    ]
    assert len(marks) == 12 and any(marks[0] in file.read_bytes() for file in home.folder.iterdir() if file.is_file())
    assert inspection.forget(gone) == 12
    after = [inspection.check(frame) for frame in GOOD[12:]]
    assert [finding.score for finding in after] == [finding.score for finding in before]
    for file in (each for each in home.folder.iterdir() if each.is_file()):
        assert not any(mark in file.read_bytes() for mark in marks), file
    assert [row.id for row in inspection.samples()] == list(kept)
    assert inspection.forget() == 12 and inspection.view is None and not inspection.ready
    assert what_is_wrong(home.store_path) is None


def test_the_same_photos_in_any_order_and_company_give_the_same_inspector(
    home: Home, tmp_path: Path, bundle_path
) -> None:
    other = Home(tmp_path / "other")
    other.install(bundle_path)
    with OpenHome(home) as one, OpenHome(other) as two:
        one.inspection.learn(GOOD[:10])
        for frame in reversed(GOOD[:10]):
            two.inspection.learn([frame])
        scores = [[each.inspection.check(frame).score for frame in GOOD[10:]] for each in (one, two)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-4)


def test_a_correction_counts_at_once_and_a_verdict_can_be_changed(inspection: Inspection) -> None:
    inspection.learn(GOOD[:12])
    odd = part(100, chipped=True)
    before, revision = inspection.check(odd), inspection.revision
    fine = inspection.fine([odd])
    assert fine.good == 13 and inspection.revision != revision and inspection.check(odd).score < before.score
    assert inspection.judge(fine.ids, "bad") == 1 and inspection.judge(fine.ids, "bad") == 0
    status = inspection.status()
    assert (status.good, status.fine, status.bad) == (12, 0, 1) and status.threshold == inspection.check(odd).threshold
    with pytest.raises(InputError, match="no photo 999 was taught"):
        inspection.judge([999], "good")
    with pytest.raises(InputError, match="no photo 999 was taught"):
        inspection.forget([999])


def test_what_would_have_been_flagged_is_asked_about_when_it_is_taught_as_good(inspection: Inspection) -> None:
    assert not any("would have been flagged" in warning for warning in inspection.learn(GOOD[:20]).warnings)
    taught = inspection.learn([GOOD[21], part(100, chipped=True), part(101, chipped=True)])
    assert "2 of these 3 would have been flagged" in taught.warnings[0] and "inspect bad 22-23" in taught.warnings[0]
    assert taught.odd == (22, 23)
    assert not any("would have" in w for w in inspection.fine([part(102, chipped=True)]).warnings)


def test_frames_of_one_part_are_one_burst_and_photos_are_each_their_own(inspection: Inspection) -> None:
    inspection.learn(GOOD[:2])
    inspection.learn(GOOD[2:5], together=True)
    inspection.fine(GOOD[5:7], together=True)
    assert [row.burst for row in inspection.samples()] == [1, 2, 3, 3, 3, 6, 6]


def test_every_turn_is_taught_and_one_view_is_kept(inspection: Inspection) -> None:
    view = View((1250, 0, 7500, 10_000), turned=True)
    inspection.learn(GOOD[:5], view)
    assert inspection.view == view and inspection.check(GOOD[6]).heat.shape == (16, 16)
    assert inspection.learn(GOOD[6:7]).good == 6  # as before
    with pytest.raises(
        InputError, match=r"photos were taught with the region 0.125,0,0.75,1 of the frame.*forget --all"
    ):
        inspection.learn(GOOD[7:8], View())
    assert len(inspection.samples()) == 6
    inspection.forget()
    inspection.learn(GOOD[:2], View())
    assert inspection.view == View()


def test_another_process_sees_what_was_taught(home: Home, opened) -> None:
    opened.inspection.learn(GOOD[:4])
    with OpenHome(home) as other:
        assert other.inspection.status().good == 4
        other.inspection.learn(GOOD[4:8])
    assert opened.inspection.status().good == 8


def test_what_cannot_be_used_is_said_in_one_line_and_nothing_is_stored(inspection: Inspection, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no photo")
    for call, message in [
        (lambda: inspection.check(GOOD[0]), "teach at least 5 good photos"),
        (lambda: inspection.bad(GOOD[:1]), "teach good photos first"),
        (lambda: inspection.learn([]), "none of 0 photos"),
        (lambda: inspection.learn([broken]), "none of 1 photos can be used"),
        (lambda: inspection.learn([np.full((64, 64, 3), 9, np.uint8)], View(find_part=True)), "no part stands out"),
    ]:
        with pytest.raises(InputError, match=message) as refusal:
            call()
        assert "\n" not in str(refusal.value) and not inspection.samples() and inspection.view is None
    taught = inspection.learn([broken, *GOOD[:5]])
    assert taught.good == 5 and taught.skipped[0][0] == broken
    with pytest.raises(PhotoError, match="another shape than those taught"):
        inspection.check(np.zeros((80, 64, 3), np.uint8))
    with pytest.raises(InputError, match="another shape"):
        inspection.learn([np.zeros((80, 64, 3), np.uint8)])
    inspection.sensitivity = 0.2
    assert inspection.status().target == 0.2 and [row.target for row in inspection.curve()]
    with pytest.raises(InputError, match=r"0\.0001 to 0\.9999"):
        inspection.sensitivity = 1.5


def test_a_full_store_refuses_and_keeps_what_it_has(home: Home, opened) -> None:
    inspection = opened.inspection
    inspection.learn(GOOD[:2])
    opened.learner.store.budget.max_samples = 3
    with pytest.raises(StorageError, match="the store is full"):
        inspection.learn(GOOD[2:6])
    assert len(inspection.samples()) == 2 and inspection.learn(GOOD[2:3]).good == 3
    inspection.forget()
    opened.learner.store.budget.max_samples = 1
    with pytest.raises(StorageError, match="the store is full"):
        inspection.learn(GOOD[:2], View(turned=True))
    assert inspection.view is None  # nothing was stored, so nothing was chosen


def test_a_bundle_without_maps_cannot_inspect_and_says_how_to_get_one(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.install(build_bundle(tmp_path / "plain.edgetl", maps=False))
    with OpenHome(home) as opened:
        assert not opened.inspection.available and not opened.inspection.ready
        for call in (lambda: opened.inspection.learn(GOOD[:2]), lambda: opened.inspection.check(GOOD[0])):
            with pytest.raises(MismatchError, match="convert --inspectable"):
                call()
        assert opened.inspection.status().good == 0


def test_what_two_devices_were_taught_is_merged_as_if_it_had_been_taught_here(
    home: Home, opened, tmp_path: Path, bundle_path: Path
) -> None:
    exports = []
    for number, frames in enumerate((GOOD[:6], GOOD[4:10])):
        other = Home(tmp_path / f"other-{number}")
        other.install(bundle_path)
        with OpenHome(other) as device:
            device.inspection.learn(frames[:4], View(turned=True))
            device.inspection.learn(frames[4:], together=True)
            exports.append(InspectionExport.from_bytes(device.inspection.export().to_bytes()))
    room, opened.learner.store.budget.max_samples = opened.learner.store.budget.max_samples, 1
    with pytest.raises(StorageError, match="the store is full"):
        opened.inspection.merge(exports)
    assert opened.inspection.view is None  # nothing was stored, so nothing was chosen
    opened.learner.store.budget.max_samples = room
    assert opened.inspection.merge(exports) == 10 and opened.inspection.merge(exports[::-1]) == 0
    assert [row.burst for row in opened.inspection.samples()] == [1, 2, 3, 4, 5, 5, 7, 8, 9, 9]
    merged = opened.inspection.export().photos
    opened.inspection.forget()
    opened.inspection.learn(GOOD[:10], View(turned=True))
    taught = opened.inspection.export().photos
    assert {photo.digest for photo in merged} == {photo.digest for photo in taught} and len(merged) == 10


def test_an_export_that_does_not_fit_or_that_nobody_wrote_is_refused(inspection: Inspection, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to export"):
        inspection.export()
    inspection.learn(GOOD[:3])
    good = inspection.export()
    with pytest.raises(MismatchError, match="one bundle on all devices"):
        inspection.merge([replace(good, backbone="0" * 64)])
    with pytest.raises(MismatchError, match="do not hold what the backbone gives"):
        inspection.merge([replace(good, view=View(turned=True))])
    with pytest.raises(InputError, match="different views"):
        inspection.merge([replace(good, view=View((0, 0, 1, 1)))])
    arrays = dict(unpack(good.to_bytes()))
    for name, value in [
        ("format", np.array(2)), ("photos", arrays["photos"] + 5), ("photos", arrays["photos"][:2]),
        ("photos", arrays["photos"][:, :3]), ("raw", arrays["raw"].astype(np.int16)), ("maps", arrays["maps"][:, :0]),
        ("view", text_array(("{",))), ("view", text_array(('{"version": 9}',))), ("device", text_array(("\x1b[2J",))),
        ("device", text_array(("a", "b"))),
    ]:  # fmt: skip
        with pytest.raises(InputError):
            InspectionExport.from_bytes(pack(arrays | {name: value}))
    for content in (b"", b"no export", good.to_bytes()[:-1]):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(InputError, match="bad: "):
            read_export(tmp_path / "bad")
    assert len(inspection.samples()) == 3


def test_a_backup_brings_back_what_was_taught(home: Home, opened, tmp_path: Path) -> None:
    opened.inspection.learn(GOOD[:6], View(turned=True))
    scores = [opened.inspection.check(frame).score for frame in GOOD[6:9]]
    opened.learner.store.backup(tmp_path / "backup.sqlite")
    opened.inspection.forget()
    opened.close()
    restore_database(tmp_path / "backup.sqlite", home.store_path)
    with OpenHome(home) as again:
        assert [again.inspection.check(frame).score for frame in GOOD[6:9]] == scores
        assert again.inspection.view == View(turned=True)


def test_damage_costs_the_photo_that_it_hit_and_is_told(home: Home) -> None:
    with OpenHome(home) as opened:
        opened.inspection.learn(GOOD[:6])
    database = sqlite3.connect(home.store_path)
    database.execute("UPDATE inspected SET maps = zeroblob(length(maps)) WHERE id = 3")
    database.commit()
    database.close()
    store = Store(home.store_path)
    (repair,) = store.repairs()
    assert repair.samples == 5 and repair.missing == 1 and "inspected photo 3" in repair.problem
    store.close()
    with OpenHome(home) as opened:
        assert [row.id for row in opened.inspection.samples()] == [1, 2, 4, 5, 6] and opened.inspection.ready
