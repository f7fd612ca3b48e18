"""What identifies a backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgetl_device.preprocess import Preprocessing
from edgetl_device.region import Region

LARGEST = 2048  # pixels: a camera's whole picture


@dataclass(frozen=True)
class BackboneSpec:
    """What identifies a backbone before it is built.

    Args:
        name: a key of the catalogue.
        alpha: width multiplier.
        image_size: side of the square input, pixels.
        weights: ``imagenet``, ``builtin``, ``none`` or the path of a weights file.
        region: the part of the photos that counts, stretched to the input; None is the largest square in the middle.
    """

    name: str = "mobilenet_v2"
    alpha: float = 1.0
    image_size: int = 224
    weights: str = "imagenet"
    region: Region | None = None

    @property
    def preprocessing(self) -> Preprocessing:
        """How frames become its input."""
        size = self.image_size
        return Preprocessing(size, size) if self.region is None else Preprocessing(size, size, "stretch", self.region)

    @property
    def input_range(self) -> tuple[float, float]:
        """What the uint8 values 0 and 255 stand for."""
        return (-1.0, 1.0)

    def to_json(self) -> dict[str, Any]:
        """What manifest and RUN say of it."""
        return {"name": self.name, "alpha": self.alpha, "image_size": self.image_size, "weights": self.weights}
