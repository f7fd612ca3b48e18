"""Two real processes and one device."""

import os
import signal
import subprocess
import sys
import threading
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
from edgetl_device.store.lock import LearningLock
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
        with pytest.raises(StorageError, match=rf"process {process.pid}\) is learning .*try again"), lock():
            pass
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


def test_a_thread_that_holds_it_may_take_it_again_through_another_object(tmp_path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    for other in (tmp_path / "lock", tmp_path / "link" / "lock"):
        with LearningLock(tmp_path / "lock", wait_s=0)(), LearningLock(other, wait_s=0)():
            pass
    with holder(tmp_path / "lock", 30) as process:  # and gave it back after the last
        process.kill()


def test_another_thread_waits_for_it_whichever_object_it_takes_it_through(tmp_path) -> None:
    order: list[str] = []
    held, refused = threading.Event(), threading.Event()

    def hold() -> None:
        with LearningLock(tmp_path / "lock")():
            order.append("first")
            held.set()
            refused.wait(30)
            order.append("first ends")

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    with pytest.raises(StorageError, match="another part of this program"), LearningLock(tmp_path / "lock", 0.05)():
        pass
    refused.set()
    with LearningLock(tmp_path / "lock", 30)():
        order.append("second")
    thread.join()
    assert order == ["first", "first ends", "second"]


def test_a_forked_child_holds_nothing_and_keeps_nothing_alive(tmp_path) -> None:
    lock = LearningLock(tmp_path / "lock", wait_s=0)
    with lock():
        child = os.fork()
        if child == 0:  # the parent holds it: the child must be refused, by whichever object
            code = 1
            try:
                with lock():
                    pass
            except StorageError:
                code = 0
            os.write(ready := os.open(tmp_path / "done", os.O_WRONLY | os.O_CREAT), bytes([65 + code]))
            os.close(ready)
            time.sleep(30)
            os._exit(0)
        deadline = time.monotonic() + 20
        while not ((tmp_path / "done").exists() and (tmp_path / "done").read_bytes()) and time.monotonic() < deadline:
            time.sleep(0.01)
    try:
        assert (tmp_path / "done").read_bytes() == b"A"
        command = [sys.executable, "-c", HOLD, str(tmp_path / "lock"), "0"]
        assert subprocess.run(command, capture_output=True, text=True, timeout=20).stdout == "held\n"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


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
        row = learner.store.versions.get(learner.bundle.digest, version)
        assert row.metrics["samples"] == len(learner.samples()), row
"""


@pytest.mark.slow
@pytest.mark.once
def test_two_processes_that_learn_at_once_lose_nothing_and_each_head_knows_all_samples(home: Home) -> None:
    home.learner()
    command = [sys.executable, "-c", LEARN, str(home.folder)]
    both = [subprocess.Popen([*command, str(seed)]) for seed in (1, 2)]
    assert [process.wait(60) for process in both] == [0, 0]
    learner = home.learner()
    assert len(learner.samples()) == 32
    assert [row.metrics["samples"] for row in learner.versions()[1:]] == list(range(2, 33, 2))
