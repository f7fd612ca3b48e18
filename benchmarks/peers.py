"""What others do with the same embeddings: scikit-learn's classifiers, nearest class mean, and Coral's recipe."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from .situations import Names, Situation

Floats = npt.NDArray[np.float32]


def scaled(codes: npt.NDArray[np.uint8]) -> Floats:
    """Codes → float32 of about unit size, which suits every peer's default settings best."""
    return codes.astype(np.float32) / np.float32(48)


def nearest_mean(features: Floats, labels: Names, tests: Floats) -> Names:
    """Cosine to the class mean ("imprinting", Qi et al., CVPR 2018)."""
    classes = np.unique(labels)
    means = np.stack([features[labels == label].mean(axis=0) for label in classes])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    told: Names = classes[(tests @ means.T).argmax(axis=1)]
    return told


def coral(features: Floats, labels: Names, tests: Floats) -> Names:
    """Coral's on-device recipe, from its documentation: softmax SGD, 500 steps of 100 samples, learning rate 0.01."""
    generator = np.random.default_rng(0)
    classes, rows = np.unique(labels, return_inverse=True)
    weights = generator.normal(0, 0.01, (features.shape[1], len(classes)))
    bias = np.zeros(len(classes))
    targets = np.eye(len(classes))
    for _ in range(500):
        batch = generator.integers(0, len(features), 100)
        logits = features[batch] @ weights + bias
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        error = (shares / shares.sum(axis=1, keepdims=True) - targets[rows[batch]]) / 100
        weights -= 0.01 * features[batch].T @ error
        bias -= 0.01 * error.sum(axis=0)
    told: Names = classes[(tests @ weights + bias).argmax(axis=1)]
    return told


def logistic(features: Floats, labels: Names, tests: Floats, **options: Any) -> Names:
    """scikit-learn's LogisticRegression."""
    from sklearn.linear_model import LogisticRegression

    weights = options.pop("sample_weight", None)
    return _predicted(LogisticRegression(max_iter=1000, **options), features, labels, tests, weights)


def ridge_cv(features: Floats, labels: Names, tests: Floats) -> Names:
    """RidgeClassifierCV."""
    from sklearn.linear_model import RidgeClassifierCV

    return _predicted(RidgeClassifierCV(alphas=np.logspace(-1, 5, 13)), features, labels, tests)


def lda_auto(features: Floats, labels: Names, tests: Floats) -> Names:
    """LinearDiscriminantAnalysis with Ledoit–Wolf shrinkage."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return _predicted(LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"), features, labels, tests)


def rbf_svm(features: Floats, labels: Names, tests: Floats, **options: Any) -> Names:
    """Support vectors with a Gaussian kernel, SVC's own width, C = 10."""
    from sklearn.svm import SVC

    weights = options.pop("sample_weight", None)
    return _predicted(SVC(C=10.0, **options), features, labels, tests, weights)


def nearest_neighbours(features: Floats, labels: Names, tests: Floats) -> Names:
    """The five nearest by cosine (all embeddings are of one length), weighted by their distance."""
    from sklearn.neighbors import KNeighborsClassifier

    return _predicted(KNeighborsClassifier(5, weights="distance"), features, labels, tests)


def sgd(features: Floats, labels: Names, tests: Floats, later: tuple[Floats, Names] | None = None) -> Names:
    """SGDClassifier.partial_fit, five passes in batches of 32; ``later`` samples are all it sees afterwards."""
    from sklearn.linear_model import SGDClassifier

    generator = np.random.default_rng(0)
    parts = [(features, labels), *([later] if later is not None and len(later[1]) else [])]
    classes = np.unique(np.concatenate([names for _, names in parts]))
    model = SGDClassifier(loss="log_loss", random_state=0)
    for part, names in parts:
        for _ in range(5):
            order = generator.permutation(len(names))
            for start in range(0, len(order), 32):
                rows = order[start : start + 32]
                model.partial_fit(part[rows], names[rows], classes=classes)
    told: Names = model.predict(tests)
    return told


FULL: dict[str, Callable[[Floats, Names, Floats], Names]] = {
    "LogisticRegression": logistic,
    "RidgeClassifierCV": ridge_cv,
    "LDA lsqr auto": lda_auto,
    "RBF-SVM": rbf_svm,
    "kNN": nearest_neighbours,
    "SGD partial_fit": sgd,
    "Coral's recipe": coral,
    "nearest class mean": nearest_mean,
}


def few(situation: Situation, same_classes: bool) -> dict[str, Callable[[], Names]]:
    """Peers when the device has seen a few: all but SGD keep the factory's embeddings, which a device would not have.

    Args:
        same_classes: a change of scene: shown samples get the weight of the factory's; else classes are balanced.
    """
    s = situation
    features, shown, tests = scaled(s.factory), scaled(s.shown), scaled(s.tests)
    everything, labels = np.concatenate([features, shown]), np.concatenate([s.factory_labels, s.shown_labels])
    if same_classes:
        share = len(features) / max(len(shown), 1)
        weight = np.concatenate([np.ones(len(features)), np.full(len(shown), share)])
        options: dict[str, Any] = {"sample_weight": weight}
    else:
        options = {"class_weight": "balanced"}
    return {
        "LogisticRegression, weighted": partial(logistic, everything, labels, tests, **options),
        "RBF-SVM, weighted": partial(rbf_svm, everything, labels, tests, **options),
        "kNN": partial(nearest_neighbours, everything, labels, tests),
        "nearest class mean": partial(nearest_mean, everything, labels, tests),
        "SGD on new samples": partial(sgd, features, s.factory_labels, tests, (shown, s.shown_labels)),
    }


def _predicted(
    model: Any, features: Floats, labels: Names, tests: Floats, weights: npt.NDArray[np.float64] | None = None
) -> Names:
    options = {} if weights is None else {"sample_weight": weights}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence: what a user of the defaults gets is what is measured
        told: Names = model.fit(features, labels, **options).predict(tests)
    return told
