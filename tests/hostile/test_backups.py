"""Backups that somebody made by hand: each is refused in one line, and the home stays as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import apsw
import numpy as np
import pytest
from hostile_backups import FILES, RAW, STATEMENTS, good_backup, sealed

from edgetl_device import console
from edgetl_device.cli import program
from edgetl_device.errors import HomeError
from edgetl_device.store.backup import restore_database
from edgetl_device.store.store import Store


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    return good_backup(tmp_path_factory.mktemp("good"))


@pytest.fixture
def target(tmp_path) -> Path:
    """A store that must stay as it is."""
    store = Store(tmp_path / "home" / "device.sqlite")
    store.add_samples("mine", RAW, "b", "r")
    store.close()
    return store.path


def refused(backup: Path, target: Path) -> str:
    before = {part.name: part.read_bytes() for part in target.parent.iterdir()}
    with pytest.raises(HomeError, match="cannot be restored") as refusal:
        restore_database(backup, target)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 600
    after = {part.name: part.read_bytes() for part in target.parent.iterdir()}
    assert after == before
    return str(refusal.value)


@pytest.mark.parametrize("what", list(STATEMENTS))
def test_a_backup_with_what_no_store_has_is_refused_although_its_checksums_are_right(
    good, target, tmp_path, what
) -> None:
    backup = tmp_path / "b.sqlite"
    shutil.copy(good, backup)
    database = apsw.Connection(str(backup))
    database.execute(STATEMENTS[what])
    database.close()
    if what not in ("a table that is a view", "a table that is missing", "a text that is not UTF-8"):
        sealed(backup)
    assert "checksum" not in refused(backup, target)


def test_embeddings_that_the_installed_backbone_does_not_give_are_refused(good, target) -> None:
    with pytest.raises(HomeError, match="a sample with 4 features where the backbone gives 64"):
        restore_database(good, target, {"b": 64})
    assert Store(target).counts("b") == {"mine": 3}
    restore_database(good, target, {"b": 4, "another": 64})
    assert Store(target).counts("b") == {"cat": 3}


def test_the_good_backup_is_restored(good, target) -> None:
    restore_database(good, target)
    store = Store(target)
    assert store.counts("b") == {"cat": 3} and store.drift("bundle") is None


@pytest.mark.parametrize("kind", list(FILES))
def test_a_file_that_is_no_backup_at_all_is_refused_at_once(target, tmp_path, kind) -> None:
    backup = tmp_path / "b.sqlite"
    FILES[kind](backup)
    refused(backup, target)


@pytest.mark.parametrize("seed", range(60))
def test_a_backup_with_random_bytes_changed_is_refused_or_holds_what_it_held(good, target, tmp_path, seed) -> None:
    generator = np.random.default_rng(seed)
    data = np.frombuffer(good.read_bytes(), np.uint8).copy()
    used = np.flatnonzero(data)
    places = generator.choice(used, int(generator.integers(1, 5)))
    data[places] ^= generator.integers(1, 256, len(places)).astype(np.uint8)
    backup = tmp_path / "b.sqlite"
    backup.write_bytes(data.tobytes())
    try:
        restore_database(backup, target)
    except HomeError as refusal:
        assert "\n" not in str(refusal)
        assert Store(target).counts("b") == {"mine": 3}
        return
    store = Store(target)
    ((ids, labels, runtimes, raw),) = store.embeddings("b", 4)
    assert (ids[-3:], labels, runtimes, raw.tolist()) == (ids[-3:], ["cat"] * 3, ["r"] * 3, RAW.tolist())
    assert store.hidden("b") == {"dog"} and store.versions.active("bundle") == 1


@pytest.mark.parametrize("place", [16, 18, 19, 20, 21, 28, 44, 47, 52, 56, 59])
def test_a_backup_whose_header_says_something_else_is_refused_or_holds_what_it_held(
    good, target, tmp_path, place
) -> None:
    for value in (0, 3, 77, 255):
        data = bytearray(good.read_bytes())
        data[place] = value
        backup = tmp_path / "b.sqlite"
        backup.write_bytes(data)
        try:
            restore_database(backup, target)
        except HomeError as refusal:
            assert "\n" not in str(refusal)
        store = Store(target)
        assert store.counts("b") in ({"mine": 3}, {"cat": 3})
        store.close()


def test_the_command_line_refuses_a_backup_that_would_keep_the_device_from_learning(home, tmp_path, capsys) -> None:
    bundle = home.bundle()
    other = Store(tmp_path / "other" / "device.sqlite")
    other.add_samples("cat", RAW, bundle.backbone_digest, "r")
    other.backup(tmp_path / "wrong.sqlite")
    other.close()
    arguments = ["--home", str(home.folder), "restore", str(tmp_path / "wrong.sqlite")]
    assert console.run(program, "edgetl-device", arguments) == 2
    message = capsys.readouterr().err
    assert "4 features where the backbone gives 64" in message and message.count("\n") == 1
    assert home.learner().samples() == []
