"""Two real processes and one device."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgetl_device.errors import StorageError
from edgetl_device.home import Home
from edgetl_device.store.lock import LearningLock

pytest.importorskip("fcntl")

HOLD = """
import sys, time
from pathlib import Path
from edgetl_device.lock import LearningLock
with LearningLock(Path(sys.argv[1]))():
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(path: Path, seconds: float) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_second_process_waits_and_then_says_who_is_learning(tmp_path) -> None:
    with holder(tmp_path / "lock", 30) as process:
        lock = LearningLock(tmp_path / "lock", wait_s=0.2)
        started = time.monotonic()
        with pytest.raises(StorageError, match=rf"process {process.pid}\) is learning .*try again"), lock():
            pass
        assert time.monotonic() - started >= 0.2
        process.kill()


def test_it_goes_on_as_soon_as_the_other_process_is_done(tmp_path) -> None:
    with holder(tmp_path / "lock", 0.3), LearningLock(tmp_path / "lock", wait_s=30)():
        pass


def test_a_holder_that_was_killed_blocks_nobody(tmp_path) -> None:
    with holder(tmp_path / "lock", 30) as process:
        process.kill()
        process.wait()
    with LearningLock(tmp_path / "lock", wait_s=0)():
        pass


def test_its_holder_may_take_it_again(tmp_path) -> None:
    lock = LearningLock(tmp_path / "lock", wait_s=0)
    with lock(), lock():
        pass
    with pytest.raises(StorageError), lock(), LearningLock(tmp_path / "lock", wait_s=0)():
        pass  # another learner of the same process is another one all the same


def test_while_another_process_learns_nothing_is_stored_but_things_are_recognised(home: Home) -> None:
    learner = home.learner()
    learner.lock.wait_s = 0.1
    with holder(home.folder / "device.lock", 30) as process:
        with pytest.raises(StorageError, match="nothing was changed"):
            learner.add("kite", np.zeros((1, 64), np.int8))
        for change in (learner.retrain, learner.rollback, learner.mark_healthy):
            with pytest.raises(StorageError, match="is learning"):
                change()
        assert learner.samples() == [] and home.learner().active_head().labels == ("ball", "box")
        process.kill()
    assert learner.add("kite", np.zeros((1, 64), np.int8)) == [1]


LEARN = """
import sys
import numpy as np
from pathlib import Path
from edgetl_device.home import Home
learner = Home(Path(sys.argv[1])).learner()
generator = np.random.default_rng(int(sys.argv[2]))
for _ in range(8):
    with learner.lock():
        learner.add("kite", generator.integers(-128, 0, (2, 64)).astype(np.int8))
        version = learner.retrain(accept_scene_change=True).version
        row = learner.store.version(learner.bundle.digest, version)
        assert row.metrics["samples"] == len(learner.samples()), row
"""


def test_two_processes_that_learn_at_once_lose_nothing_and_each_head_knows_all_samples(home: Home) -> None:
    home.learner()
    command = [sys.executable, "-c", LEARN, str(home.folder)]
    both = [subprocess.Popen([*command, str(seed)]) for seed in (1, 2)]
    assert [process.wait(60) for process in both] == [0, 0]
    learner = home.learner()
    assert len(learner.samples()) == 32
    assert [row.metrics["samples"] for row in learner.versions()[1:]] == list(range(2, 33, 2))
