"""RUNs from strangers: each is refused in one line, quickly, and nothing in it runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from bounded import outcomes
from conftest import write_photos
from hostile_runs import DESCRIPTIONS, EMBEDDINGS, TEXTS, WEIGHTS, keras_file
from small_backbone import SMALL

from edgetl.data.datasets import find_photos, split
from edgetl.training.runs import FLOAT_FILE, RUN_FILE, WEIGHTS_FILE, open_run
from edgetl.training.train import train_head
from edgetl_device.arrays import unpack
from edgetl_device.errors import InputError


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    dataset = split(find_photos(write_photos(folder / "photos", ("ball", "box"), 6, size=32)), 0.25, 0)
    train_head(dataset, SMALL, folder / "run")
    value = json.loads((folder / "run" / RUN_FILE).read_text())
    value["backbone"] = {"name": "mobilenet_v2", "alpha": 0.35, "image_size": 96, "weights": "none"}  # for a process
    (folder / "run" / "other.json").write_text(json.dumps(value))  # that does not know the small one
    return folder / "run"


def copied(good: Path, folder: Path) -> Path:
    shutil.copytree(good, folder / "run")
    return folder / "run"


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_are_not_plain_arrays_of_the_architecture_are_refused(name, good, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = copied(good, tmp_path)
    WEIGHTS[name](run / WEIGHTS_FILE, unpack((run / WEIGHTS_FILE).read_bytes()))
    with pytest.raises(InputError, match=f"{WEIGHTS_FILE}.*train again"):
        open_run(run).model()
    assert not Path("canary").exists()


def test_a_run_of_0_1_is_refused_unread_with_what_to_do(good, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = copied(good, tmp_path)
    value = json.loads((run / RUN_FILE).read_text())
    (run / RUN_FILE).write_text(json.dumps({**value, "format": 1}))
    keras_file(run / "backbone.h5")
    (run / "backbone.h5").rename(run / "backbone.keras")
    with pytest.raises(InputError, match=r"written by edgetl 0\.1: train it again"):
        open_run(run)
    assert not Path("canary").exists()


def test_a_keras_file_that_lies_in_a_run_is_never_loaded(good, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = copied(good, tmp_path)
    keras_file(run / "backbone.h5")
    (run / "backbone.h5").rename(run / "backbone.keras")
    open_run(run).model()
    assert not Path("canary").exists()


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_embeddings_that_are_not_plain_rows_are_refused(name, good, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = copied(good, tmp_path)
    EMBEDDINGS[name](run / FLOAT_FILE)
    with pytest.raises(InputError, match=f"{FLOAT_FILE} cannot be read"):
        open_run(run).float_embeddings()
    assert not Path("canary").exists()


@pytest.mark.slow
def test_descriptions_that_do_not_hold_are_refused_within_512_mb_and_10_s(good, tmp_path) -> None:
    value = json.loads((good / "other.json").read_text())
    folders = []
    for number, (name, change) in enumerate([*DESCRIPTIONS.items(), *TEXTS.items()]):
        folder = tmp_path / f"{number} {name.replace('/', '-')[:60]!a}"
        folder.mkdir()
        if name in TEXTS:
            (folder / RUN_FILE).write_bytes(TEXTS[name]())
        else:
            (folder / RUN_FILE).write_text(json.dumps(change(json.loads(json.dumps(value)))))
        folders.append(folder)
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / RUN_FILE).write_text(json.dumps(value))
    *hostile, honest = outcomes("edgetl.training.runs", "open_run", [*folders, whole])
    assert honest.outcome == "accepted", honest
    assert not [each for each in hostile if each.outcome != "refused" or "\n" in each.detail or len(each.detail) > 600]
    assert not [each for each in hostile if "\x1b" in each.detail or "\x07" in each.detail]


def test_the_good_run_gives_back_the_model_that_was_saved(good) -> None:
    run = open_run(good)
    pixels = np.stack([SMALL.preprocessing(_read(path)) for path in run.dataset.files()]).astype(np.float32)
    np.testing.assert_allclose(run.model()(pixels / 127.5 - 1), run.float_embeddings(), rtol=1e-4, atol=1e-5)


def _read(path: Path) -> np.ndarray:
    from edgetl_device.photos import read_photo

    return read_photo(path)
