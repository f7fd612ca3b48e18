"""Homes that cannot be written, and homes that others could read."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgetl_device.errors import StorageError
from edgetl_device.home import Home
from edgetl_device.store import store as store_module
from edgetl_device.store.store import Store


@pytest.fixture
def read_only(home: Home, monkeypatch):
    """A home with samples that cannot be written: by its mode, and for the superuser, who may all the same, by name."""
    learner = home.learner()
    learner.add("kite", np.zeros((3, 64), np.int8))
    learner.store.close()
    folder = home.folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in folder.iterdir():
        path.chmod(0o400)
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        monkeypatch.setattr(store_module, "is_read_only", lambda path: path.parent == folder)
    yield home
    monkeypatch.undo()
    folder.chmod(0o700)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_read_only_home_recognises_and_says_that_it_cannot_learn(read_only: Home, caplog) -> None:
    learner = read_only.learner()
    assert learner.active_head().labels == ("ball", "box") and len(learner.samples()) == 3
    assert read_only.status(learner)["samples"] == {"kite": 3}
    learner.mark_started()
    learner.mark_healthy()
    learner.keep_drift(learner.drift())
    for change in (
        lambda: learner.add("kite", np.zeros((1, 64), np.int8)),
        lambda: learner.forget([1]),
        lambda: learner.relabel("box", [1]),
        lambda: learner.hide("ball"),
        lambda: learner.retrain(accept_scene_change=True),
        learner.forget_all,
    ):
        with pytest.raises(StorageError, match="cannot be written"):
            change()
    assert "recognising goes on" in caplog.text
    copy = learner.store.database.path
    learner.store.close()
    assert not copy.exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("log", ["empty", "full", "store missing"])
def test_commands_work_on_a_disk_that_turned_read_only(home: Home, photo_file, tmp_path, log, monkeypatch) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    monkeypatch.setattr("edgetl_device.store.database.SETTLE_AFTER_S", 1e9)
    learner = home.learner()
    learner.add("kite", np.zeros((3, 64), np.int8))
    learner.add("kite", np.zeros((3, 64), np.int8))
    if log == "full":  # as after a kill
        shutil.copytree(home.folder, tmp_path / "killed")
        learner.store.close()
        shutil.rmtree(home.folder)
        (tmp_path / "killed").rename(home.folder)
        assert home.store_path.with_name("device.sqlite-wal").stat().st_size
    learner.store.close()
    if log == "store missing":
        for path in home.folder.glob("device.*"):
            path.unlink()
    photo, program = photo_file("ball", 3), f"{sys.executable} -m edgetl_device --home {home.folder}"
    script = f"""
        mount --bind {home.folder} {home.folder} || exit 77
        mount -o remount,ro,bind {home.folder} || exit 77
        {program} classify {photo} --json && {program} status --json && {program} samples --json || exit 1
        {program} learn kite {photo} && exit 2
        exit 0
    """
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("may not mount")
    assert done.returncode == 0, done.stderr
    assert '"ball"' in done.stdout and "cannot be written" in done.stderr and "Traceback" not in done.stderr


def modes(folder: Path) -> set[str]:
    return {oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}


def test_nobody_else_may_read_a_home_nor_one_that_was_open_before(home: Home) -> None:
    umask = os.umask(0)
    try:
        learner = home.learner()
        learner.add("kite", np.zeros((3, 64), np.int8))
        learner.store.backup(learner.store.backup_path)
        learner.store.close()
        assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700 and modes(home.folder) == {"0o600"}
        home.folder.chmod(0o755)
        for path in home.folder.iterdir():
            path.chmod(0o644)
        Store(home.store_path).close()
        assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700 and modes(home.folder) == {"0o600"}
    finally:
        os.umask(umask)


def test_a_folder_that_everybody_may_write_to_stays_open(tmp_path) -> None:
    tmp_path.chmod(0o1777)
    Store(tmp_path / "device.sqlite").close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777
    tmp_path.chmod(0o700)
