import numpy as np
import pytest

from edgetl_device import metrics


def test_accuracy_and_recall_by_hand() -> None:
    truth, predicted = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    assert metrics.accuracy(truth, predicted) == pytest.approx(0.6)
    recall = metrics.per_class_recall(truth, predicted, 3)
    assert recall[:2].tolist() == pytest.approx([1 / 2, 2 / 3]) and np.isnan(recall[2])
    assert metrics.confusion(truth, predicted, 2).tolist() == [[1, 1], [1, 2]]


def test_auroc_agrees_with_scikit_learn_ties_included() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    positive, negative = generator.integers(0, 9, 200).astype(float), generator.integers(0, 7, 300).astype(float)
    truth = np.r_[np.ones(200), np.zeros(300)]
    expected = sklearn.roc_auc_score(truth, np.r_[positive, negative])
    assert metrics.auroc(positive, negative) == pytest.approx(expected, abs=1e-12)


def test_of_nothing_there_is_neither_an_auroc_nor_a_calibration_error() -> None:
    some, none = np.array([0.5]), np.zeros(0)
    for positive, negative in ((some, none), (none, some), (none, none)):
        assert np.isnan(metrics.auroc(positive, negative))
    assert np.isnan(metrics.expected_calibration_error(none, none.astype(bool)))


def test_ece_of_a_perfectly_calibrated_and_of_an_overconfident_classifier() -> None:
    confidence = np.full(1000, 0.75)
    correct = np.arange(1000) % 4 != 0
    assert metrics.expected_calibration_error(confidence, correct) == pytest.approx(0.0)
    assert metrics.expected_calibration_error(np.full(1000, 0.95), correct) == pytest.approx(0.2)


def test_softmax_survives_large_scores() -> None:
    assert metrics.softmax(np.array([[1e4, 0.0], [0.0, 0.0]])).tolist() == [[1.0, 0.0], [0.5, 0.5]]
