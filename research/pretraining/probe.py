"""How good are frozen features? Linear classifiers fitted on them tell.

A probe splits a folder of photos 80 / 20, computes features without training them, fits a classifier on the
larger part and counts what it gets right in the other (Alain & Bengio 2016, https://arxiv.org/abs/1610.01644).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from research.pretraining.linear import fit_lda, fit_logistic
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
    preprocess = Preprocessing(size, size)
    try:
        images = np.stack([preprocess(read_photo(path)) for of_class in paths.values() for path in of_class])
    except PhotoError as error:
        raise PretrainingError(f"{error}; remove it") from error
    labels = np.repeat(np.arange(len(paths)), [len(of_class) for of_class in paths.values()])
    return LabelledPhotos(images, labels, tuple(paths), _split(labels, seed))


def split_anew(photos: LabelledPhotos, seed: int) -> LabelledPhotos:
    """The same photos in the split that `read_folder` makes with `seed`."""
    return replace(photos, train=_split(photos.labels, seed))


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


def _split(labels: np.ndarray, seed: int) -> np.ndarray:
    """Which photos are fitted on: four of five of every class; `labels` are sorted."""
    random = np.random.default_rng(seed)
    train = []
    for count in np.bincount(labels):
        part = np.ones(count, bool)
        part[random.permutation(count)[: max(1, round(count / 5))]] = False
        train.append(part)
    return np.concatenate(train)


def _accuracy(fitted: tuple[np.ndarray, np.ndarray], features: np.ndarray, photos: LabelledPhotos) -> float:
    weights, bias = fitted
    held_out = ~photos.train
    predicted = np.argmax(features[held_out] @ weights + bias, axis=1)
    return float(np.mean(predicted == photos.labels[held_out]))
