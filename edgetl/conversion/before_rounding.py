"""A float network made ready for the rounding of its kernels.

Rounding shifts the mean of each output channel, and biases make up for that. A scale for all channels of a kernel is
set by the channel with the largest weights, and rounds the others to a few values: batch normalisation, folded, makes
channels differ a hundredfold. So for such scales the kernels are equalized before.
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
class Prepared:
    """A float network that computes what it did.

    Args:
        model: flat, Keras 2, batch normalisation folded.
        kernels: how many it has.
        equalized: how many of them were scaled; 0 where each channel has a scale.
        per_tensor: whether a kernel of a convolution will have one scale for all of its channels.
        photos: (n, h, w, 3) uint8 RGB that biases are corrected on.
        scale: what the uint8 values 0 and 255 stand for at its input.
    """

    model: Any
    kernels: int
    equalized: int
    per_tensor: bool
    photos: npt.NDArray[np.uint8]
    scale: tuple[float, float]

    def corrected(self) -> Any:
        """The model to quantize: its biases make up for the rounding of the kernels."""
        return corrected(self.model, to_float(self.photos, self.scale), self.per_tensor).model

    def says(self) -> str:
        """For a person, a part of a line."""
        return f"biases; {self.equalized} of {self.kernels} kernels equalized" if self.per_tensor else "biases"

    def to_json(self) -> dict[str, int]:
        """What ``--json`` holds."""
        return {"kernels": self.kernels, "equalized": self.equalized}


def prepared(source: FloatModel, photos: npt.NDArray[np.uint8], per_tensor: bool) -> Prepared | None:
    """Make the backbone of a float model ready; None, with a note, where it is nothing that can be taken apart.

    Args:
        photos: (n, h, w, 3) uint8 RGB of all classes, in random order, such as those that calibrate.
        per_tensor: whether to equalize it, for kernels with one scale for all channels.
    """
    reason = "that needs a RUN or a Keras 2 model"
    try:
        model = source.keras()
        reason = ""
        model = flat_backbone(model)
    except InputError as error:
        without = "one scale a kernel without equalization, which may cost much accuracy"
        note(f"{without if per_tensor else 'biases are not corrected for rounding'}: {reason or error}")
        return None
    kernels, scaled = sum(type(layer).__name__ in AXES for layer in model.layers), 0
    if per_tensor:
        shown = photos[:SHOWN]
        found = equalized(model, to_float(shown, source.scale))
        model, scaled = found.model, found.kernels
        note(f"equalized {scaled} of {kernels} kernels on {len(shown)} photos")
    return Prepared(model, kernels, scaled, per_tensor, photos[:CORRECTED], source.scale)
