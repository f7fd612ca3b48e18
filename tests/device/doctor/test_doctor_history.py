"""What the doctor says of the history."""

import os
from pathlib import Path
from types import SimpleNamespace

from edgetl_device import console
from edgetl_device.cli import program
from edgetl_device.doctor import System, state
from edgetl_device.store import read_only
from edgetl_device.store.history import History
from edgetl_device.store.history_event import Event

EVENT = Event("mug", "2026-11-27T10:00:00.000+00:00", 1.0, 0.5, "camera")


def examined(home: Path):
    return state.history(System(), home)


def recorded(home: Path) -> Path:
    kept = History(home / "history.sqlite", days=36500)
    kept.write([(EVENT, None)] * 300)
    kept.close()
    return kept.path


def test_a_sound_history_says_since_when(tmp_path: Path) -> None:
    assert examined(tmp_path).ok and "nothing recorded" in examined(tmp_path).detail
    recorded(tmp_path)
    assert examined(tmp_path).ok and examined(tmp_path).detail.startswith("since 2026-11-27, ")


def test_a_full_disk_is_named_with_its_remedy(tmp_path: Path, monkeypatch) -> None:
    recorded(tmp_path)
    monkeypatch.setattr(state.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    check = examined(tmp_path)
    assert not check.ok and "the disk is full" in check.detail and "history --clear" in check.fix and not check.needed


def test_a_read_only_history_is_named(tmp_path: Path, monkeypatch) -> None:
    recorded(tmp_path)
    monkeypatch.setattr(read_only, "is_read_only", lambda _: True)
    assert "cannot be written" in examined(tmp_path).detail


def test_a_damaged_history_is_named_and_the_remedy_works(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(os.urandom(8192))
    assert not examined(tmp_path).ok and "damaged" in examined(tmp_path).detail
    assert examined(tmp_path).fix == "edgetl-device history --check"
    assert console.run(program, "edgetl-device", ["--home", str(tmp_path), "history", "--check"]) == 0
    assert examined(tmp_path).ok
