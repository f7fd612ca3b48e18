"""What a manifest says of the inner feature maps that a backbone gives beside its embedding, for visual inspection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..codes import MAX_DIMENSION
from ..errors import InputError

MAX_MAPS = 4
MAX_SIDE = 64  # places
MAX_VALUES = 1 << 20  # of one map


@dataclass(frozen=True)
class InnerMap:
    """One inner feature map.

    Args:
        name: of the layer that computes it.
        shape: (h, w, c), places down and across, and channels.
        scale, zero_point: of its int8 values: real value = scale · (value − zero_point).
    """

    name: str
    shape: tuple[int, int, int]
    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        height, width, channels = self.shape
        if not (0 < len(self.name) <= 128 and self.name.isprintable()):
            raise InputError("an inner map needs a printable name of up to 128 characters")
        if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE and 1 <= channels <= MAX_DIMENSION):
            raise InputError(
                f"an inner map has up to {MAX_SIDE} x {MAX_SIDE} places and {MAX_DIMENSION} channels, got {self.shape}"
            )
        if height * width * channels > MAX_VALUES:
            raise InputError(f"an inner map has up to {MAX_VALUES} values, got {self.shape}")
        if not 0 < self.scale < float("inf") or not -128 <= self.zero_point <= 127:
            raise InputError("an inner map needs a positive scale and a zero point of -128 to 127")

    def to_json(self) -> dict[str, Any]:
        """What the manifest holds."""
        return {"name": self.name, "shape": list(self.shape), "scale": self.scale, "zero_point": self.zero_point}

    @classmethod
    def from_json(cls, value: Any) -> InnerMap:
        """The inverse of :meth:`to_json`; raises InputError on anything else."""
        if not isinstance(value, dict) or set(value) != {"name", "shape", "scale", "zero_point"}:
            raise InputError("an inner map must hold name, shape, scale and zero_point")
        shape = value["shape"]
        if not (isinstance(shape, list) and len(shape) == 3 and all(type(side) is int for side in shape)):
            raise InputError("the shape of an inner map must be three integers")
        if not isinstance(value["name"], str) or type(value["zero_point"]) is not int:
            raise InputError("an inner map needs a name and an integer zero point")
        if type(value["scale"]) not in (int, float):
            raise InputError("the scale of an inner map must be a number")
        return cls(value["name"], (shape[0], shape[1], shape[2]), float(value["scale"]), value["zero_point"])


def maps_of(manifest: Mapping[str, Any]) -> tuple[InnerMap, ...]:
    """The inner maps that a manifest names, finest first; none where it has no such key.

    Raises:
        InputError: it does not describe maps.
    """
    listed = manifest.get("maps", [])
    if not isinstance(listed, list) or len(listed) > MAX_MAPS:
        raise InputError(f"the manifest's maps must be a list of up to {MAX_MAPS}")
    return tuple(InnerMap.from_json(value) for value in listed)
