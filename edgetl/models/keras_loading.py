"""A Keras file from anywhere → a Keras model, without running code that came with the file.

What Keras loads is never the file itself, but the clean copy that :mod:`edgetl.models.keras_reader` makes of it; what
belongs to training (optimizer, loss, metrics) is left out; and no more weights are made than the file holds.
"""

from __future__ import annotations

import json
import math
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgetl_device.errors import InputError

from .. import tf
from .confined import Limits, checked_file, run_confined

EXPECTED = "expected a RUN of `edgetl train`, a .keras, .h5 or .tflite file, or a SavedModel folder"
MAX_BYTES = 2 << 30
_SLACK = 1 << 16  # numbers that a model has beside its weights, such as the state of a random generator


def load_keras(path: Path, verbose: bool = False) -> tuple[Any, int]:
    """A ``.keras`` or ``.h5`` file → the model in inference mode, and the major version of the Keras that saved it.

    Raises:
        InputError: it is no Keras model, names what it may not, is damaged, or is too large; the message says which.
    """
    size = checked_file(path, MAX_BYTES)
    with path.open("rb") as file:
        start = file.read(8)
    if not start.startswith((b"PK", b"\x89HDF\r\n\x1a\n")):
        tflite = start[4:8] == b"TFL3" or path.suffix == ".tflite"
        kind = "already a .tflite file: convert the Keras model it was made of" if tflite else EXPECTED
        raise InputError(f"{path} is not a Keras model; {kind}")
    with tempfile.TemporaryDirectory(prefix="edgetl-model-") as name:
        limits = Limits((512 << 20) + 3 * size, 60 + size // (10 << 20), 2 * MAX_BYTES)
        clean = run_confined("edgetl.models.keras_reader", path, Path(name), limits)
        version = str(clean["version"])
        copy = Path(name, "clean.keras" if clean["file"] == "clean.keras" else "clean.h5")
        try:
            return _loaded(copy, int(version.split(".")[0]), int(clean["weights"]), verbose)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except Exception as error:  # whatever Keras raises for a configuration that does not fit together
            reason = "".join(c if c.isprintable() else " " for c in " ".join(str(error).split())[:200])
            raise InputError(f"{path} cannot be loaded by Keras (it was saved by {version}): {reason}") from None


def _loaded(copy: Path, major: int, weights: int, verbose: bool) -> tuple[Any, int]:
    with tf.quiet(verbose):
        if major >= 3:
            keras = tf.keras3(verbose)
            _check_keras3_size(keras, copy, weights)
            model = keras.saving.load_model(str(copy), compile=False)
        else:
            with _counted_variables(weights):
                model = tf.keras(verbose).models.load_model(str(copy), compile=False)
    return model, major


@contextmanager
def _counted_variables(weights: int) -> Iterator[None]:
    """Refuse to make more variables than a file holds weights, before their memory is asked for."""
    left = weights + _SLACK

    def creator(make: Callable[..., Any], **arguments: Any) -> Any:
        nonlocal left
        left -= _numbers(arguments.get("shape"))
        if left < 0:
            raise _too_large(weights)
        return make(**arguments)

    with tf.load().variable_creator_scope(creator):
        yield


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
        numbers = {id(variable): _numbers(variable.shape) for variable in (*made, *model.weights)}
    finally:  # Keras would make them all, with their memory, at the end of the next such scope
        global_state.set_global_attribute(waiting, before)
    if sum(numbers.values()) > weights + _SLACK:
        raise _too_large(weights)


def _described_keras3(keras: Any, copy: Path) -> Any:
    if copy.suffix == ".keras":
        with zipfile.ZipFile(copy) as archive:
            return keras.saving.deserialize_keras_object(json.loads(archive.read("config.json")))
    import h5py
    from keras.src.legacy.saving import saving_options, saving_utils

    with h5py.File(copy) as file, saving_options.keras_option_scope(use_legacy_config=True):
        return saving_utils.model_from_config(json.loads(file.attrs["model_config"]))


def _too_large(weights: int) -> InputError:
    return InputError(f"its layers need more weights than the {weights} numbers in the file")


def _numbers(shape: Any) -> int:
    """How many numbers a shape takes, an unknown size counting as one."""
    return math.prod(size if isinstance(size, int) else 1 for size in tuple(shape)) if shape is not None else 1
