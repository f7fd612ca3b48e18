"""What a learner keeps of its samples must be what reading all of them gives, whatever happened to them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import apsw
import numpy as np
import pytest
from conftest import embeddings

from edgetl_device.errors import EdgetlError
from edgetl_device.home import Home
from edgetl_device.learning import solver
from edgetl_device.learning.groups import Groups
from edgetl_device.learning.learner import Learner
from edgetl_device.store import database
from edgetl_device.store.backup import restore_database, what_is_wrong
from edgetl_device.store.inspected import InspectedPhoto
from edgetl_device.store.kept_files import summary_path
from edgetl_device.store.learned_samples import LearnedSamples


@pytest.fixture(autouse=True)
def few_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver, "WORTH_KEEPING", 4)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The ids of all samples that are read in order, as at a start without a summary."""
    ids: list[int] = []
    blocks = LearnedSamples.embeddings

    def noted(*arguments, **keywords):
        for block in blocks(*arguments, **keywords):
            ids.extend(block[0])
            yield block

    monkeypatch.setattr(LearnedSamples, "embeddings", noted)
    yield ids


def taught(home: Home, kites: int = 12, balls: int = 5) -> Learner:
    learner = home.learner()
    learner.add("kite", embeddings("kite", kites))
    learner.add("ball", embeddings("ball", balls))
    learner.retrain(accept_scene_change=True)
    return learner


def kept_at(learner: Learner) -> Path:
    return summary_path(learner.store.path)


def assert_as_if_read(learner: Learner, home: Home) -> None:
    """The learner knows what one knows that reads all samples."""
    kept, found = kept_at(learner), learner.evidence()
    aside = kept.rename(kept.with_suffix(".aside")) if kept.exists() else None
    expected = home.learner().evidence()
    if aside is not None:
        aside.rename(kept)
    assert found.device.to_bytes() == expected.device.to_bytes()
    assert found.recent_labels == expected.recent_labels and found.hidden == expected.hidden
    np.testing.assert_array_equal(found.recent, expected.recent)


def test_a_start_reads_only_what_came_since(home: Home, read: list[int]) -> None:
    learner = taught(home)
    assert kept_at(learner).stat().st_mode & 0o077 == 0 or kept_at(learner).parent.stat().st_mode & 0o077 == 0
    (new,) = learner.add("kite", embeddings("kite", 1, start=700))
    read.clear()
    again = home.learner()
    again.active_head()
    again.evidence()
    assert read == [new]
    assert_as_if_read(again, home)


def test_few_samples_are_not_worth_a_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver, "WORTH_KEEPING", 1024)
    assert not kept_at(taught(home)).exists()


@pytest.mark.parametrize("running", [True, False], ids=["in the running learner", "in a new one"])
def test_what_is_changed_is_all_that_is_read(home: Home, read: list[int], running: bool) -> None:
    learner = taught(home)
    ids = [row.id for row in learner.samples()]
    for change in (
        lambda learner: learner.forget(ids[2:4] + ids[-1:]),
        lambda learner: learner.relabel("box", ids[5:7]),
        lambda learner: learner.hide("box"),
        lambda learner: learner.add("box", embeddings("box", 1)),
        lambda learner: learner.forget_label("ball"),
    ):
        learner = learner if running else home.learner()
        read.clear()
        change(learner)
        learner.evidence()
        assert len(read) <= 1
        assert_as_if_read(learner, home)
        learner.retrain(accept_scene_change=True)


def inspected(learner: Learner) -> list[int]:
    photo = InspectedPhoto(np.zeros((1, 8), np.int8), np.zeros((1, 12), np.int8), 4, 4, "good", None)
    return learner.store.inspected.add([photo, photo], "b", learner.runtime, "")


@pytest.mark.parametrize("running", [True, False], ids=["in the running learner", "in a new one"])
def test_what_takes_nothing_from_samples_has_none_of_them_read(home: Home, read: list[int], running: bool) -> None:
    learner = taught(home)
    ids, photos = [row.id for row in learner.samples()], inspected(learner)
    wind = Groups(learner).known_or_new("wind")
    wind.add("calm", embeddings("kite", 4))
    alone = wind.add("storm", embeddings("box", 3, start=70))[:1]
    (aside,) = learner.store.set_aside([(learner.add("kite", embeddings("box", 2)), None, "it is none")])
    learner.retrain()
    written = kept_at(learner).stat().st_ino
    changes = (
        lambda: wind.relabel("storm", ids[:1]),
        lambda: wind.forget(ids[1:2]),
        lambda: learner.forget(alone),
        lambda: wind.forget_label("storm"),
        lambda: learner.forget_label("box"),
        lambda: learner.store.inspected.judge("b", photos[:1], "bad"),
        lambda: learner.store.inspected.remove("b", photos[1:]),
        lambda: learner.forget_pending(aside),
        wind.store.remove_everything,
    )
    for change in changes:
        before, version = learner.store.revision(), (learner if running else home.learner())
        read.clear()
        change()
        assert learner.store.revision() != before and kept_at(learner).stat().st_ino == written
        version.active_head()
        version.evidence()
        assert read == []
        assert_as_if_read(version, home)


def test_a_kept_summary_that_stays_is_of_no_other_state(home: Home) -> None:
    """Whatever is forgotten between two changes of a group, and by whom, it is not in what stays."""
    learner = taught(home)
    wind = Groups(learner).known_or_new("wind")
    numbers = wind.add("calm", embeddings("kite", 6))
    stale = kept_at(learner).read_bytes()
    home.learner().forget([learner.samples()[3].id])
    kept_at(learner).write_bytes(stale)  # as a process leaves it that is killed before it is removed
    wind.forget(numbers[:1])
    assert not kept_at(learner).exists()
    learner.retrain(accept_scene_change=True)
    cut_off = kept_at(learner).with_name(f".{kept_at(learner).name}.cut")
    cut_off.write_bytes(stale)
    wind.forget(numbers[1:2])
    assert kept_at(learner).exists() and not cut_off.exists()
    assert_as_if_read(learner, home)


def test_a_backup_that_is_restored_twice_has_no_summary_of_the_first_time(home: Home, tmp_path: Path) -> None:
    """Its counts come to the same where what was acknowledged is removed too, as by somebody who starts over."""
    learner = taught(home)
    learner.forget([learner.samples()[0].id])
    learner.store.backup(tmp_path / "backup.sqlite")
    learner.store.close()
    for _ in range(2):
        for path in [*home.folder.glob("device.sqlite*"), home.folder / "device.acknowledged"]:
            path.unlink()
        restore_database(tmp_path / "backup.sqlite", home.store_path)
        learner = home.learner()
        learner.retrain(accept_scene_change=True)
        assert_as_if_read(learner, home)
        assert learner.evidence().device.samples == 16
        learner.add("ring", embeddings("ring", 6))
        learner.retrain(accept_scene_change=True)
        learner.store.close()


def test_an_earlier_version_is_what_it_was(home: Home, read: list[int]) -> None:
    learner = taught(home, kites=20)
    before = learner.active_head()
    learner.add("kite", embeddings("kite", 3, start=300))
    learner.retrain(accept_scene_change=True)
    assert learner.rollback() == 2
    read.clear()
    codes = learner.transform(embeddings("kite", 5, start=900))
    np.testing.assert_allclose(learner.active_head().scorer.scores(codes), before.scorer.scores(codes), rtol=1e-4)
    assert len(read) == 3  # what came after it
    assert_as_if_read(learner, home)


def test_another_process_that_forgets_is_noticed(home: Home) -> None:
    learner, other = taught(home), home.learner()
    other.forget([row.id for row in other.samples()][:3])
    assert_as_if_read(learner, home)


def test_what_the_gate_sets_aside_is_not_in_it(home: Home) -> None:
    learner = taught(home, kites=40)
    learner.add("ball", embeddings("box", 30))
    outcome = learner.retrain()
    assert outcome.set_aside
    assert_as_if_read(learner, home)
    assert_as_if_read(home.learner(), home)
    learner.use_pending(outcome.set_aside[0].id)
    assert_as_if_read(learner, home)


def test_nothing_of_it_stays_when_something_is_forgotten(home: Home) -> None:
    learner = taught(home)
    kept, handle = kept_at(learner), kept_at(learner).open("rb")
    cut_off = kept.with_name(f".{kept.name}.cut")
    cut_off.write_bytes(kept.read_bytes())
    learner.forget([learner.samples()[0].id])
    assert not kept.exists() and not cut_off.exists()
    assert not handle.read().strip(b"\0")  # who had it open finds zeros
    handle.close()
    learner.retrain(accept_scene_change=True)
    assert kept.exists()


def test_what_killed_programs_left_of_store_and_backup_goes_with_what_is_forgotten(home: Home) -> None:
    learner = taught(home)
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    left = [home.folder / f".{path.name}.{ended.pid}" for path in (home.store_path, learner.store.backup_path)]
    for path in left:
        path.write_bytes(home.store_path.read_bytes())
    learner.forget([learner.samples()[0].id])
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:99] + b"?" + data[100:], lambda _: b""])
def test_a_damaged_file_is_as_good_as_none(home: Home, damage) -> None:
    learner = taught(home)
    kept = kept_at(learner)
    kept.write_bytes(damage(kept.read_bytes()))
    assert_as_if_read(home.learner(), home)


def test_a_sound_file_of_something_else_is_not_used(home: Home) -> None:
    learner = taught(home)
    learner.store.keep_summary(learner.bundle.backbone_digest, b"not arrays")
    assert_as_if_read(home.learner(), home)


def test_a_disk_that_takes_no_file_costs_only_time(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise EdgetlError("no space left")

    monkeypatch.setattr("edgetl_device.store.kept_files.write_atomically", full)
    learner = taught(home)
    assert not kept_at(learner).exists()
    assert_as_if_read(learner, home)


def test_samples_of_two_runtimes_are_read_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = taught(home)
    learner.runtime = "another"
    ids = learner.add("kite", embeddings("kite", 2, start=800))
    learner.retrain(accept_scene_change=True)
    learner.forget(ids)
    assert_as_if_read(learner, home)
    assert learner.evidence().device.bit_exact


def test_any_sequence_of_changes_gives_what_reading_gives(home: Home) -> None:
    generator = np.random.default_rng(5)
    learner = taught(home, kites=8, balls=8)
    for step in range(30):
        ids = [row.id for row in learner.samples()]
        some = [int(identity) for identity in generator.choice(ids, min(len(ids), 3), replace=False)]
        match int(generator.integers(6)):
            case 0:
                learner.forget(some)
            case 1:
                learner.relabel(("kite", "ball", "box")[step % 3], some)
            case 2:
                learner.retrain(accept_scene_change=True)
            case 3:
                learner = home.learner()
            case _:
                kind = ("kite", "ball")[step % 2]
                learner.add(kind, embeddings(kind, 3, start=1000 + 10 * step))
        assert_as_if_read(learner, home)


@pytest.mark.parametrize("one_label", [False, True])
def test_a_large_backup_loses_what_is_forgotten_in_place(home: Home, monkeypatch, one_label: bool) -> None:
    monkeypatch.setattr(database, "CHECKED_AT_START_BYTES", 0)
    learner = taught(home)
    backup = learner.store.backup_path
    file, rows = backup.stat().st_ino, embeddings("kite", 12)
    learner.add("kite", embeddings("kite", 1, start=555), groups={"wind": "calm"})  # after the backup
    if one_label:
        learner.forget_label("ball")
        gone = embeddings("ball", 5)
    else:
        learner.forget([learner.samples()[2].id])
        gone = rows[2:3]
    assert backup.stat().st_ino == file and what_is_wrong(backup) is None
    kept = backup.read_bytes()
    assert not any(row.tobytes() in kept for row in gone) and rows[0].tobytes() in kept
    ((held,),) = apsw.Connection(str(backup)).execute("SELECT count(*) FROM samples")
    assert held == 17 - len(gone)


@pytest.mark.parametrize("labelled_elsewhere", [False, True])
def test_what_only_a_group_knew_is_taken_out_of_a_large_backup_in_place(
    home: Home, monkeypatch: pytest.MonkeyPatch, labelled_elsewhere: bool
) -> None:
    monkeypatch.setattr(database, "CHECKED_AT_START_BYTES", 0)
    learner, raw = taught(home), embeddings("kite", 2, start=555)
    wind = Groups(learner).known_or_new("wind")
    wind.add("calm", raw[:1])
    (number,) = learner.add("kite", raw[1:], groups={"wind": "calm"})
    backup = learner.store.backup_path
    learner.store.backup(backup)
    file = backup.stat().st_ino
    wind.forget([number] if labelled_elsewhere else [number - 1])
    connection = apsw.Connection(str(backup))
    assert (backup.stat().st_ino != file) == labelled_elsewhere and what_is_wrong(backup) is None
    assert list(connection.execute("SELECT count(*) FROM grouped")) == [(1,)]
    assert (raw[0].tobytes() in backup.read_bytes()) == labelled_elsewhere and raw[1].tobytes() in backup.read_bytes()


def test_a_large_backup_of_another_version_is_made_anew(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CHECKED_AT_START_BYTES", 0)
    learner = taught(home)
    backup = learner.store.backup_path
    file = backup.stat().st_ino
    connection = apsw.Connection(str(backup))
    connection.pragma("user_version", 3)
    connection.close()
    learner.forget([learner.samples()[2].id])
    assert backup.stat().st_ino != file and what_is_wrong(backup) is None


def test_a_link_in_its_place_is_removed_and_what_it_leads_to_stays(home: Home, tmp_path: Path) -> None:
    learner = taught(home)
    other = tmp_path / "other"
    other.write_bytes(b"somebody's")
    kept_at(learner).unlink()
    kept_at(learner).symlink_to(other)
    learner.forget([learner.samples()[0].id])
    assert other.read_bytes() == b"somebody's" and not kept_at(learner).is_symlink()
