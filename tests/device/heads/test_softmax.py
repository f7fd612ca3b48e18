"""The softmax rule against scikit-learn, and what it adds to the predictive discriminant."""

from dataclasses import replace

import numpy as np
import pytest

from edgetl_device.heads.evidence import Evidence, gather
from edgetl_device.heads.head import fit_head
from edgetl_device.heads.lbfgs import minimise
from edgetl_device.heads.predictive import Predictive
from edgetl_device.heads.softmax import STIFFNESS, Softmax, fit_on
from edgetl_device.statistics import statistics_of

DIMENSION, CLASSES = 24, 4


def photos(per_class: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Classes that share their means with a neighbour in most features: hard to tell apart."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(90, 8, size=(CLASSES, DIMENSION))
    rows = np.repeat(np.arange(CLASSES), per_class)
    noise = generator.standard_t(4, size=(len(rows), DIMENSION)) * (8 + 4 * rows[:, None])
    return np.clip(centres[rows] + noise, 0, 255).astype(np.uint8), [f"class-{row}" for row in rows]


def known(codes: np.ndarray, labels: list[str]) -> Evidence:
    held, held_labels = photos(10, seed=5)
    return gather(statistics_of(codes, labels, "b", "r"), held, held_labels, codes[:0], (), "r")


def test_lbfgs_finds_the_minimum_of_a_quadratic() -> None:
    generator = np.random.default_rng(0)
    root = generator.normal(size=(40, 40))
    matrix, target = root @ root.T + 0.1 * np.eye(40), generator.normal(size=40)
    found = minimise(lambda x: (0.5 * x @ matrix @ x - target @ x, matrix @ x - target), np.zeros(40), 1e-9)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, target), atol=1e-6)


def test_lbfgs_crosses_rosenbrocks_valley() -> None:
    def valley(x: np.ndarray) -> tuple[float, np.ndarray]:
        a, b = 1 - x[0], x[1] - x[0] ** 2
        return a * a + 100 * b * b, np.array([-2 * a - 400 * x[0] * b, 200 * b])

    np.testing.assert_allclose(minimise(valley, np.array([-1.2, 1.0]), 1e-10), [1, 1], atol=1e-8)


def test_without_offsets_it_is_scikit_learns_logistic_regression_in_the_whitened_space() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    codes, labels = photos(60, seed=1)
    base = Predictive.fit(known(codes, labels))
    silent = replace(base, weights=base.weights * 0, slope=base.slope * 0, bias=base.bias * 0)
    ours = fit_on(Softmax(silent.labels, silent, silent.weights, silent.bias), codes, labels)
    assert base.precision is not None
    whitened = (codes - base.centre) @ np.linalg.cholesky(base.precision.matrix.astype(np.float64))
    oracle = linear_model.LogisticRegression(C=1 / STIFFNESS, fit_intercept=False, tol=1e-8, max_iter=10_000)
    with_one = np.hstack([whitened, np.ones((len(codes), 1))])  # our bias is penalised too
    theirs = oracle.fit(with_one, labels).decision_function(with_one)
    found = ours.scores(codes)
    np.testing.assert_allclose(found - found.mean(1, keepdims=True), theirs, atol=2e-3)


def test_the_factorys_correction_lowers_the_loss_on_what_it_was_fitted_on() -> None:
    codes, labels = photos(60, seed=1)
    before = known(codes, labels)
    after = replace(before, correction=Softmax.correction(before, codes, labels))

    def loss(evidence: Evidence) -> float:
        head = fit_head(evidence, "softmax")
        scores = head.scorer.scores(codes).astype(np.float64)
        truth = [head.labels.index(label) for label in labels]
        return float(np.mean(np.log(np.exp(scores).sum(1)) - scores[np.arange(len(codes)), truth]))

    assert loss(after) < loss(before) - 0.01


def test_a_device_starts_from_the_factorys_correction_and_new_or_hidden_classes_have_none() -> None:
    codes, labels = photos(60, seed=1)
    before = known(codes, labels)
    correction = Softmax.correction(before, codes, labels)
    found = fit_head(replace(before, correction=correction, hidden=frozenset({"class-1"})), "softmax").scorer
    assert isinstance(found, Softmax)
    kept = [0, 2, 3]
    np.testing.assert_array_equal(found.weights, correction.weights[kept])
    device, _ = photos(3, seed=2)
    new = gather(before.factory, before.holdout, before.holdout_labels, device[:3], ["zebra"] * 3, "r")
    taught = fit_head(replace(new, correction=correction), "softmax")
    assert taught.labels == ("class-0", "class-1", "class-2", "class-3", "zebra")
