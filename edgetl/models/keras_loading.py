"""A Keras file from anywhere → a Keras model, without running code that came with the file.

What Keras loads is never the file itself, but the clean copy that :mod:`edgetl.models.keras_reader` makes of it; what
belongs to training (optimizer, loss, metrics) is left out; and no more weights are made than the file holds.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgetl_device.errors import InputError

from .. import tf
from ..keras_config.building import SLACK, counted_variables, numbers, too_large
from .confined import Limits, checked_file, run_confined
from .confined_graph import MAX_BYTES, confined_graph
from .frozen_graph import FrozenGraph
from .keras_reader import keras_version

FACTS = "facts.json"  # of a clean copy, beside it
EXPECTED = "expected a RUN of `edgetl train`, a .keras, .h5 or .tflite file, or a SavedModel folder"


@dataclass(frozen=True)
class CleanCopy:
    """What :mod:`edgetl.models.keras_reader` made of a Keras file.

    Args:
        path: ``clean.keras`` or ``clean.h5``.
        version: of the Keras that saved the file.
        weights: how many numbers it holds.
    """

    path: Path
    version: str
    weights: int

    @property
    def major(self) -> int:
        """Of the version."""
        return int(self.version.split(".")[0])


def clean_copy_of(path: Path, folder: Path) -> CleanCopy:
    """A ``.keras`` or ``.h5`` file → its clean copy in an empty folder, made in a confined process.

    Raises:
        InputError: it is no Keras model, names what it may not, is damaged, or is too large; the message says which.
    """
    size = checked_file(path, MAX_BYTES)
    with path.open("rb") as file:
        start = file.read(8)
    if not start.startswith((b"PK", b"\x89HDF\r\n\x1a\n")):
        if start[4:8] == b"TFL3":
            raise InputError(f"{path} is a .tflite file, converted already: give the Keras model it was made of")
        if path.suffix.lower() == ".tflite":
            raise InputError(f"{path} is called .tflite, but is no such file, or a damaged one: copy it again")
        raise InputError(f"{path} is not a Keras model; {EXPECTED}")
    limits = Limits((512 << 20) + 3 * size, 60 + size // (10 << 20), 2 * MAX_BYTES)
    clean = run_confined("edgetl.models.keras_reader", path, folder, limits)
    name = "clean.keras" if clean["file"] == "clean.keras" else "clean.h5"
    return CleanCopy(folder / name, keras_version({"keras_version": clean["version"]}), int(clean["weights"]))


def freeze_keras(path: Path) -> tuple[FrozenGraph, tuple[int, int], int]:
    """A ``.keras`` or ``.h5`` file → its graph, (height, width) of its images, and the major version of its Keras.

    Keras builds and freezes it in a confined process (:mod:`edgetl.models.keras_freezer`).

    Raises:
        InputError: as :func:`clean_copy_of`; or Keras cannot build it, it is no image classifier, or costs too much.
    """
    with tempfile.TemporaryDirectory(prefix="edgetl-model-") as name:
        copy = clean_copy_of(path, Path(name))
        Path(name, FACTS).write_text(json.dumps({"version": copy.version, "weights": copy.weights}))
        size = copy.path.stat().st_size
        frozen, image = confined_graph("edgetl.models.keras_freezer", copy.path, size, path)
        return frozen, image, copy.major


def load_keras(path: Path, verbose: bool = False) -> Any:
    """A ``.keras`` or ``.h5`` file → the Keras model in inference mode, built in this process.

    Raises:
        InputError: as :func:`clean_copy_of`, or Keras cannot build it.
    """
    with tempfile.TemporaryDirectory(prefix="edgetl-model-") as name:
        copy = clean_copy_of(path, Path(name))
        try:
            return loaded(copy, verbose)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None


def loaded(copy: CleanCopy, verbose: bool = False) -> Any:
    """A clean copy → the Keras model; InputError where Keras cannot build it."""
    try:
        return _loaded(copy.path, copy.major, copy.weights, verbose)
    except InputError:
        raise
    except Exception as error:  # whatever Keras raises for a configuration that does not fit together
        reason = "".join(c if c.isprintable() else " " for c in " ".join(str(error).split())[:200])
        legacy = "; .h5 does not hold all that a model may be: save it as .keras" if copy.path.suffix == ".h5" else ""
        raise InputError(f"it cannot be loaded by Keras (it was saved by {copy.version}): {reason}{legacy}") from None


def _loaded(copy: Path, major: int, weights: int, verbose: bool) -> Any:
    with tf.quiet(verbose):
        if major >= 3:
            keras = tf.keras3(verbose)
            from keras.src.applications import convnext, inception_resnet_v2

            with keras.saving.custom_object_scope(_layers_of(convnext, inception_resnet_v2)):
                _check_keras3_size(keras, copy, weights)
                return keras.saving.load_model(str(copy), compile=False)
        keras = tf.keras(verbose)
        from tf_keras.src.applications import convnext, inception_resnet_v2

        with counted_variables(weights), keras.utils.custom_object_scope(_layers_of(convnext, inception_resnet_v2)):
            return keras.models.load_model(str(copy), compile=False)


def _layers_of(convnext: Any, inception_resnet_v2: Any) -> dict[str, Any]:
    """Layers of Keras' own architectures, which Keras does not find by itself."""
    known = {"LayerScale": convnext.LayerScale, "StochasticDepth": convnext.StochasticDepth}
    return known | {"CustomScaleLayer": inception_resnet_v2.CustomScaleLayer}


def _check_keras3_size(keras: Any, copy: Path, weights: int) -> None:
    """The same for Keras 3: build the model once without its weights, and count those of layers nobody calls too."""
    from keras.src.backend.common import global_state
    from keras.src.backend.common.stateless_scope import StatelessScope

    waiting = "uninitialized_variables"
    before = global_state.get_global_attribute(waiting, [])
    global_state.set_global_attribute(waiting, [])
    try:
        with StatelessScope(initialize_variables=False):
            model = _described_keras3(keras, copy)
        made = global_state.get_global_attribute(waiting, [])
        sizes = {id(variable): numbers(variable.shape) for variable in (*made, *model.weights)}
    finally:  # Keras would make them all, with their memory, at the end of the next such scope
        global_state.set_global_attribute(waiting, before)
    if sum(sizes.values()) > weights + SLACK:
        raise too_large(weights)


def _described_keras3(keras: Any, copy: Path) -> Any:
    if copy.suffix == ".keras":
        with zipfile.ZipFile(copy) as archive:
            return keras.saving.deserialize_keras_object(json.loads(archive.read("config.json")))
    import h5py
    from keras.src.legacy.saving import saving_options, saving_utils

    with h5py.File(copy) as file, saving_options.keras_option_scope(use_legacy_config=True):
        return saving_utils.model_from_config(json.loads(file.attrs["model_config"]))
