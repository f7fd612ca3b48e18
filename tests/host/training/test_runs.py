"""A RUN takes the place of another whole, or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import write_photos
from small_backbone import SMALL

from edgetl.data.datasets import Dataset, find_photos, split
from edgetl.training.feeds import PhotoFeed
from edgetl.training.runs import FLOAT_FILE, RUN_FILE, new_run, open_run
from edgetl.training.train import Training, train, train_head
from edgetl_device.errors import InputError, StorageError
from edgetl_device.photos import read_photo


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return split(find_photos(write_photos(tmp_path_factory.mktemp("runs"), ("ball", "box"), 6, size=32)), 0.25, 0)


def test_a_training_that_fails_leaves_the_earlier_run_as_it_was(dataset, tmp_path) -> None:
    run = train_head(dataset, SMALL, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in run.folder.iterdir()}
    with pytest.raises(RuntimeError), new_run(run.folder, True) as folder:
        (folder / RUN_FILE).write_text("half")
        raise RuntimeError
    assert {path.name: path.read_bytes() for path in run.folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_remembers_its_region_and_nothing_of_another_is_taken_for_its_own(dataset, tmp_path) -> None:
    region = (2500, 2500, 5000, 5000)
    seen = replace(SMALL, region=region)
    run = train_head(dataset, seen, tmp_path / "run")
    again = open_run(run.folder)
    assert again.spec == seen and again.spec.preprocessing.region == region
    whole = train_head(dataset, SMALL, tmp_path / "whole")
    assert "region" not in json.loads((whole.folder / RUN_FILE).read_text())["backbone"]
    assert not np.array_equal(np.load(run.folder / FLOAT_FILE), np.load(whole.folder / FLOAT_FILE))
    feed = PhotoFeed(dataset.files(), SMALL.image_size, None, False, False, region)
    (photos,) = next(feed.plain([np.arange(1)]))
    assert (photos[0] == seen.preprocessing(read_photo(dataset.files()[0]))).all()


@pytest.mark.parametrize("region", [[0, 0, 0, 1], [0, 0, 1, 10_001], [1, 2, 3], "all", [0.5, 0, 1, 1]])
def test_a_run_with_a_region_outside_the_photos_is_refused(dataset, tmp_path, region) -> None:
    value = json.loads((train_head(dataset, SMALL, tmp_path / "run").folder / RUN_FILE).read_text())
    value["backbone"]["region"] = region
    (tmp_path / "run" / RUN_FILE).write_text(json.dumps(value))
    with pytest.raises(InputError):
        open_run(tmp_path / "run")


def test_a_run_that_cannot_take_its_place_is_kept_and_the_error_says_where(tmp_path) -> None:
    with pytest.raises(StorageError, match="it is whole in") as caught, new_run(tmp_path / "run", False) as folder:
        (folder / RUN_FILE).write_text("whole")
        (tmp_path / "run").write_text("meanwhile somebody wrote a file of this name")
    kept = tmp_path / folder.name.removeprefix(".")  # hidden, it would be taken for a leftover
    assert str(kept) in str(caught.value) and (kept / RUN_FILE).read_text() == "whole"
    assert "meanwhile" in (tmp_path / "run").read_text()


def test_what_killed_trainings_left_is_swept_and_what_is_in_use_or_not_theirs_is_not(tmp_path) -> None:
    strangers = (".run.20240101", ".run.unfinished-", "run.unfinished-abcdefgh")
    for name in (".run.unfinished-abcdefgh", ".other.unfinished-abcd_123", *strangers):
        (tmp_path / name).mkdir()
        (tmp_path / name / RUN_FILE).touch()
    (tmp_path / ".run.unfinished-ijklmnop").touch()
    output = tmp_path / "run"
    with pytest.raises(RuntimeError), new_run(output, False) as first, new_run(output, False) as second:
        left = {path.name for path in tmp_path.iterdir()}
        raise RuntimeError
    assert left == {*strangers, ".run.unfinished-ijklmnop", first.name, second.name}


KILLED = """
import sys, time
from pathlib import Path
from edgetl.training.runs import FLOAT_FILE, new_run
with new_run(Path(sys.argv[1]), False) as folder:
    (folder / FLOAT_FILE).write_bytes(bytes(1 << 20))
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_killed_training_leaves_nothing_once_another_ran_under_any_name(tmp_path) -> None:
    command = [sys.executable, "-c", KILLED]
    with (
        subprocess.Popen([*command, tmp_path / "run"], stdout=subprocess.PIPE) as killed,
        subprocess.Popen([*command, tmp_path / "alive"], stdout=subprocess.PIPE) as alive,
    ):
        assert [child.stdout.readline() for child in (killed, alive) if child.stdout] == [b"writing\n"] * 2
        killed.kill()
        killed.wait()
        assert len(list(tmp_path.iterdir())) == 2
        with new_run(tmp_path / "third", False) as folder:
            (folder / RUN_FILE).touch()
        left = sorted(path.name for path in tmp_path.iterdir())
        alive.kill()
    assert len(left) == 2 and left[0].startswith(".alive.") and left[1] == "third"


# While modules are imported, Python itself may swallow the interruption.
TOLD = """
import time
from edgetl.training import train
from edgetl.cli import main
train.build = lambda *_: print("building", flush=True) or time.sleep(60)
main()
"""


@pytest.mark.slow
def test_a_training_that_is_told_to_end_leaves_nothing(tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 6, size=32)
    command = [sys.executable, "-c", TOLD, "train", photos, "-o", tmp_path / "run", "--weights", "builtin"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stderr is not None
        while child.stdout.readline() not in (b"building\n", b""):
            pass
        assert list(tmp_path.glob(".run.*"))
        child.terminate()
        assert b"interrupted" in child.stderr.read()
    assert child.returncode == 130 and sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_force_replaces_a_run_behind_a_link_where_it_lies(dataset, tmp_path) -> None:
    (tmp_path / "disk").mkdir()
    train_head(dataset, SMALL, tmp_path / "disk" / "run")
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "run")
    train_head(dataset, SMALL, tmp_path / "link", seed=1, force=True)
    assert (tmp_path / "link").is_symlink() and open_run(tmp_path / "disk" / "run").seed == 1


def test_a_file_name_that_is_not_utf8_comes_back_from_a_run(dataset, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 6, size=32)
    for kind in ("ball", "box"):
        (photos / kind / "0000.png").rename(photos / kind / os.fsdecode(b"\xe9t\xe9.png"))
    run = train(split(find_photos(photos), 0.25, 0), SMALL, tmp_path / "run", Training())
    again = open_run(run.folder)
    assert again.dataset.paths == run.dataset.paths and all(path.is_file() for path in again.dataset.files())
    json.loads((run.folder / RUN_FILE).read_bytes().decode("utf-8"))


def test_embeddings_are_mapped_from_the_file(dataset, tmp_path) -> None:
    values = train_head(dataset, SMALL, tmp_path / "run").float_embeddings()
    assert isinstance(values, np.memmap) and values.shape == (len(dataset), 24)


def test_more_photos_than_a_run_holds_are_refused_before_training(dataset, tmp_path, monkeypatch) -> None:
    from edgetl.training import train as module

    monkeypatch.setattr(module, "MOST_PHOTOS", 5)
    with pytest.raises(InputError, match="at most 5 photos"):
        train_head(dataset, SMALL, tmp_path / "run")
    assert not Path(tmp_path / "run").exists()
