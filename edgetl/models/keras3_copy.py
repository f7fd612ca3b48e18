"""A Keras 2 backbone → the same network in Keras 3, layer by layer, for people who go on with it there.

Keras 3 cannot read most files of Keras 2: it knows other arguments, and forbids some names. Here each layer is made
anew from the arguments that both know, and given the same weights. The result is checked.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from edgetl_device.errors import InputError

from .. import tf
from .flattening import Ref, Step, steps_of

_TOLERANCE = 1e-4  # of the largest output: both compute in float32, in their own order


def as_keras3(model: Any, name: str) -> Any:
    """A Keras 2 backbone → a Functional model of Keras 3 that gives the same.

    Args:
        name: of the new model.

    Raises:
        InputError: it has a layer that Keras 3 cannot be given; the message names it.
    """
    keras = tf.keras3()
    steps, output = steps_of(model)
    entry = keras.Input(model.input_shape[1:])
    tensors: dict[int, Any] = {0: entry}
    copies: dict[int, Any] = {}
    for step in steps:
        if id(step.layer) not in copies:
            copies[id(step.layer)] = _copy(keras, step)
        args, kwargs = tf.load().nest.map_structure(
            lambda value: tensors[value.key] if isinstance(value, Ref) else value, (step.args, step.kwargs)
        )
        tensors[step.output] = copies[id(step.layer)](*args, **kwargs)
    copied = keras.Model(entry, tensors[output], name=name)
    for step in steps:
        copies[id(step.layer)].set_weights(step.layer.get_weights())
    _check(copied, model)
    return copied


def _copy(keras: Any, step: Step) -> Any:
    kind, config = step.kind, step.layer.get_config()
    layer = getattr(keras.layers, kind, None)
    if layer is None or kind in ("Lambda", "TFOpLambda", "SlicingOpLambda"):
        raise InputError(
            f"--export keras: layer {step.layer.name} is a {kind}, which Keras 3 cannot be given: keep the .keras file "
            "that you have"
        )
    known = set(inspect.signature(layer.__init__).parameters) & set(config)
    arguments = {name: _plain(config[name]) for name in known if name not in ("self", "name", "dtype")}
    if kind == "BatchNormalization" and isinstance(arguments.get("axis"), list):
        (arguments["axis"],) = arguments["axis"]  # Keras 2 lists the one axis
    name = config["name"].replace("/", "_")
    try:
        return layer.from_config(arguments | {"name": name, "dtype": "float32"})
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"--export keras: Keras 3 does not take layer {step.layer.name}, a {kind}: {reason}") from None


def _plain(value: Any) -> Any:
    """Lists that Keras 2 wraps to watch them, as they are."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else value


def _check(copied: Any, model: Any) -> None:
    batch = np.random.default_rng(0).uniform(-1, 1, (2, *model.input_shape[1:])).astype(np.float32)
    one, other = (np.asarray(each(batch, training=False)) for each in (model, copied))
    if not np.abs(one - other).max() <= _TOLERANCE * max(np.abs(one).max(), 1e-6):
        raise InputError("--export keras: its twin in Keras 3 gives other embeddings; nothing was written")
