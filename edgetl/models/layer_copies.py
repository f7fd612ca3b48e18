"""A layer of one Keras → the same in the other, made anew from the arguments that both know."""

from __future__ import annotations

import inspect
from typing import Any

from edgetl_device.errors import InputError

_NO_LAYERS = ("Lambda", "TFOpLambda", "SlicingOpLambda")
_OF_TRAINING = ("_initializer", "_regularizer", "_constraint")  # the ends of their names; both Kerases write them apart


def copied(keras: Any, layer: Any, name: str, what: str) -> Any:
    """A layer of ``keras`` with the arguments of another Keras's layer, without its weights.

    Args:
        name: of the new layer.
        what: for messages, what could not be done.

    Raises:
        InputError: that Keras has no such layer, or does not take its arguments.
    """
    kind, config = type(layer).__name__, layer.get_config()
    made = getattr(keras.layers, kind, None)
    if made is None or kind in _NO_LAYERS:
        raise InputError(f"{what}: layer {layer.name} is a {kind}, which cannot be made anew in another Keras")
    known = {name for each in made.__mro__ for name in inspect.signature(each.__init__).parameters} & set(config)
    arguments = {
        key: _plain(config[key])
        for key in known
        if key not in ("self", "name", "dtype", "batch_input_shape", "batch_shape") and not key.endswith(_OF_TRAINING)
    }
    if kind == "BatchNormalization" and isinstance(arguments.get("axis"), list):
        (arguments["axis"],) = arguments["axis"]  # Keras 2 lists the one axis
    try:
        return made.from_config(arguments | {"name": name, "dtype": "float32"})
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{what}: layer {layer.name}, a {kind}, is not taken: {reason}") from None


def _plain(value: Any) -> Any:
    """Lists that Keras 2 wraps to watch them, as they are."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else value
