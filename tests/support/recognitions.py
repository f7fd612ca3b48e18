"""Recognitions without a camera."""

from __future__ import annotations

import numpy as np

from edgetl_device.app.inspecting import PartVerdict
from edgetl_device.app.subscription import Recognition
from edgetl_device.camera import Frame
from edgetl_device.inference.classifier import Prediction

BAD_PART = PartVerdict("2026-11-26T10:00:00.000+00:00", 7, False, 4.25, 2.0, (0.1, 0.2, 0.3, 0.4), 3, 1)


def recognition(label: str | None, time_s: float, unknown: bool = False, number: int = 1) -> Recognition:
    """Of a label, at a moment of the camera's time in seconds."""
    prediction = Prediction(
        label, 0.875 if label else 0.0, unknown or label is None, ((label, 0.875),) if label else ()
    )
    image = np.zeros((2, 2, 3), np.uint8)
    return Recognition(Frame(image, number, time_s), np.zeros(4, np.int8), prediction, prediction, 3, "digest")
