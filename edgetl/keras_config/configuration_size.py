"""How much work a checked configuration asks Keras for, counted before Keras sees it.

A file of a kilobyte can describe models in models that call each other twice at every level, a loop that is written
out a million times, or an operation on constants, which Keras runs as it loads. None of that is found by counting
weights, so it is counted, or refused, here. No framework is imported.
"""

from __future__ import annotations

import math
from typing import Any

from edgetl_device.errors import InputError

from . import allowed_names

_MAX_LAYERS = 3000  # NASNetLarge has about a thousand
_MAX_CALLS = 6000
_MAX_INPUT = 1 << 26  # numbers of one image
_SHAPES = ("batch_shape", "batch_input_shape", "input_shape")
_CALLABLE = allowed_names.LAYERS | allowed_names.OPERATIONS
_LAST_AXIS = (None, -1, 3, [-1], [3])


def check_size(model: dict[str, Any]) -> None:
    """Refuse a configuration that costs more to build than a camera's model may.

    Args:
        model: what :func:`~edgetl.keras_config.configuration.checked_configuration` returned.

    Raises:
        InputError: it has too many layers or calls, unrolls a loop, computes on constants while it is loaded, holds a
            layer that nothing calls, or takes an image that no memory holds.

    Example:
        >>> check_size({"class_name": "Sequential", "config": {"layers": [{"class_name": "ReLU", "config": {}}]}})
    """
    layers, calls = _count(model)
    if layers > _MAX_LAYERS or calls > _MAX_CALLS:
        raise InputError(
            f"it describes {layers} layers and {min(calls, 10**9)} calls of them: edgetl loads up to {_MAX_LAYERS} "
            f"layers and {_MAX_CALLS} calls"
        )


def _count(value: Any) -> tuple[int, int]:
    """The layers that a part of a configuration describes, and how often Keras calls one as it builds them."""
    if isinstance(value, list):
        counts = [_count(each) for each in value if isinstance(each, list | dict)]
        return sum(layers for layers, _ in counts), sum(calls for _, calls in counts)
    if not isinstance(value, dict):
        return 0, 0
    _check_values(value)
    layers, calls = _count([each for key, each in value.items() if key != "inbound_nodes"])
    if value.get("class_name") not in _CALLABLE or "config" not in value:
        return layers, calls
    if value["class_name"] != "Sequential":
        _check_graph(value["config"])
    nodes = value.get("inbound_nodes")
    return layers + 1, max(len(nodes) if isinstance(nodes, list) else 1, 1) * (1 + calls)


def _check_values(described: dict[str, Any]) -> None:
    """Refuse settings whose cost does not show in the number of layers."""
    if described.get("unroll"):
        raise InputError(
            "it unrolls a recurrent layer, which writes every step out: build that layer with unroll=False"
        )
    for name in _SHAPES:
        shape = described.get(name)
        sizes = [size for size in shape if isinstance(size, int)] if isinstance(shape, list) else []
        if math.prod(max(abs(size), 1) for size in sizes) > _MAX_INPUT:
            raise InputError(f"it takes an input of {str(shape)[:60]} numbers: no camera has such images")
    is_given = described.get("mean") is not None and "variance" in described
    if is_given and described.get("axis", -1) not in _LAST_AXIS:  # Keras writes such a mean out for each place
        raise InputError("it has a Normalization by place, which edgetl does not load: normalize by channel, axis=-1")


def _check_graph(model: Any) -> None:
    """Refuse a functional model in which a layer is never called, or is called on constants only."""
    if not isinstance(model, dict) or not isinstance(model.get("layers"), list):
        return
    layers = [each for each in model["layers"] if isinstance(each, dict)]
    names = {str(each.get("name") or _name(each.get("config"))) for each in layers}
    for described in layers:
        nodes = described.get("inbound_nodes")
        name = str(described.get("name"))[:60]
        if not nodes and described.get("class_name") != "InputLayer":
            raise InputError(f"nothing calls its layer {name!r}: build the model without it")
        for node in nodes if isinstance(nodes, list) else []:
            if not _takes_tensor(node, names):
                raise InputError(
                    f"its layer {name!r} computes on constants, which edgetl does not run while it loads a model: "
                    "compute them beforehand, or export the model with model.export('folder') and convert that"
                )


def _name(config: Any) -> Any:
    return config.get("name") if isinstance(config, dict) else None


def _takes_tensor(value: Any, names: set[str]) -> bool:
    """Whether a call takes what a layer gives: a keras tensor in Keras 3, (name, node, tensor) in Keras 2."""
    if isinstance(value, dict):
        return value.get("class_name") == "__keras_tensor__" or any(
            _takes_tensor(each, names) for each in value.values()
        )
    if not isinstance(value, list):
        return False
    if len(value) >= 3 and isinstance(value[0], str) and value[0] in names and isinstance(value[1], int):
        return True
    return any(_takes_tensor(each, names) for each in value)
