"""What shape of input makes a model an image classifier."""

from __future__ import annotations

from typing import Any

from edgetl_device.errors import InputError


def image_shape(shape: Any) -> tuple[int, int, int]:
    """(batch, height, width, channels) → (height, width, 3 or 1); raises InputError for anything else.

    Example:
        >>> image_shape((None, 96, 128, 3))
        (96, 128, 3)
    """
    sizes = tuple(shape) if shape is not None else None
    if sizes is not None and len(sizes) == 4 and sizes[1] in (1, 3) and sizes[3] not in (1, 3):
        raise InputError(f"the model takes {sizes}, channels first: edgetl needs (batch, height, width, 3)")
    if sizes is None or len(sizes) != 4 or sizes[3] not in (1, 3):
        raise InputError(
            f"not an image classifier: it takes {sizes}, expected (batch, height, width, 3), or 1 channel for grey"
        )
    if sizes[1] is None or sizes[2] is None:
        raise InputError(
            f"the model takes images of any size, {sizes}: fix it, as with keras.Input((224, 224, {sizes[3]})), "
            "because the device needs one size"
        )
    return int(sizes[1]), int(sizes[2]), int(sizes[3])
