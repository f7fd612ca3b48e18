from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_photos

from edgetl.api import backbone_spec
from edgetl.backbones import lite_weights
from edgetl.backbones.backbone import BUILTIN, BackboneSpec, DownloadError, offline
from edgetl.cli import program
from edgetl.cli.train import train
from edgetl.data.datasets import Dataset, find_photos, split
from edgetl.training import advisor
from edgetl.training.advisor import Advice, _decide, advise, logme, neighbour_accuracy
from edgetl_device import console, parts

pytestmark = pytest.mark.slow


def evidence(values: np.ndarray, target: np.ndarray, alpha: float, beta: float) -> float:
    """ln N(y; 0, I/β + F Fᵀ/α), straight from the definition."""
    covariance = np.eye(len(values)) / beta + values @ values.T / alpha
    _, determinant = np.linalg.slogdet(2 * np.pi * covariance)
    return float(-0.5 * (determinant + target @ np.linalg.solve(covariance, target)))


@pytest.mark.parametrize("shape", [(60, 8), (30, 50)])
def test_logme_is_the_largest_evidence_over_both_precisions(shape) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    generator = np.random.default_rng(0)
    values = generator.normal(size=shape)
    labels = (values[:, :3] @ [1.0, -1.0, 0.5] + generator.normal(0, 0.7, shape[0]) > 0).astype(int)
    best = []
    for label in (0, 1):
        target = (labels == label).astype(float)
        starts = [(0.0, 0.0), (3.0, 1.0), (5.0, 3.0)]
        found = [
            optimize.minimize(lambda x, y=target: -evidence(values, y, *np.exp(x)), s, method="Nelder-Mead")
            for s in starts
        ]
        best.append(-min(result.fun for result in found) / shape[0])
    assert logme(values, labels) == pytest.approx(np.mean(best), abs=2e-3)


def test_logme_prefers_features_that_explain_the_labels() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    noise = generator.normal(size=(200, 20))
    assert (
        logme(noise + 3 * np.eye(20)[labels], labels) > logme(noise + np.eye(20)[labels], labels) > logme(noise, labels)
    )


def test_neighbours_agree_with_scikit_learn() -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 300)
    values = (generator.normal(size=(300, 10)) + 1.5 * np.eye(10)[labels]).astype(np.float32)
    oracle = neighbors.KNeighborsClassifier(3, metric="cosine").fit(values[:200], labels[:200])
    ours = neighbour_accuracy(values[:200], labels[:200], values[200:], labels[200:], 3)
    assert ours == pytest.approx(oracle.score(values[200:], labels[200:]), abs=0.05)


@pytest.mark.parametrize(
    ("per_class", "similarity", "strategy"),
    [
        (1200, 0.98, "full"),
        (1200, 0.99, "head"),
        (20, 0.98, "head"),
        (20, 0.5, "top"),
        (900, 0.98, "top"),
        (900, 0.85, "top"),
        (900, 0.75, "full"),
        (20, 0.75, "top"),
        (900, 0.5, "full"),
    ],
)
def test_each_quadrant_has_its_strategy_and_says_why(per_class: int, similarity: float, strategy: str) -> None:
    found, reasons, *_ = _decide(per_class * 20, per_class, similarity)
    assert found == strategy and f"{similarity:.2f}" in reasons[1] and str(per_class) in reasons[0]
    assert "trained on" not in reasons[1]  # which nobody measured


@pytest.mark.parametrize(
    ("per_class", "similarity", "interval", "strategy", "tie"),
    [
        (900, 0.78, (0.73, 0.83), "top", True),
        (900, 0.78, (0.76, 0.79), "full", False),
        (900, 0.82, (0.78, 0.86), "top", True),
        (20, 0.85, (0.74, 0.93), "head", True),
        (20, 0.85, (0.80, 0.89), "top", False),
    ],
)
def test_what_cannot_be_told_is_said_and_the_strategy_that_trains_less_is_advised(
    per_class: int, similarity: float, interval: tuple[float, float], strategy: str, tie: bool
) -> None:
    found, reasons, *_ = _decide(per_class * 20, per_class, similarity, interval)
    assert found == strategy and ("cannot be told" in reasons[1]) is tie


@pytest.mark.parametrize(("photos", "strategy"), [(199, "head"), (200, "top")])
def test_what_nothing_could_check_is_not_advised(photos: int, strategy: str) -> None:
    found, reasons, *_ = _decide(photos, 30, 0.5)
    assert found == strategy and ("leave none to check" in reasons[2]) is (strategy == "head")


def test_advice_looks_at_training_photos_only(tmp_path) -> None:
    parts.write_photos(tmp_path / "p", kinds=("bolt", "gear", "washer"), per_class=16, size=96)
    dataset = split(find_photos(tmp_path / "p"), 0.25, 0)
    for row in dataset.rows("val"):
        dataset.files()[row].write_bytes(b"not a photo")
    advice = advise(dataset, BUILTIN)
    assert isinstance(advice, Advice) and advice.dataset_size == 36 and advice.photos_per_class == 12
    assert 0 <= advice.similarity <= 1 and advice.linear_probe_accuracy > 1 / 3


def advised(photos: Path, capsys, *options: str | Path) -> dict[str, Any]:
    """What `edgetl train` understands of the command that `edgetl advise` prints."""
    assert console.run(program, "edgetl", ["advise", str(photos), *map(str, options)]) == 0
    told, advice = capsys.readouterr().out.split("advice: ")
    assert max(len(line) for line in told.splitlines()) <= 80
    command = shlex.split(advice)
    assert command[:2] == ["edgetl", "train"]
    return train.make_context("train", command[2:]).params


def test_the_advice_is_a_command_with_all_that_was_advised_on(tmp_path, monkeypatch, capsys) -> None:
    photos = tmp_path / "my photos"
    parts.write_photos(photos, kinds=("bolt", "gear"), per_class=24, size=96)
    options = ("--weights", "none", "--alpha", "0.35", "--image-size", "96")
    more = tmp_path / "more"
    parts.write_photos(more, kinds=("bolt",), per_class=3, size=96)
    found = advised(photos, capsys, more, *options, "--group", r"(\d+) ?", "--val-split", "0.3", "--seed", "3")
    expected = {
        "photos": (photos, more),
        "weights": "none",
        "alpha": 0.35,
        "image_size": 96,
        "group": r"(\d+) ?",
        "seed": 3,
    }
    assert {name: found[name] for name in expected} == expected and found["val_split"] == 0.3
    original = advisor.advise

    def without_a_network(dataset: Dataset, spec: BackboneSpec, seed: int) -> Advice:
        if spec.name == "mobilenet_v2" and spec.weights == "imagenet":
            raise DownloadError("no network")
        return original(dataset, spec, seed)

    monkeypatch.setattr(advisor, "advise", without_a_network)
    for packages in (lite_weights.find_spec, lambda module: None):
        monkeypatch.setattr(lite_weights, "find_spec", packages)
        found = advised(photos, capsys, "--alpha", "1.0", "--image-size", "96")
        stands_in = offline(96)[0]
        assert backbone_spec(found["backbone"], found["alpha"], found["image_size"], found["weights"]) == stands_in
    assert stands_in == BUILTIN


@pytest.mark.parametrize(("side", "size"), [(28, 64), (40, 96), (64, 128), (300, 224)])
def test_all_of_a_backbone_is_trained_on_an_input_that_enlarges_photos_about_twice(tmp_path, side, size) -> None:
    photos = write_photos(tmp_path / "p", ("ball", "box"), 8, size=side)
    (photos / "ball" / "0000.png").write_bytes(b"damaged")
    assert advisor.input_size(split(find_photos(photos), 0.2, 0), BackboneSpec("mobilenet_v2", 1.0, 224)) == size
