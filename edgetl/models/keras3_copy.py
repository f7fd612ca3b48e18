"""A Keras 2 backbone → the same network in Keras 3, layer by layer, for people who go on with it there.

Keras 3 cannot read most files of Keras 2: it knows other arguments, and forbids some names. The result is checked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgetl_device.errors import InputError

from .. import tf
from .flattening import Ref, steps_of
from .layer_copies import copied

_TOLERANCE = 1e-4  # of the largest output: both compute in float32, in their own order
_WHAT = "--export keras"


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
            copies[id(step.layer)] = copied(keras, step.layer, step.layer.name.replace("/", "_"), _WHAT)
        args, kwargs = tf.load().nest.map_structure(
            lambda value: tensors[value.key] if isinstance(value, Ref) else value, (step.args, step.kwargs)
        )
        tensors[step.output] = copies[id(step.layer)](*args, **kwargs)
    twin = keras.Model(entry, tensors[output], name=name)
    for step in steps:
        copies[id(step.layer)].set_weights(step.layer.get_weights())
    _check(twin, model)
    return twin


def _check(twin: Any, model: Any) -> None:
    batch = np.random.default_rng(0).uniform(-1, 1, (2, *model.input_shape[1:])).astype(np.float32)
    one, other = (np.asarray(each(batch, training=False)) for each in (model, twin))
    if not np.abs(one - other).max() <= _TOLERANCE * max(np.abs(one).max(), 1e-6):
        raise InputError(f"{_WHAT}: its twin in Keras 3 gives other embeddings; nothing was written")
