"""Round parts that always lie in the middle of the picture, whole or chipped, for tests of inspection."""

import cv2
import numpy as np


def part(seed: int, *, chipped: bool = False) -> np.ndarray:
    """A (64, 80, 3) BGR photo of a disc that always lies in the middle, a quarter of it broken out if chipped."""
    generator = np.random.default_rng(seed)
    frame = np.ascontiguousarray(np.clip(generator.normal(60, 4, (64, 80, 3)), 0, 255).astype(np.uint8))
    cv2.circle(frame, (40, 32), 22, (int(generator.integers(180, 200)), 190, 150), -1)
    if chipped:
        cv2.rectangle(frame, (40, 8), (66, 30), (60, 60, 60), -1)
    return frame
