"""How good are frozen features? Two linear classifiers fitted on them, in NumPy alone.

A probe splits a folder of photos 80 / 20, computes features without training them, fits a classifier on the
larger part and counts what it gets right in the other (Alain & Bengio 2016, https://arxiv.org/abs/1610.01644).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
import tf_keras

from edgetl_device.errors import PhotoError
from edgetl_device.photo_folders import photos_in
from edgetl_device.photos import read_photo
from edgetl_device.preprocess import Preprocessing
from research.pretraining.errors import PretrainingError
from research.pretraining.recipe import IMAGE_SIZE


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos and a split of them.

    Attributes:
        images: (n, size, size, 3) uint8 RGB.
        labels: (n,) int64, indices into `classes`.
        classes: sorted folder names.
        train: (n,) bool; fitted on where true, measured on where false.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    train: np.ndarray


def read_folder(folder: Path, size: int = IMAGE_SIZE, seed: int = 0) -> LabelledPhotos:
    """Reads a folder with one folder a class, as a device sees it, and splits it.

    80 / 20, seeded, the same fraction of every class.

    Raises:
        PretrainingError: fewer than two classes with at least two photos each, or an unreadable photo.
    """
    if not folder.is_dir():
        raise PretrainingError(f"{folder}: no such folder; expected one with a folder of photos for each class")
    contents = {child.name: photos_in(child) for child in sorted(folder.iterdir()) if child.is_dir()}
    unused = [item for content in contents.values() for item in content.unused]
    if unused:
        raise PretrainingError(f"{unused[0]}; remove it")
    paths = {name: content.photos for name, content in contents.items()}
    if len(paths) < 2 or min(map(len, paths.values())) < 2:
        counts = ", ".join(f"{name}: {len(of_class)}" for name, of_class in paths.items()) or "none"
        raise PretrainingError(f"{folder}: expected two or more class folders of two or more photos, found {counts}")
    random = np.random.default_rng(seed)
    train = []
    for of_class in paths.values():
        part = np.ones(len(of_class), bool)
        part[random.permutation(len(of_class))[: max(1, round(len(of_class) / 5))]] = False
        train.append(part)
    preprocess = Preprocessing(size, size)
    try:
        images = np.stack([preprocess(read_photo(path)) for of_class in paths.values() for path in of_class])
    except PhotoError as error:
        raise PretrainingError(f"{error}; remove it") from error
    labels = np.repeat(np.arange(len(paths)), [len(of_class) for of_class in paths.values()])
    return LabelledPhotos(images, labels, tuple(paths), np.concatenate(train))


def pooled_features(backbone: tf_keras.Model, photos: LabelledPhotos, batch_size: int = 50) -> np.ndarray:
    """The backbone's output averaged over positions: (n, channels) float32."""

    def mean_of_map(batch: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(backbone(batch, training=False), axis=(1, 2))

    run = tf.function(mean_of_map, reduce_retracing=True)

    batches = range(0, len(photos.images), batch_size)
    scaled = (photos.images[start : start + batch_size].astype(np.float32) / 127.5 - 1 for start in batches)
    return np.concatenate([run(batch).numpy() for batch in scaled])


def pixel_features(photos: LabelledPhotos, side: int = 16) -> np.ndarray:
    """The photos themselves, shrunk: (n, 3 * side²) float32. What any backbone has to beat."""
    small = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in photos.images]
    return np.stack(small).reshape(len(small), -1).astype(np.float32)


def lda_accuracy(features: np.ndarray, photos: LabelledPhotos) -> float:
    """Accuracy on the held-out part of shrinkage LDA fitted on the other."""
    return _accuracy(fit_lda(features[photos.train], photos.labels[photos.train]), features, photos)


def logistic_accuracy(features: np.ndarray, photos: LabelledPhotos) -> float:
    """Accuracy on the held-out part of logistic regression fitted on the other."""
    return _accuracy(fit_logistic(features[photos.train], photos.labels[photos.train]), features, photos)


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


def _accuracy(fitted: tuple[np.ndarray, np.ndarray], features: np.ndarray, photos: LabelledPhotos) -> float:
    weights, bias = fitted
    held_out = ~photos.train
    predicted = np.argmax(features[held_out] @ weights + bias, axis=1)
    return float(np.mean(predicted == photos.labels[held_out]))
