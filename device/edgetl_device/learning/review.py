"""Frames worth a person's glance: how sure the head is of them, in which order to ask, and what becomes of the answers.

What is asked about first stands for most of what the head is unsure of: facility location, weighted by uncertainty
(K. Wei, R. Iyer and J. Bilmes, "Submodularity in Data Subset Selection and Active Learning", ICML 2015; the margin as
uncertainty: B. Settles, "Active Learning Literature Survey", University of Wisconsin–Madison, Computer Sciences
Technical Report 1648, 2009, section 3.1). ``benchmarks/review.py`` compares it with asking for the least sure frames
alone, and for those that are far from each other (k-center: O. Sener and S. Savarese, "Active Learning for
Convolutional Neural Networks: A Core-Set Approach", ICLR 2018).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..errors import InputError
from ..heads.head import Head
from ..store.review import ReviewFrame

if TYPE_CHECKING:
    from .learner import Learner

Floats = npt.NDArray[np.float32]


def uncertainty(probabilities: npt.NDArray[np.floating], unknown: npt.NDArray[np.bool_]) -> Floats:
    """(n, C) probabilities and (n,) whether it resembles nothing that is known → (n,) 0 … 1.

    It is 1 less the margin between the two most probable classes, and 1 for what is unknown.

    >>> sure = uncertainty(np.array([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]]), np.array([False, False, True]))
    >>> sure.tolist()
    [1.0, 0.5, 1.0]
    """
    padded = np.pad(probabilities, ((0, 0), (0, 2)))
    best = -np.partition(-padded, 1, axis=1)[:, :2]
    return np.where(unknown, 1.0, 1.0 - (best[:, 0] - best[:, 1])).astype(np.float32)


def directions(codes: Codes, origin: int) -> Floats:
    """(n, d) uint8 codes → (n, d) of length 1, so that products of rows are cosines; all zero stays so."""
    centred = codes.astype(np.float32) - origin
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6), np.float32)


def by_gain(rows: Floats, weights: Floats) -> list[int]:
    """The order in which to ask about n photos: each time the one by which the photos asked about stand for most.

    A photo stands for another as far as they are alike (cosine, at least 0), and that counts as much as the other is
    uncertain. Greedy, so at least 1 − 1/e of the best choice of any size; what is left stands for nothing more and
    follows by uncertainty. Costs O(n³ + n² d).

    >>> by_gain(np.array([[1, 0], [0, 1], [0.8, 0.6], [1, 0]], np.float32), np.array([0.5, 1.0, 0.5, 0.5], np.float32))
    [2, 1, 0, 3]

    Args:
        rows: (n, d) of length 1, see :func:`directions`.
        weights: (n,) 0 … 1, see :func:`uncertainty`.
    """
    alike = np.maximum(rows @ rows.T, 0.0)
    stood_for = np.zeros(len(rows), np.float32)
    left = np.ones(len(rows), bool)
    order: list[int] = []
    while left.any():
        gains = np.maximum(alike - stood_for, 0.0) @ weights + 1e-6 * weights
        order.append(int(np.where(left, gains, -np.inf).argmax()))
        left[order[-1]] = False
        stood_for = np.maximum(stood_for, alike[order[-1]])
    return order


def review_order(head: Head, codes: Codes, origin: int) -> list[int]:
    """(n, d) uint8 codes → in which order to ask what they are, for a head."""
    if not len(codes):
        return []
    _, probabilities, unknown = head.recognise(codes)
    rows = directions(codes, origin)
    if len(rows) > 2:  # what all have in common tells none apart
        rows = rows - rows.mean(axis=0)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return by_gain(rows, uncertainty(probabilities, unknown))


def frames_for_review(learner: Learner) -> list[ReviewFrame]:
    """What is kept for review of the learner's backbone, in the order in which to ask, for the head in use."""
    d = learner.transform.dimension
    frames = [each for each in learner.store.review.frames(learner.bundle.backbone_digest) if len(each.raw) == d]
    if not frames:
        return []
    codes = learner.transform(np.stack([frame.raw for frame in frames]))
    return [frames[place] for place in review_order(learner.active_head(), codes, learner.transform.origin)]


def label_frames(learner: Learner, label: str, ids: Sequence[int]) -> list[int]:
    """Say what kept frames show: they become samples with their pictures, and leave the review. → the samples' ids.

    A retraining learns them, as it does whatever else was added.

    Raises:
        InputError: no ids, a frame that is not there, or not a label.
        StorageError: they cannot be stored; they stay.
    """
    return list(samples_of_frames(learner, label, ids))


def samples_of_frames(learner: Learner, label: str, ids: Sequence[int]) -> dict[int, ReviewFrame]:
    """As :func:`label_frames`; → each sample's id and the frame that it was."""
    with learner.lock():
        frames = _chosen(learner, ids)
        views: dict[str, list[ReviewFrame]] = {}
        for frame in frames:
            views.setdefault(frame.view, []).append(frame)
        for of_view in views.values():  # before the first is stored
            learner.check_addition(label, np.stack([frame.raw for frame in of_view]))
        samples: dict[int, ReviewFrame] = {}
        for view, of_view in views.items():
            raw, pictures = np.stack([frame.raw for frame in of_view]), [frame.jpeg for frame in of_view]
            samples |= dict(zip(learner.add(label, raw, pictures, view=view), of_view, strict=True))
            learner.store.review.drop([frame.id for frame in of_view])
    return samples


def frames_of_samples(learner: Learner, label: str, samples: Mapping[int, ReviewFrame]) -> int:
    """Take :func:`samples_of_frames` back: the samples are forgotten exactly, and their frames are kept as before.

    → how many; samples that were forgotten or moved since stay as they are.

    Raises:
        InputError: none is left.
        StorageError: they cannot be kept; nothing has changed.
    """
    with learner.lock():
        labels = learner.store.labels_of(learner.bundle.backbone_digest, list(samples))
        left = [sample for sample, of_sample in labels.items() if of_sample == label]
        if not left:
            raise InputError(f"there is nothing left to undo: these samples of {label} were forgotten or moved")
        learner.store.review.put_back([samples[sample] for sample in left])  # first, so that nothing is ever lost
        return learner.forget(left)


def drop_frames(learner: Learner, ids: Sequence[int] | None = None) -> int:
    """Forget kept frames, or all of them, without a trace; → how many. Raises InputError as :func:`label_frames`."""
    with learner.lock():
        if ids is None:
            return learner.store.review.drop()
        return learner.store.review.drop([frame.id for frame in _chosen(learner, ids)])


def _chosen(learner: Learner, ids: Sequence[int]) -> list[ReviewFrame]:
    if not ids:
        raise InputError("no frames were chosen: `edgetl-device review` lists them")
    frames = learner.store.review.frames(learner.bundle.backbone_digest, ids)
    missing = sorted(set(ids) - {frame.id for frame in frames})
    if missing:
        raise InputError(f"no frame {missing[0]} is kept for review: `edgetl-device review` lists them")
    return frames
