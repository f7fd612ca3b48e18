"""Simulated power cuts: whatever was not synced is dropped, reordered or torn, and nothing acknowledged may be missing."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[2] / "support"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.once,
    pytest.mark.skipif(not hasattr(os, "fork") or not Path("/proc/self/fd").exists(), reason="needs fork and /proc"),
]


def cut(bundle: Path, tmp_path: Path, cuts: int, ignored: str = "") -> dict:
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        script, place = SUPPORT / "power_cuts.py", f"{folder}/cuts"
        command = [sys.executable, str(script), str(bundle), place, str(cuts), "0", *([ignored] if ignored else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_two_hundred_power_cuts_lose_nothing_and_bring_nothing_back(bundle_path, tmp_path) -> None:
    told = cut(bundle_path, tmp_path, 200)
    assert told["problems"] == [] and told["cuts"] >= 200
    kinds = {"backup", "first", "history", "inspection", "install", "learning", "migration", "recovery", "restore"}
    assert set(told["steps"]) == kinds
    assert told["steps"]["restore"]["restore"] > 2 and told["steps"]["recovery"]["open"] > 2


@pytest.mark.parametrize("ignored", ["database", "files", "names"])
def test_a_disk_that_only_pretends_to_sync_is_found_out(bundle_path, tmp_path, ignored: str) -> None:
    """Or the test above could not fail: syncs by SQLite, of files by Python, of folders by Python."""
    assert cut(bundle_path, tmp_path, 70, ignored)["problems"]
