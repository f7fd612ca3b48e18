"""Rendered machine parts as further classes: what the demo and the tests look at should not be a foreign world.

Three kinds are left out, so that there remain rendered things the backbone has never seen: the demo's new kind is one.
"""

from __future__ import annotations

import cv2
import numpy as np

from edgetl_device import parts
from research.pretraining.archive import Photos
from research.pretraining.recipe import Recipe

UNSEEN_KINDS = ("bearing", "hinge", "hook")
KINDS = tuple(kind for kind in parts.KINDS if kind not in UNSEEN_KINDS)
_SEED = 1_000_003  # the demo and the tests use small seeds: none of these photos is shown there


def rendered_photos(recipe: Recipe, side: int, first_label: int) -> Photos:
    """`recipe.rendered_per_kind` photos of each of KINDS, all lights in turn.

    Args:
        side: of the square photos, pixels.
        first_label: label of the first kind; the others follow.
    """
    images = [
        cv2.cvtColor(parts.render(kind, light=parts.LIGHTS[number % len(parts.LIGHTS)], size=side, seed=_SEED + number),
                     cv2.COLOR_BGR2RGB)
        for kind in KINDS
        for number in range(recipe.rendered_per_kind)
    ]  # fmt: skip
    labels = np.repeat(np.arange(first_label, first_label + len(KINDS)), recipe.rendered_per_kind)
    return Photos(np.stack(images), labels.astype(np.int32))
