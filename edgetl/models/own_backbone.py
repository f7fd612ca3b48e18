"""A user's own Keras classifier → a backbone that ``edgetl train`` fine-tunes.

The file is read, built and frozen in a confined process first, by :func:`~edgetl.models.keras_files.open_classifier`.
Only what came through that is built here too, from a clean copy: training needs Keras objects in its own process.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import numpy as np

from edgetl_device.errors import InputError

from .. import tf
from ..backbones.own import NAME, OwnBackbone, canonical
from .flattening import trainable_classifier_backbone
from .keras_files import open_classifier
from .keras_loading import load_keras
from .model_kinds import refuse_bundle
from .tflite_files import is_tflite

_TOLERANCE = 1e-3  # of the largest output


def is_own(backbone: str) -> bool:
    """Whether ``--backbone`` names a file instead of an architecture."""
    return backbone.endswith((".keras", ".h5", ".hdf5")) or Path(backbone).exists()


def own_backbone(path: Path, scale: tuple[float, float] | None = None) -> OwnBackbone:
    """A ``.keras`` or ``.h5`` classifier → its backbone, with the weights that it has.

    Args:
        scale: what pixels 0 and 255 became before the model saw them; None to find the scaling inside it.

    Raises:
        InputError: it cannot be loaded, split or made anew in Keras 2, or takes no square colour photos.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: only a .keras or .h5 file holds layers that can be trained")
    refuse_bundle(path, "its layers cannot be trained any more, give the Keras model it was made of")
    if is_tflite(path):
        what = "is" if path.suffix.lower() == ".tflite" else "holds"
        raise InputError(
            f"{path} {what} a .tflite file, whose layers cannot be trained any more: give the Keras model it was made "
            f"of, or make a bundle of it as it is, with `edgetl convert {quote(str(path))} --photos PHOTOS`"
        )
    classifier = open_classifier(path, scale)
    size = classifier.preprocessing
    if size.height != size.width:
        raise InputError(f"{path} takes photos of {size.width} x {size.height}: training takes square ones")
    if classifier.parts.scaled_inside:
        raise InputError(
            f"{path} resizes photos or scales each channel on its own inside: train a model without these layers, and "
            "say with --scale what pixels become; `edgetl convert` takes it as it is"
        )
    try:
        model = load_keras(path)
        if model.input_shape[-1] != 3:
            raise InputError("it takes grey photos: training takes colour")
        flat = trainable_classifier_backbone(model, classifier.parts.scale)
    except InputError as error:
        message = str(error)
        raise InputError(message if message.startswith(str(path)) else f"{path}: {message}") from None
    low, high = classifier.parts.scale
    photo = np.random.default_rng(0).uniform(-1, 1, (1, size.height, size.width, 3)).astype(np.float32)
    scaled = ((photo + 1) / 2 * (high - low) + low).astype(np.float32)
    one = np.asarray(flat(photo, training=False))
    other = np.asarray(classifier.parts.backbone(tf.load().constant(scaled)))
    if one.shape != other.shape or not np.abs(one - other).max() <= _TOLERANCE * max(float(np.abs(other).max()), 1e-6):
        raise InputError(f"{path}: made anew layer by layer it gives other embeddings, so it cannot be trained")
    weights = tuple(np.asarray(weight, np.float32) for weight in flat.get_weights())
    return OwnBackbone(NAME, 1.0, size.height, path.name, configuration=canonical(flat.to_json()), initial=weights)
