"""A backbone of one's own architecture: what a RUN keeps of it, and how it is built again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError

from .. import tf
from ..keras_config.building import built
from ..keras_config.configuration import checked_configuration
from .backbone_spec import LARGEST, BackboneSpec

NAME = "own"
_MOST_WEIGHTS = 1 << 29  # 2 GiB of float32: what a model file may hold


@dataclass(frozen=True)
class OwnBackbone(BackboneSpec):
    """A backbone that came in a file, as a flat Keras 2 model of photos in [−1, 1] → pooled features.

    Args:
        weights: name of the file.
        configuration: its architecture, JSON, as :func:`~edgetl.keras_config.configuration.checked_configuration`
            takes it.
        initial: weights in the order of its layers; empty where they come from elsewhere.
    """

    name: str = NAME
    configuration: str = "{}"
    initial: tuple[npt.NDArray[np.float32], ...] = field(default=(), compare=False, repr=False)


def check_own(spec: OwnBackbone) -> None:
    """Raise InputError for an architecture that may not be built; quick, loads nothing."""
    if not 1 <= spec.image_size <= LARGEST:
        raise InputError(f"image size must be 1 to {LARGEST}, got {spec.image_size}")
    checked_configuration(spec.configuration)


def build_own(spec: OwnBackbone, seed: int, most_weights: int = _MOST_WEIGHTS) -> Any:
    """The Keras model: (n, size, size, 3) float32 in [−1, 1] → (n, d) float32 pooled features.

    Raises:
        InputError: Keras cannot build it, it is of another size, or the weights do not fit.
    """
    tf.keras().utils.set_random_seed(seed)
    model = built(spec.configuration, most_weights)
    sizes = (None, spec.image_size, spec.image_size, 3)
    if getattr(model, "input_shape", None) != sizes or len(getattr(model, "output_shape", None) or ()) != 2:
        raise InputError(f"expected an architecture from {sizes} to features, it is of another shape")
    if spec.initial:
        try:
            model.set_weights(list(spec.initial))
        except ValueError as error:
            raise InputError(f"the weights do not fit the architecture: {str(error)[:100]}") from None
    return model


def canonical(configuration: str) -> str:
    """A configuration as it is kept: checked, without blanks."""
    return json.dumps(checked_configuration(configuration), separators=(",", ":"))
