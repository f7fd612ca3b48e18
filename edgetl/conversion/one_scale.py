"""A network made ready for kernels with one scale for all channels: equalized, then its biases corrected.

Such a scale is set by the channel with the largest weights, and rounds the others to a few values. Batch normalisation,
folded, makes channels differ a hundredfold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.console import note
from edgetl_device.errors import InputError

from ..models.flattening import flat_backbone
from ..models.float_model import FloatModel
from ..training.embeddings import to_float
from .bias_correction import corrected
from .equalization import AXES, equalized

SHOWN = 128  # photos that ranges are taken of
CORRECTED = 64  # photos that means are taken of


@dataclass(frozen=True, eq=False)
class Evened:
    """A float network that computes what it did, with kernels that one scale fits.

    Args:
        model: flat, Keras 2, batch normalisation folded.
        equalized: how many of its kernels were scaled.
        kernels: how many it has.
        photos: (n, h, w, 3) uint8 RGB that biases are corrected on.
        scale: what the uint8 values 0 and 255 stand for at its input.
    """

    model: Any
    equalized: int
    kernels: int
    photos: npt.NDArray[np.uint8]
    scale: tuple[float, float]

    def corrected(self) -> Any:
        """The model to quantize: its biases make up for the rounding of the kernels."""
        return corrected(self.model, to_float(self.photos, self.scale)).model

    def to_json(self) -> dict[str, int]:
        """What ``--json`` holds."""
        return {"equalized": self.equalized, "kernels": self.kernels}


def evened(source: FloatModel, photos: npt.NDArray[np.uint8]) -> Evened | None:
    """Equalize the backbone of a float model; None, with a note, where it is nothing that can be taken apart.

    Args:
        photos: (n, h, w, 3) uint8 RGB, class-balanced, such as those that calibrate.
    """
    try:
        flat = flat_backbone(source.keras())
    except InputError as error:
        note(f"one scale a kernel without equalization, which may cost much accuracy: {error}")
        return None
    shown, chosen = (
        photos[np.unique(np.linspace(0, len(photos) - 1, count).astype(np.intp))] for count in (SHOWN, CORRECTED)
    )
    found = equalized(flat, to_float(shown, source.scale))
    kernels = sum(type(layer).__name__ in AXES for layer in flat.layers)
    note(f"equalized {found.kernels} of {kernels} kernels on {len(shown)} photos")
    return Evened(found.model, found.kernels, kernels, chosen, source.scale)
