"""How good predictions are: plain NumPy, no state."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.intp]
Floats = npt.NDArray[np.floating]


def accuracy(truth: Ints, predicted: Ints) -> float:
    """Share of equal entries of two (n,) class indices, 0 … 1; NaN for n = 0."""
    return float(np.mean(truth == predicted)) if len(truth) else float("nan")


def wilson_interval(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share, of which ``hits`` of ``total`` were seen (Wilson 1927).

    https://doi.org/10.1080/01621459.1927.10502953

    >>> tuple(round(end, 2) for end in wilson_interval(36, 40))
    (0.77, 0.96)
    >>> wilson_interval(0, 0)
    (0.0, 1.0)
    """
    if not total:
        return 0.0, 1.0
    share, square = hits / total, z * z / total
    middle = (share + square / 2) / (1 + square)
    half = z * (share * (1 - share) / total + square / total / 4) ** 0.5 / (1 + square)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def difference_interval(
    right: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_], z: float = 1.96
) -> tuple[float, float]:
    """95 % interval of how much more often one classifier is right than another on the same (n,) photos.

    Only photos on which they differ count: the adjusted Wald interval of Bonett and Price (2012),
    https://doi.org/10.3102/1076998611411915. It holds 0 where the two cannot be told apart.

    >>> a, b = np.array([True] * 90 + [False] * 10), np.array([True] * 88 + [False] * 12)
    >>> low, high = difference_interval(a, b)
    >>> low < 0 < high
    True
    """
    size = len(right) + 2
    more, less = (int((right & ~other).sum()) + 1) / size, (int((other & ~right).sum()) + 1) / size
    half = z * ((more + less - (more - less) ** 2) / size) ** 0.5
    return max(more - less - half, -1.0), min(more - less + half, 1.0)


def confusion(truth: Ints, predicted: Ints, classes: int) -> npt.NDArray[np.int64]:
    """(classes, classes) counts, rows are the truth; predictions outside 0 … classes−1 (unknown) are left out."""
    inside = (predicted >= 0) & (predicted < classes)
    cells = truth[inside] * classes + predicted[inside]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def per_class_recall(truth: Ints, predicted: Ints, classes: int) -> npt.NDArray[np.float64]:
    """(classes,) share of each class's samples predicted right; NaN for a class without samples."""
    totals = np.bincount(truth, minlength=classes)
    hits = np.bincount(truth[truth == predicted], minlength=classes)
    with np.errstate(invalid="ignore"):
        return np.asarray(hits / totals, np.float64)


def balanced_accuracy(truth: Ints, predicted: Ints, classes: int) -> float:
    """Mean recall of the classes that have samples, 0 … 1: every class counts the same, however rare; NaN for none."""
    recall = per_class_recall(truth, predicted, classes)
    return float(np.nanmean(recall)) if len(truth) else float("nan")


def reliability(
    confidence: Floats, correct: npt.NDArray[np.bool_], bins: int = 15
) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """What a reliability diagram shows: (bins,) counts, mean confidence and share right; 0 where a bin is empty."""
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(bin_of, minlength=bins).astype(np.int64)
    size = np.maximum(counts, 1)
    return counts, np.bincount(bin_of, confidence, bins) / size, np.bincount(bin_of, correct, bins) / size


def expected_calibration_error(confidence: Floats, correct: npt.NDArray[np.bool_], bins: int = 15) -> float:
    """ECE over equal-width bins of confidence (Guo et al. 2017, https://arxiv.org/abs/1706.04599), 0 is perfect.

    Args:
        confidence: (n,) probabilities of the top labels, 0 … 1.
        correct: (n,) whether these are right.

    Returns:
        0 … 1; NaN for n = 0.
    """
    if not len(confidence):
        return float("nan")
    counts, sure, right = reliability(confidence, correct, bins)
    return float((np.abs(right - sure) * counts).sum() / len(confidence))


def auroc(positive: Floats, negative: Floats) -> float:
    """(p,) and (n,) scores → probability that a positive's exceeds a negative's, ties counting half (Mann–Whitney U).

    NaN where there are no positives or no negatives.
    """
    if not (len(positive) and len(negative)):
        return float("nan")
    scores = np.concatenate([positive, negative])
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = mean_rank[inverse[: len(positive)]].sum()
    return float((rank_sum - len(positive) * (len(positive) + 1) / 2) / (len(positive) * len(negative)))


def softmax(scores: Floats) -> Floats:
    """(n, C) scores → (n, C) probabilities."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def fit_temperature(scores: Floats, truth: Ints) -> float:
    """The T of least negative log-likelihood of softmax(scores / T), by golden-section search over its logarithm.

    Args:
        scores: (n, C).
        truth: (n,) class indices.
    """

    shifted = scores - scores.max(axis=1, keepdims=True)
    own = float(shifted[np.arange(len(truth)), truth].mean(dtype=np.float64))

    def loss(logarithm: float) -> float:
        scale = np.exp(-logarithm)
        return float(np.log(np.exp(shifted * scale).sum(axis=1)).mean(dtype=np.float64) - own * scale)

    low, high = -8.0, 8.0
    ratio = (5**0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    loss_left, loss_right = loss(left), loss(right)
    for _ in range(30):
        if loss_left < loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - ratio * (high - low)
            loss_left = loss(left)
        else:
            low, left, loss_left = left, right, loss_right
            right = low + ratio * (high - low)
            loss_right = loss(right)
    return float(np.exp((low + high) / 2))
