"""Class activation while the camera runs: where in a photo the evidence for its label is.

The rule is that of ``edgetl explain``, which says what it means and measures what it leaves out. Here slopes come from
the head's own formula instead of differences: scores of these rules are at most quadratic in the codes, so their mean
slope between the empty embedding and the photo's is the slope halfway.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..codes import Codes, CodeTransform
from ..heads import Head, Linear, Predictive, Softmax

Map = npt.NDArray[np.float32]


def can_explain(head: Head) -> bool:
    """Whether :func:`contributions` knows the head's rule and there is another label to compare with."""
    return isinstance(head.scorer, Predictive | Softmax | Linear) and len(head.labels) > 1


def contributions(head: Head, codes: Codes, transform: CodeTransform, number: int) -> Map:
    """One photo's codes (d,) uint8 → (d,) what each feature adds to a label's score over the mean of the others'.

    Args:
        number: of the label in ``head.labels``; :func:`can_explain` must hold.
    """
    assert isinstance(head.scorer, Predictive | Softmax | Linear)
    offset = codes.astype(np.float32) - np.float32(transform.origin)
    halfway: Map = np.asarray(offset * 0.5 + transform.origin, np.float32)
    slopes = head.scorer.slopes(halfway)
    others = (slopes.sum(axis=0) - slopes[number]) / (len(slopes) - 1)
    return np.asarray((slopes[number] - others) * offset, np.float32)


def spread(shares: Map, features: Map) -> Map:
    """Contributions of features (d,) over a feature map (h, w, d) of real values → (h, w), adding up to the same."""
    total = features.sum(axis=(0, 1))
    size = np.abs(features).sum(axis=(0, 1))
    # A sum that cancels out cannot be shared out in proportion; then sizes are. ReLU features never cancel.
    weights = np.where(np.abs(total) > 0.01 * size, features, np.abs(features))
    whole = weights.sum(axis=(0, 1))
    even = np.full(features.shape[:2], 1.0 / (features.shape[0] * features.shape[1]), np.float32)
    parts = np.where(whole != 0, weights / np.where(whole != 0, whole, 1), even[:, :, None])
    return np.asarray(parts @ shares, np.float32)


def as_picture(evidence: Map) -> npt.NDArray[np.uint8]:
    """(h, w) evidence → (h, w) uint8: 255 where it is strongest, 0 where there is none or it speaks against."""
    strongest = float(evidence.max(initial=0.0))
    if strongest <= 0.0:
        return np.zeros(evidence.shape, np.uint8)
    return np.asarray(np.rint(np.maximum(evidence, 0.0) * (255.0 / strongest)), np.uint8)
