"""A head that makes the app fail is rolled back by itself; here with real processes that are really killed."""

import signal
import subprocess
import sys

import numpy as np
import pytest

from edgetl_device.home import Home
from edgetl_device.learning import solver

APP = """
import os, signal, sys
from pathlib import Path
from edgetl_device.home import Home
learner = Home(Path(sys.argv[1])).learner()
started = learner.mark_started()
print(started.version, started.failed, flush=True)
learner.active_head()
if started.version == int(sys.argv[2]):
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does where memory runs out
learner.mark_healthy()
"""


def app(home: Home, bad_version: int) -> tuple[int, str]:
    """One start of an app that dies of one version → its exit code and what it said."""
    command = [sys.executable, "-c", APP, str(home.folder), str(bad_version)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip()


def taught(home: Home, *labels: str) -> None:
    learner = home.learner()
    for number, label in enumerate(labels):
        learner.add(label, np.random.default_rng(number).integers(-128, 0, (4, 64)).astype(np.int8))
        assert learner.retrain(accept_scene_change=True).promoted


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")
def test_a_head_that_kills_the_app_three_times_is_given_up_at_the_fourth_start(home: Home) -> None:
    taught(home, "kite", "ring")
    assert [app(home, 3) for _ in range(3)] == [(-signal.SIGKILL, "3 None")] * 3
    assert app(home, 3) == (0, "2 3")
    assert app(home, 3) == (0, "2 None")
    learner = home.learner()
    assert [row.state for row in learner.versions()] == ["factory", "promoted", "failed"]
    assert "rolled back to 2: it failed to start 3 times" in learner.versions()[2].reason
    assert list(learner.store.database.rows("SELECT kind FROM events ORDER BY id DESC LIMIT 1")) == [("failed",)]
    assert len(learner.samples()) == 8 and learner.active_head().labels == ("ball", "box", "kite")


def test_a_head_that_was_healthy_once_is_not_blamed_for_what_fails_later(home: Home) -> None:
    taught(home, "kite")
    learner = home.learner()
    learner.mark_started()
    learner.mark_healthy()
    for _ in range(5):
        assert home.learner().mark_started().failed is None
    assert learner.active_version == 2


def test_the_heads_before_may_fail_too_but_the_factorys_stays(home: Home) -> None:
    taught(home, "kite", "ring")
    found = [home.learner().mark_started() for _ in range(9)]
    assert [start.version for start in found] == [3, 3, 3, 2, 2, 2, 1, 1, 1]
    assert [start.failed for start in found if start.failed] == [3, 2]


def test_a_failed_version_cannot_be_rolled_back_to_and_learning_goes_on(home: Home) -> None:
    taught(home, "kite")
    for _ in range(4):
        learner = home.learner()
        learner.mark_started()
    with pytest.raises(Exception, match="version 2 did not start and cannot be used: expected one of 1"):
        learner.rollback(2)
    assert learner.retrain().version == 3 == learner.active_version


def test_a_head_that_cannot_be_made_is_rolled_back_at_once(home: Home, monkeypatch, caplog) -> None:
    taught(home, "kite")
    fit_head = solver.fit_head

    def fails(evidence, rule):
        if "kite" in evidence.device.labels:
            raise np.linalg.LinAlgError("singular matrix")
        return fit_head(evidence, rule)

    monkeypatch.setattr(solver, "fit_head", fails)
    learner = home.learner()
    assert learner.active_head().labels == ("ball", "box") and learner.active_version == 1
    assert "version 2 was rolled back to 1: its head cannot be made: singular matrix" in caplog.text


def test_a_head_of_a_rule_that_this_program_does_not_know_is_rolled_back(home: Home) -> None:
    """As after going back to an older edgetl."""
    learner = home.learner()
    learner.store.versions.add(learner.bundle.digest, "promoted", "new", "oracle", 0, {}, activate=True)
    assert learner.active_head().labels == ("ball", "box") and learner.active_version == 1


def test_starts_cost_no_writes_once_a_version_is_proven(home: Home) -> None:
    learner = home.learner()
    learner.mark_started()
    learner.mark_healthy()
    wal = home.store_path.with_name("device.sqlite-wal")
    size = wal.stat().st_size
    for _ in range(3):
        learner.mark_started()
    assert wal.stat().st_size == size
