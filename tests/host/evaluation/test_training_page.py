"""The page about a training, of a small network on drawn photos."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import write_photos
from small_backbone import SMALL

from edgetl.data.datasets import find_photos, split
from edgetl.evaluation.training_page import cross_fitted, held_out_of, write_training_report
from edgetl.training.finetuning import Plan
from edgetl.training.train import Run, Training, train
from edgetl_device import metrics
from edgetl_device.console import moment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two epochs; one photo lies under two labels, and one cannot be read."""
    folder = tmp_path_factory.mktemp("page")
    photos = write_photos(folder / "photos", ("ball", "box", "kite"), 100, size=48)
    shutil.copy(photos / "ball" / "0003.png", photos / "box" / "copied.png")
    (photos / "kite" / "broken.png").write_bytes(b"no photo")
    dataset = split(find_photos(photos), 0.3, 0)
    plan = Plan("top", epochs=2, batch_size=16, views=1, learning_rate=1e-3, flip=True)
    return train(dataset, SMALL, folder / "run", Training(plan))


def test_probabilities_of_the_page_are_of_the_same_answers_as_the_runs_accuracy(run: Run) -> None:
    held = held_out_of(run)
    assert held.right.mean() == pytest.approx(run.accuracy)
    assert ((held.sure > 1 / 3) & (held.sure <= 1)).all()
    recall = metrics.per_class_recall(held.truth, held.predicted, 3)
    assert dict(zip(run.dataset.classes, recall, strict=True)) == pytest.approx(run.per_class)


def test_the_page_has_figures_curves_examples_and_what_is_wrong_with_photos(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_training_report(run, path)
    text = path.read_text()
    held = run.dataset.rows("val", "test")
    assert f"{run.accuracy:.3f} of {len(held)} held-out photos are right" in text
    assert text.count("<polyline") == 3 and "kept" in text  # two losses, one accuracy
    assert "copied.png" in text and "under two labels" in text and moment(run.created) in text
    assert "May be near-copies" in text and "Not used" in text
    pictures = text.count("data:image/jpeg;base64,")
    wrong = int((~held_out_of(run).right).sum())
    assert pictures >= min(wrong, 8) + min(len(held) - wrong, 8)
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")


def test_a_head_alone_has_a_page_without_epochs(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_training_report(replace(run, details={"device": "CPU"}, strategy="head"), path)
    text = path.read_text()
    assert "<polyline" not in text and "Epochs" not in text and "Calibration" in text


def test_a_page_of_too_few_photos_to_stop_on_says_that_nothing_was_checked(run: Run, tmp_path: Path) -> None:
    epochs = [{**facts, "stop_accuracy": None, "stop_loss": None, "best": True} for facts in run.details["epochs"]]
    write_training_report(replace(run, details={**run.details, "epochs": epochs}), tmp_path / "few.html")
    text = (tmp_path / "few.html").read_text()
    assert "nothing says whether it is better than a solved head" in text and "stopping part" not in text


def test_a_page_names_the_region_and_how_it_was_made_to_fit(run: Run, tmp_path: Path) -> None:
    region = (2500, 0, 5000, 10000)
    write_training_report(replace(run, spec=replace(run.spec, region=region)), tmp_path / "region.html")
    assert "0.25,0,0.5,1 of each photo, stretched to fit" in (tmp_path / "region.html").read_text()


def test_each_half_of_the_photos_gets_the_temperature_of_the_other() -> None:
    random = np.random.default_rng(0)
    truth, part = random.integers(0, 3, 400), random.integers(0, 2, 400)
    scores = random.normal(size=(400, 3)) + 1.5 * np.eye(3)[truth]
    scores[part == 1] *= 30  # far too sure
    sure = cross_fitted(scores, truth, part)
    fitting = {half: metrics.fit_temperature(scores[part == half], truth[part == half]) for half in (0, 1)}
    for half in (0, 1):
        expected = metrics.softmax(scores[part == half] / fitting[1 - half]).max(axis=1)
        np.testing.assert_allclose(sure[part == half], expected)
    assert fitting[1] > 20 * fitting[0]
