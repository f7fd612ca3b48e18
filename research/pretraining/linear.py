"""Two linear classifiers, in NumPy alone: shrinkage LDA and logistic regression."""

from __future__ import annotations

import numpy as np


def fit_lda(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear discriminant analysis with equal priors.

    The within-class covariance, scaled to unit diagonal (variances floored at 0.1 of their mean), is
    mixed with the identity by λ = d / (d + n), which needs no search.

    Args:
        features: (n, d).
        labels: (n,) integers 0 … c - 1, every one present.

    Returns:
        Weights (d, c) and bias (c,): the class is argmax(features @ weights + bias).
    """
    features = features.astype(np.float64)
    count, width = features.shape
    members = np.eye(labels.max() + 1)[labels]
    means = members.T @ features / members.sum(axis=0)[:, None]
    centred = features - means[labels]
    scatter = centred.T @ centred
    variances = np.diag(scatter)
    scale = np.sqrt(np.maximum(variances, 0.1 * variances.mean()) + 1e-12)
    shrinkage = width / (width + count)
    mixed = (1 - shrinkage) * scatter / np.outer(scale, scale) + shrinkage * np.eye(width)
    # `mixed` is in units of scatter, a sum over photos; means are divided by the spread of one photo.
    spread = scale / np.sqrt(count)
    weights = np.linalg.solve(mixed, (means / spread).T) / spread[:, None]
    return weights, -0.5 * np.einsum("cd,dc->c", means, weights)


def fit_logistic(
    features: np.ndarray, labels: np.ndarray, penalty: float = 0.01, steps: int = 500
) -> tuple[np.ndarray, np.ndarray]:
    """Multinomial logistic regression on standardised features, L2-penalised, by accelerated gradients.

    Nesterov's method for strongly convex functions with the step from the largest eigenvalue, so there is no
    rate to choose (Nesterov 2004, Introductory Lectures on Convex Optimization, 2.2.19).

    Args:
        features: (n, d).
        labels: (n,) integers 0 … c - 1.
        penalty: minimised is the mean cross-entropy + penalty / 2 * |weights|², in standardised units.

    Returns:
        Weights (d, c) and bias (c,) for the features as they were given.
    """
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    design = np.column_stack([(features - mean) / scale, np.ones(len(features))])
    truth = np.eye(labels.max() + 1)[labels]
    decay = np.full((design.shape[1], 1), penalty)
    decay[-1] = 0.0  # The bias is free.
    # The Hessian of the softmax is at most half the Gram matrix (Böhning 1992).
    curvature = 0.5 * np.linalg.norm(design, 2) ** 2 / len(design) + penalty
    root = np.sqrt(penalty / curvature)
    momentum = (1 - root) / (1 + root)
    weights = ahead = np.zeros((design.shape[1], truth.shape[1]))
    for _ in range(steps):
        scores = design @ ahead
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        gradient = design.T @ (scores / scores.sum(axis=1, keepdims=True) - truth) / len(design) + decay * ahead
        previous, weights = weights, ahead - gradient / curvature
        ahead = weights + momentum * (weights - previous)
    return weights[:-1] / scale[:, None], weights[-1] - (mean / scale) @ weights[:-1]
