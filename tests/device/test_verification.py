"""`edgetl-device verify` finds what is not as it was acknowledged, and says nothing else."""

import json

import apsw
import pytest
from conftest import embeddings

from edgetl_device import console
from edgetl_device.cli import program
from edgetl_device.device import Device
from edgetl_device.errors import HomeError, StorageError
from edgetl_device.home import Home
from edgetl_device.learning import solver
from edgetl_device.learning.groups import Groups
from edgetl_device.store import database
from edgetl_device.store.soundness import suspicion_path
from edgetl_device.verification import verify


@pytest.fixture
def taught(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Seventeen samples, a kept summary, and a store that counts as a large one."""
    monkeypatch.setattr(solver, "WORTH_KEEPING", 4)
    monkeypatch.setattr(database, "CHECKED_AT_START_BYTES", 0)
    learner = home.learner()
    learner.add("kite", embeddings("kite", 12))
    learner.add("ball", embeddings("ball", 5))
    learner.retrain(accept_scene_change=True)
    learner.store.close()
    return home


def differing(home: Home) -> dict[str, str]:
    return {each.name: each.detail for each in verify(home) if not each.ok}


def flip_a_byte(home: Home) -> None:
    """Of one sample's embedding, as a bad disk does."""
    connection = apsw.Connection(str(home.store_path))
    ((raw,),) = list(connection.execute("SELECT raw FROM samples WHERE id = 3"))
    connection.close()
    data = home.store_path.read_bytes()
    assert data.count(raw) == 1
    home.store_path.write_bytes(data.replace(raw, bytes([raw[0] ^ 1]) + raw[1:]))


def test_a_sound_home_verifies_and_says_what_was_compared(taught: Home) -> None:
    found = {each.name: each for each in verify(taught)}
    assert all(each.ok for each in found.values())
    assert set(found) == {"bundle", "store", "summary", "head", "backup"}
    assert "17 samples" in found["summary"].detail and "byte for byte" in found["summary"].detail


def test_groups_are_verified_too(taught: Home) -> None:
    taught.learner().add("kite", embeddings("kite", 3, start=600), groups={"wind": "calm"})
    assert "group wind" in {each.name for each in verify(taught)}


def test_what_an_app_changes_meanwhile_is_no_difference(taught: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It forgets after the kept summary was read, and retrains after the head was solved anew."""
    app, up_to = taught.learner(), solver.Solver.up_to
    changes = [lambda: app.forget([3]), lambda: app.add("lamp", embeddings("ball", 3, start=900)) and app.retrain()]

    def disturbed(self: solver.Solver, last: int):
        if self._keeps or not changes:
            return up_to(self, last)
        if len(changes) == 2:  # before the rows are read
            changes.pop(0)()
            return up_to(self, last)
        found = up_to(self, last)
        changes.pop()()
        return found

    monkeypatch.setattr(solver.Solver, "up_to", disturbed)
    assert differing(taught) == {} and not changes


def test_a_kept_summary_of_other_samples_is_found_and_removed(taught: Home) -> None:
    learner = taught.learner()
    kept = solver.Solver(learner.factory, learner.store).kept()
    other = solver.Solver(learner.factory, learner.store, kept=False).up_to(kept.last - 1)
    other.last = kept.last
    learner.store.keep_summary(learner.bundle.backbone_digest, other.to_bytes())
    learner.store.close()
    assert set(differing(taught)) == {"summary"}
    assert differing(taught) == {}


def test_a_flipped_bit_is_found_and_repaired_by_the_next_command(taught: Home) -> None:
    flip_a_byte(taught)
    ((name, detail),) = differing(taught).items()
    assert name == "store" and " 3 " in detail and detail.endswith("the next command repairs it")
    learner = taught.learner()
    assert len(learner.samples()) == 17  # from the backup
    assert not suspicion_path(taught.store_path).exists() and differing(taught) == {}


def test_a_flipped_bit_of_a_large_store_is_found_when_the_row_is_read(taught: Home) -> None:
    learner = taught.learner()
    learner.store.database.kept_summary.remove()
    learner.store.backup_path.unlink()
    learner.store.close()
    flip_a_byte(taught)
    with pytest.raises(HomeError, match=r"sample 3 does not match its checksum.*start again"):
        taught.learner().evidence()
    learner = taught.learner()
    assert len(learner.samples()) == 16 and learner.store.repairs()[-1].missing == 1
    assert not suspicion_path(taught.store_path).exists()


@pytest.mark.parametrize("damaged", ["samples", "grouped"])
def test_a_group_of_a_large_store_learns_nothing_that_is_damaged(taught: Home, damaged: str) -> None:
    learner = taught.learner()
    ids = learner.add("kite", embeddings("kite", 3, start=600), groups={"wind": "calm"})
    change = {"samples": "UPDATE samples SET raw = zeroblob(length(raw)) WHERE id = ?",
              "grouped": "UPDATE grouped SET label = 'gale' WHERE sample = ?"}  # fmt: skip
    learner.store.database.run(change[damaged], [(ids[0],)])
    with pytest.raises(HomeError, match=r"does not match its checksum.*start again"):
        Groups(learner)["wind"].evidence()
    assert suspicion_path(taught.store_path).exists()
    learner.store.close()


def test_a_small_store_is_looked_at_as_a_whole_at_every_start(taught: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CHECKED_AT_START_BYTES", 16 << 20)
    flip_a_byte(taught)
    assert len(taught.learner().samples()) == 17


def test_a_damaged_backup_is_told(taught: Home) -> None:
    backup = taught.learner().store.backup_path
    data = bytearray(backup.read_bytes())
    data[5000:5600] = bytes(600)
    backup.write_bytes(data)
    assert set(differing(taught)) == {"backup"}


def test_the_command_says_so_with_its_exit_code(taught: Home, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["verify", "--home", str(taught.folder)]
    assert console.run(program, "edgetl-device", command) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    assert console.run(program, "edgetl-device", [*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    flip_a_byte(taught)
    assert console.run(program, "edgetl-device", command) == 1
    assert "differs store" in capsys.readouterr().out


def test_the_python_api_gives_the_same(taught: Home) -> None:
    with Device(taught.folder) as device:
        assert [each.ok for each in device.verify()] == [True] * 5
        assert all(each.detail for each in device.verify())


def test_a_backup_of_a_damaged_store_is_refused_and_the_next_opening_repairs_it(taught: Home, tmp_path) -> None:
    store = taught.learner().store
    flip_a_byte(taught)
    with pytest.raises(StorageError, match="did not arrive whole"):
        store.backup(tmp_path / "copy.sqlite")
    store.close()
    assert suspicion_path(taught.store_path).exists() and not (tmp_path / "copy.sqlite").exists()
    assert len(taught.learner().samples()) == 17
