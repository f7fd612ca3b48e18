"""Little memory, a store from the future, two programs on one home: each has a clear line, and nothing is lost."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from conftest import embeddings, write_photos

from edgetl_device.errors import HeadError
from edgetl_device.home import Home
from edgetl_device.learning import solver
from edgetl_device.verification import verify

MB = 1 << 20


def device(home: Home, *arguments: object, limit_mb: int | None = None) -> subprocess.CompletedProcess[str]:
    """A command, in a process that may set so much memory aside for its data."""
    command = [sys.executable, "-m", "edgetl_device", "--home", str(home.folder), *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    limit = None if limit_mb is None else (limit_mb * MB, limit_mb * MB)

    def bound() -> None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:4])  # as a Raspberry Pi has; a thread has a stack
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_DATA, limit)

    return subprocess.run(
        command, capture_output=True, text=True, preexec_fn=bound, env=environment, check=False, timeout=120
    )


def one_line(done: subprocess.CompletedProcess[str], pattern: str) -> None:
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert re.search(rf"^error: .*{pattern}", done.stderr, re.MULTILINE), done.stderr


@pytest.mark.slow
def test_256_mb_are_enough_to_recognise_teach_forget_and_watch(home: Home, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", ("kite", "ring"), 6)
    for arguments in (
        ("classify", photos / "ring"),
        ("learn", "kite", photos / "kite"),
        ("classify", photos / "kite"),
        ("run", "--camera", "parts", "--max-frames", 10, "--web", "127.0.0.1:0"),
        ("forget", "--label", "kite"),
    ):
        done = device(home, *arguments, limit_mb=256)
        assert done.returncode == 0, (arguments, done.stderr)


@pytest.mark.slow
@pytest.mark.once  # the OpenBLAS of NumPy 1, which tflite-runtime needs, tries for ever to get memory that is not there
@pytest.mark.parametrize("limit_mb", range(70, 130, 6))
def test_less_memory_than_that_is_one_line_and_costs_no_version(home: Home, tmp_path: Path, limit_mb: int) -> None:
    photos = write_photos(tmp_path / "photos", ("kite",), 2)
    learner = home.learner()
    learner.add("kite", embeddings("kite", 30))
    learner.retrain(accept_scene_change=True)
    version = learner.active_version
    learner.store.close()
    done = device(home, "classify", photos / "kite", limit_mb=limit_mb)
    if "OpenBLAS error" not in done.stderr and "ImportError" not in done.stderr:  # not even what is imported has room
        assert done.returncode in (0, 2) and "Traceback" not in done.stderr, done.stderr
    again = home.learner()
    assert again.active_version == version and sum(again.store.counts(again.bundle.backbone_digest).values()) == 30
    again.store.close()
    assert all(each.ok for each in verify(home))


def test_a_version_is_not_given_up_where_memory_was_short(home: Home, monkeypatch) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 5))
    learner.retrain(accept_scene_change=True)
    version = learner.active_version

    def short(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(solver, "fit_head", short)
        with pytest.raises(HeadError, match="no head can be computed now: not enough memory: close other programs"):
            home.learner().active_head()
    assert home.learner().active_version == version and "kite" in home.learner().active_head().labels


def test_a_store_of_a_newer_release_is_one_line_and_stays_as_it_is(home: Home, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", ("kite",), 1)
    home.learner().store.close()
    with apsw.Connection(str(home.store_path)) as database:
        database.pragma("user_version", 99)
    before = home.store_path.read_bytes()
    for arguments in (
        ("classify", photos / "kite"),
        ("learn", "kite", photos / "kite"),
        ("status",),
        ("run", "--no-web", "--camera", "parts"),
    ):
        one_line(device(home, *arguments), r"was written by a newer edgetl: update with `pip install -U edgetl-device`")
    assert home.store_path.read_bytes() == before and not list(home.folder.glob("*.damaged-*"))


@pytest.mark.slow
def test_two_programs_on_one_home_lose_nothing(home: Home, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", ("kite", "ring"), 6)
    run = [sys.executable, "-m", "edgetl_device", "--home", str(home.folder), "run", "--camera", "parts", "--no-web"]
    apps = [subprocess.Popen([*run, "--max-frames", "150"], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    taught = [sys.executable, "-m", "edgetl_device", "--home", str(home.folder), "learn", "--json"]
    lessons = [
        subprocess.Popen([*taught, label, str(photos / label)], stdout=subprocess.PIPE, text=True)
        for label in ("kite", "ring")
    ]
    assert all(lesson.wait(120) in (0, 1) for lesson in lessons)
    for app in apps:
        told = app.communicate(timeout=120)[1]
        assert app.returncode == 0 and "Traceback" not in told, told
    for lesson in lessons:
        assert lesson.stdout is not None
        lesson.stdout.close()
    learner = home.learner()
    assert learner.store.counts(learner.bundle.backbone_digest) == {"kite": 6, "ring": 6}
    learner.store.close()
    assert all(each.ok for each in verify(home))
