"""The catalogue of backbones: Keras application, weights and scaling."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgetl_device.errors import InputError
from edgetl_device.preprocess import Preprocessing

from . import tf

ALPHAS = {"mobilenet_v2": (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)}
BACKBONES = tuple(ALPHAS)


_BUILTIN_FILE = Path(__file__).parent / "builtin" / "mobilenet_v2_0.35_96.h5"


class DownloadError(InputError):
    """The published weights cannot be downloaded."""


@dataclass(frozen=True)
class BackboneSpec:
    """What identifies a backbone before it is built.

    Args:
        name: a key of the catalogue.
        alpha: width multiplier.
        image_size: side of the square input, pixels.
        weights: ``imagenet``, ``builtin``, ``none`` or the path of a weights file.
    """

    name: str = "mobilenet_v2"
    alpha: float = 1.0
    image_size: int = 224
    weights: str = "imagenet"

    @property
    def preprocessing(self) -> Preprocessing:
        """How frames become its input."""
        return Preprocessing(self.image_size, self.image_size)

    @property
    def input_range(self) -> tuple[float, float]:
        """What the uint8 values 0 and 255 stand for."""
        return (-1.0, 1.0)


BUILTIN = BackboneSpec("mobilenet_v2", 0.35, 96, "builtin")
"""The backbone that comes with edgetl: small, pre-trained by this project (see ``builtin/MODEL_CARD.md``)."""


def check(spec: BackboneSpec) -> None:
    """Raise InputError for a backbone that cannot be built; quick, loads nothing."""
    if spec.name not in BACKBONES:
        raise InputError(f"unknown backbone {spec.name!r}: expected one of {', '.join(BACKBONES)}")
    if spec.image_size < 32 or spec.image_size % 32:
        raise InputError(f"image size must be a multiple of 32 (five halvings), got {spec.image_size}")
    if spec.weights == "imagenet" and spec.alpha not in ALPHAS[spec.name]:
        published = ", ".join(str(alpha) for alpha in ALPHAS[spec.name])
        raise InputError(f"no ImageNet weights for alpha {spec.alpha}: expected one of {published}")
    if spec.alpha <= 0:
        raise InputError(f"alpha must be positive, got {spec.alpha}")
    if spec.weights == "builtin" and (spec.name, spec.alpha) != (BUILTIN.name, BUILTIN.alpha):
        raise InputError(
            f"the built-in weights are for {BUILTIN.name} alpha {BUILTIN.alpha}, got {spec.name} alpha {spec.alpha}"
        )
    if spec.weights not in ("imagenet", "builtin", "none") and not Path(spec.weights).is_file():
        raise InputError(f"no weights file {spec.weights}: give a file, or --weights imagenet, builtin or none")


def build(spec: BackboneSpec, seed: int = 0) -> Any:
    """The Keras model: (n, size, size, 3) float32 in [−1, 1] → (n, d) float32 pooled features.

    Raises:
        DownloadError: the ImageNet weights cannot be downloaded.
        InputError: the weights do not fit the architecture.
    """
    check(spec)
    keras = tf.keras()
    keras.utils.set_random_seed(seed)
    shape = (spec.image_size, spec.image_size, 3)
    options = {"alpha": spec.alpha, "include_top": False, "pooling": "avg", "input_shape": shape}
    if spec.weights == "imagenet":
        try:
            with redirect_stdout(sys.stderr):  # Keras prints its progress on stdout, where only results belong
                return keras.applications.MobileNetV2(weights="imagenet", **options)
        except Exception as error:  # Keras raises a bare Exception for every download failure
            reason = " ".join(str(error).split())[:160]
            raise DownloadError(
                f"the ImageNet weights could not be downloaded ({reason}): connect once, or give a file with "
                "--weights FILE, or use the small backbone that comes with edgetl: --weights builtin"
            ) from None
    model = keras.applications.MobileNetV2(weights=None, **options)
    if spec.weights != "none":
        try:
            model.load_weights(_BUILTIN_FILE if spec.weights == "builtin" else spec.weights)
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{spec.weights} does not fit {spec.name} alpha {spec.alpha} without top: {reason}; check --alpha"
            ) from None
    return model
