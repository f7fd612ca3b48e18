"""How much of a backbone to train: how many photos there are, and how near they are to what it was trained on.

The four classic quadrants of transfer learning (Yosinski et al. 2014, https://arxiv.org/abs/1411.1792; the notes of
CS231n, https://cs231n.github.io/transfer-learning/), with nearness measured instead of guessed: on the frozen features,
how well do photos find others of their class (k nearest neighbours, a good predictor of what transfer gives: Renggli et
al. 2020, https://arxiv.org/abs/2010.06402), and how well does a linear probe tell classes apart (Alain and Bengio 2016,
https://arxiv.org/abs/1610.01644)? LogME (You et al. 2021, https://arxiv.org/abs/2102.11005) is shown too: the higher of
two backbones on the same photos is likely the better one; it does not compare data sets.

Only training photos are looked at, so the held-out ones do not choose what they judge.
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.console import Stages
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.metrics import wilson_interval
from edgetl_device.photos import read_photo

from ..backbones.backbone import BackboneSpec, build
from ..data.datasets import Dataset, balanced, split
from .embeddings import embed_once
from .finetuning import ENOUGH_TO_CHECK
from .float_head import Floats, fit_float_head, float_codes, predict

MOST = 3000  # photos looked at: enough for a third digit
SMALLEST, ENLARGED = 64, 2  # pixels, and times
_STEP = 32  # pixels: every backbone takes multiples of it
_LOOKED_AT = 60  # photos
PROBED = 0.25  # share of them that the probes are tested on
NEIGHBOURS = 5
NEARLY_ALL = 0.99  # similarity from which on the head alone solves it
VERY_MANY = 1000  # training photos a class that teach more than the backbone knows, whatever they show
MANY = 200  # training photos a class, from which on there are many
NEAR_FOR_FEW = 0.9  # similarity from which on few photos need the head only
NEAR_FOR_MANY = 0.8  # similarity from which on many photos need the top only
# The borders lie between what was measured (benchmarks/advise.py), held out, head / top / full: flowers (447 a class,
# similarity 0.86) 0.871 / 0.905 / 0.884; litter (386, 0.74) 0.824 / 0.850 / 0.879; cartoons (64, 0.76) 0.839 / 0.893 /
# 0.857. VERY_MANY lies between these and 1,200 digits a class (benchmarks/digits.py). Photos that the borders were not
# chosen on are in the table of benchmarks/advise.py.
_UNCHECKED = (
    f"fewer than {ENOUGH_TO_CHECK} training photos leave none to check a training of more on, and unchecked it "
    "loses as often as it gains"
)


@dataclass(frozen=True)
class Advice:
    """What to do, and the numbers it rests on.

    Args:
        strategy: ``head``, ``top`` or ``full``.
        reasons: in words.
        dataset_size: training photos.
        photos_per_class: of the median class, training photos.
        similarity: 0 (the frozen features are no better than chance) … 1 (they solve the task): mean of the two
            accuracies below, each as a share of the way from chance to perfect.
        linear_probe_accuracy, neighbour_accuracy: on a quarter of the training photos, not used for them.
        logme: the larger, the better the features explain the labels; a log-likelihood a photo.
        samples: how many photos the two accuracies were measured on.
        similarity_interval: 95 % interval of the similarity; where it holds the border between two strategies, they
            tie, and the one that trains less is advised.
    """

    strategy: str
    reasons: tuple[str, ...]
    dataset_size: int
    photos_per_class: int
    similarity: float
    linear_probe_accuracy: float
    neighbour_accuracy: float
    logme: float
    samples: int
    similarity_interval: tuple[float, float]


def advise(dataset: Dataset, spec: BackboneSpec, seed: int = 0) -> Advice:
    """Measure and decide; embeds at most 3,000 training photos once.

    Raises:
        InputError: there are too few photos to measure anything, or none can be read.
    """
    train = dataset.take(dataset.rows("train"))
    sample = train.take(sorted(balanced(train, MOST, seed)))
    with TemporaryDirectory(prefix="edgetl-advise-") as folder, Stages(2) as stage:
        path = Path(folder) / "float.npy"
        stage("loading the backbone")
        model = build(spec, seed)
        stage("embedding photos")
        written = embed_once(model, sample.files(), spec, path)
        values = np.load(path)
    readable = sample.take(written.rows)
    inner = split(readable, PROBED, seed + 2)
    fit, probed = inner.rows("train"), inner.rows("val")
    if len(probed) < 2 or len(set(inner.labels)) < 2:
        raise InputError(f"{len(readable)} readable training photos are too few to advise on: take strategy head")
    labels = np.searchsorted(inner.classes, inner.labels)
    head = fit_float_head(values, [inner.labels[row] for row in fit], fit)
    predicted = np.searchsorted(inner.classes, np.asarray(head.labels)[predict(head, values, probed)[0]])
    probe = float((predicted == labels[probed]).mean())
    codes = float_codes(values)
    nearest = neighbour_accuracy(codes[fit], labels[fit], codes[probed], labels[probed])
    chance = max(Counter(labels[probed].tolist()).values()) / len(probed)
    sizes = sorted(Counter(train.labels).values())
    both = (probe + nearest) / 2
    low, high = wilson_interval(round(both * len(probed)), len(probed))
    interval = _above(chance, low), _above(chance, high)
    decision = _decide(len(train), sizes[len(sizes) // 2], _above(chance, both), interval)
    return Advice(*decision, probe, nearest, logme(values, labels), len(probed), interval)


def input_size(dataset: Dataset, spec: BackboneSpec, seed: int = 0) -> int:
    """The side of the input for training all of a backbone, pixels: photos are not enlarged more than about twice.

    Every pixel is paid for in every epoch, and what enlarging gives frozen features, training learns.
    """
    train = dataset.take(dataset.rows("train"))
    files = train.take(sorted(balanced(train, _LOOKED_AT, seed))).files()
    sides = []
    for file in files:
        with suppress(PhotoError):
            sides.append(min(read_photo(file).shape[:2]))
    wanted = max(SMALLEST, -(-ENLARGED * int(np.median(sides)) // _STEP) * _STEP) if sides else spec.image_size
    return min(wanted, spec.image_size)


def _decide(
    size: int, per_class: int, similarity: float, interval: tuple[float, float] | None = None
) -> tuple[str, tuple[str, ...], int, int, float]:
    if per_class >= MANY and similarity >= NEARLY_ALL:
        solved = f"the backbone tells them apart as it is ({similarity:.2f} of 1): there is nothing to gain"
        return "head", (f"{per_class} training photos in a typical class", solved), size, per_class, similarity
    if per_class >= VERY_MANY:
        plenty = f"{per_class} training photos in a typical class ({VERY_MANY} and more are very many)"
        taught = f"so many teach all of it, from what it knows ({similarity:.2f} of 1)"
        return "full", (plenty, taught), size, per_class, similarity
    many = per_class >= MANY
    border = NEAR_FOR_MANY if many else NEAR_FOR_FEW
    low, high = interval or (similarity, similarity)
    near, tie = high >= border, low < border <= high  # a tie is for the strategy that trains less
    strategy, why = {
        (False, True): ("head", "few photos of things the backbone already tells apart: training more would overfit"),
        (False, False): ("top", "few photos, which it knows in part: adapt its top, keep its general features"),
        (True, True): ("top", "many photos of things it already tells apart: the top can still be sharpened"),
        (True, False): ("full", "many photos, which it knows in part: train all of it, starting from what it knows"),
    }[many, near]
    if size < ENOUGH_TO_CHECK and strategy != "head":
        strategy, why = "head", _UNCHECKED
    reasons = (
        f"{per_class} training photos in a typical class: {'many' if many else 'few'} ({MANY} and more are many)",
        _likeness(near, tie, similarity, (low, high), border),
        why,
    )
    return strategy, reasons, size, per_class, similarity


def _likeness(near: bool, tie: bool, similarity: float, sure: tuple[float, float], border: float) -> str:
    if tie:
        return (
            f"whether the backbone as it is knows your classes well cannot be told ({similarity:.2f}, 95 % "
            f"interval {sure[0]:.2f} … {sure[1]:.2f}; well from {border:.2f} on), so the strategy that trains less"
        )
    how = "well" if near else "in part"
    return f"the backbone as it is knows your classes {how} ({similarity:.2f}; well from {border:.2f} on)"


def _above(chance: float, accuracy: float) -> float:
    return float(np.clip((accuracy - chance) / max(1 - chance, 1e-9), 0, 1))


def neighbour_accuracy(
    known: Floats, known_labels: npt.NDArray[Any], asked: Floats, labels: npt.NDArray[Any], k: int = NEIGHBOURS
) -> float:
    """Share of ``asked`` (m, d) whose k nearest of ``known`` (n, d), by cosine, mostly have its label."""
    k = min(k, len(known))
    unit = [rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (known, asked)]
    cosine = unit[1] @ unit[0].T
    near = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    votes = np.zeros((len(asked), int(max(known_labels.max(), labels.max())) + 1))
    for place in range(k):
        votes[np.arange(len(asked)), known_labels[near[:, place]]] += 1 - place * 1e-3
    return float((votes.argmax(axis=1) == labels).mean())


def logme(values: npt.NDArray[np.floating], labels: npt.NDArray[Any]) -> float:
    """Largest log-evidence a photo of a Bayesian linear model from features to each class's indicator, mean of classes.

    Args:
        values: (n, d) features.
        labels: (n,) class indices.
    """
    rows = values.astype(np.float64)
    left, singular, _ = np.linalg.svd(rows, full_matrices=False)
    squares = singular**2
    return float(np.mean([_evidence(left, squares, rows.shape, labels == c) for c in np.unique(labels)]))


def _evidence(left: npt.NDArray[Any], squares: npt.NDArray[Any], shape: tuple[int, ...], target: Any) -> float:
    """The fixed point of MacKay's updates for prior precision α and noise precision β."""
    count, dimension = shape
    y = target.astype(np.float64)
    z2 = (left.T @ y) ** 2
    beyond = max(float(y @ y - z2.sum()), 0.0)  # what no weights can explain
    alpha = beta = 1.0
    for _ in range(100):
        ratio = alpha / beta
        effective = float((squares / (ratio + squares)).sum())
        weights = float((squares * z2 / (ratio + squares) ** 2).sum())
        residual = float((z2 / (1 + squares / ratio) ** 2).sum()) + beyond
        alpha, beta = effective / max(weights, 1e-12), max(count - effective, 1e-9) / max(residual, 1e-12)
        if abs(alpha / beta - ratio) <= 1e-6 * ratio:
            break
    ratio = alpha / beta
    weights = float((squares * z2 / (ratio + squares) ** 2).sum())
    residual = float((z2 / (1 + squares / ratio) ** 2).sum()) + beyond
    determinant = float(np.log(alpha + beta * squares).sum()) + (dimension - len(squares)) * math.log(alpha)
    evidence = dimension * math.log(alpha) + count * math.log(beta / (2 * math.pi)) - determinant
    return 0.5 * (evidence - beta * residual - alpha * weights) / count
