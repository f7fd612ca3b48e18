"""Class activation while the camera runs: where in a photo the evidence for its label is.

:mod:`edgetl_device.heads.contributions` says what each feature adds to a label's score; here it is shared out over the
places of the feature map. ``edgetl explain`` says what such a map means and measures what it leaves out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..heads.head import Head

Map = npt.NDArray[np.float32]


def can_explain(head: Head) -> bool:
    """Whether the head's contributions are fast enough for every frame, and there is a label to compare with."""
    return head.scorer.has_slopes and len(head.labels) > 1


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
