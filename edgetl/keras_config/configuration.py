"""The configuration inside a Keras file, checked name by name before Keras sees it.

Keras turns a configuration into objects by importing what it names, so a file can name ``os.system``, or carry the
bytecode of a ``Lambda``. Here the text is parsed as data, every name in it is held against
:mod:`edgetl.keras_config.allowed_names`, and what comes out is written anew: what Keras reads is what was checked.
"""

from __future__ import annotations

import math
from typing import Any

from edgetl_device.errors import InputError
from edgetl_device.strict_json import parsed

from . import allowed_names
from .configuration_size import check_size

MAX_BYTES = 8 << 20  # NASNetLarge, with a thousand layers, takes 2 MB
_MAX_DEPTH = 120
_MAX_VALUES = 1_000_000
_MAX_INTEGER = 1 << 20  # units, filters, pixels: nothing that a camera runs comes near
_UNBOUNDED = frozenset(("seed", "shared_object_id"))
_TRAINING = frozenset(("compile_config", "loss", "metrics", "optimizer", "optimizer_config", "training_config"))
_POLICIES = ("DTypePolicy", "FloatDTypePolicy", "Policy", "PolicyV1")
_SHORT_FLOATS = ("bfloat16", "float16", "mixed_bfloat16", "mixed_float16")
_MARKS = ("class_name", "module", "registered_name", "spec_name")
_INSTEAD = "or export the model with model.export('folder') and convert that SavedModel, which holds the graph"
_RUNS_CODE = ("Lambda", "__lambda__")
_OF_TFMOT = {
    "Quantize": "convert the float model that was given to quantize_model; edgetl quantizes it itself, and trains it "
    "with quantizers if asked to (--qat)",
    "PruneLowMagnitude": "convert what strip_pruning(model) gives; edgetl prunes too, with --prune",
    "ClusterWeights": "convert what strip_clustering(model) gives; edgetl clusters too, with --cluster",
}


def checked_configuration(text: str | bytes) -> dict[str, Any]:
    """The text of a model's configuration → the same as data, without what belongs to training only.

    Args:
        text: JSON; bytes are UTF-8.

    Returns:
        a dict with ``class_name`` and ``config``, in which every class and function is one of
        :mod:`~edgetl.keras_config.allowed_names`.

    Raises:
        InputError: it is no JSON of reasonable size, names what it may not, or asks for more work than a camera's model
            needs; the message says which and what to do.

    Example:
        >>> checked_configuration('{"class_name": "Sequential", "config": {"layers": []}}')["class_name"]
        'Sequential'
    """
    model = parsed_json(text)
    if not isinstance(model, dict) or not isinstance(model.get("class_name"), str):
        raise InputError("its configuration describes no model")
    cleaned = _Checker().value(model, "", 0)
    if cleaned["class_name"] not in ("Functional", "Model", "Sequential"):
        raise InputError(f"it holds a {cleaned['class_name']}, expected a Functional or Sequential model")
    if not isinstance(cleaned.get("config"), dict | list):
        raise InputError("its configuration describes no model")
    check_size(cleaned)
    return cleaned  # type: ignore[no-any-return]


def parsed_json(text: str | bytes) -> Any:
    """Strict JSON of at most :data:`MAX_BYTES`; a key given twice, NaN and Infinity are refused with InputError."""
    if len(text) > MAX_BYTES:
        raise InputError(f"its configuration takes more than {MAX_BYTES >> 20} MB")
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
        return parsed(decoded, _unique)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise InputError(f"its configuration is no JSON: {str(error)[:80]}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is given twice")
    return made


class _Checker:
    """Walks a configuration once and counts what it meets."""

    def __init__(self) -> None:
        self.values = 0

    def value(self, value: Any, key: str, depth: int) -> Any:
        """The checked copy of one value; ``key`` is what it is called in the dict around it."""
        self.values += 1
        if depth > _MAX_DEPTH or self.values > _MAX_VALUES:
            raise InputError("its configuration is nested too deeply, or too long")
        if isinstance(value, dict):
            return self._dict(value, depth)
        if isinstance(value, list):
            return [self.value(each, key, depth + 1) for each in value]
        if isinstance(value, str):
            return _string(value, key)
        if isinstance(value, int) and abs(value) > _MAX_INTEGER and key not in _UNBOUNDED:
            raise InputError(f"its configuration asks for {key or 'a size'} {value:.3g}, which no camera's model needs")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"its configuration gives {key or 'a value'} as {value}")
        return value

    def _dict(self, described: dict[str, Any], depth: int) -> dict[str, Any]:
        if any(mark in described for mark in _MARKS):
            _check_object(described)
        if described.get("class_name") in _POLICIES and isinstance(described.get("config"), dict):
            described = described | {"config": {"name": _string(described["config"].get("name"), "dtype")}}
        return {
            name: self.value(value, name, depth + 1)
            for name, value in described.items()
            if not (name in _TRAINING and ("class_name" in described or depth == 0))
        }


def _string(value: Any, key: str) -> str:
    """A checked text; numbers of 16 bits become float32, as weights are stored and as converters need them."""
    if not isinstance(value, str):
        raise InputError(f"it gives {key} as {str(value)[:60]!r}, expected a name")
    for ending, names in allowed_names.NAMED_BY_STRING.items():
        if (key == ending or key.endswith("_" + ending)) and value not in names:
            raise InputError(
                f"it names {value[:60]!r} as {key}, which is none of Keras' own: use one of those, {_INSTEAD}"
            )
    is_type = key == "dtype" or key.endswith(("_dtype", "dtype_policy"))
    return "float32" if is_type and value in _SHORT_FLOATS else value


def _check_object(described: dict[str, Any]) -> None:
    """Refuse a serialised object whose class, function or module is not allowed."""
    name, module, registered = described.get("class_name"), described.get("module"), described.get("registered_name")
    if not isinstance(name, str):
        raise InputError(f"it names something of the module {str(module)[:60]!r} without saying which class")
    if not all(isinstance(each, str | None) for each in (module, registered)):
        raise InputError(f"it describes {name[:60]!r} by other than names")
    if name == "function":
        _check_function(described)
    elif name in allowed_names.VALUES:
        _check_value(described)
    elif not _is_allowed_class(name, module) or registered not in (None, name, f"Custom>{name}"):
        raise refused_class(name if registered in (None, name) else str(registered), module)
    elif name in ("TFOpLambda", "SlicingOpLambda"):
        config = described.get("config")
        function = config.get("function") if isinstance(config, dict) else None
        if not isinstance(function, str) or function not in allowed_names.TF_FUNCTIONS:
            raise InputError(
                f"it calls the TensorFlow function {str(function)[:60]!r} as a layer, which edgetl does not run from "
                f"a file: use a layer of Keras, {_INSTEAD}"
            )


def _is_allowed_class(name: str, module: str | None) -> bool:
    return any(
        name in names and (module is None or modules.fullmatch(module))
        for names, modules in allowed_names.CLASSES.values()
    )


def _check_function(described: dict[str, Any]) -> None:
    function, module, registered = described.get("config"), described.get("module"), described.get("registered_name")
    known = isinstance(function, str) and function in allowed_names.ACTIVATIONS and registered in (None, function)
    if not known or (module is not None and not allowed_names.FUNCTION_MODULES.fullmatch(module)):
        raise InputError(
            f"it names the function {str(function)[:60]!r} of the module {str(module)[:60]!r}, which is no activation "
            f"of Keras and is not run: use one of those, {_INSTEAD}"
        )


def _check_value(described: dict[str, Any]) -> None:
    config = described.get("config")
    if described.get("module") not in (None, "builtins") or described.get("registered_name") is not None:
        raise InputError(f"it describes {described['class_name']!r} with a module")
    if isinstance(config, dict):
        number_type = config.get("dtype", "float32")
        if number_type not in allowed_names.NUMBER_TYPES:
            raise InputError(f"it holds a value of type {str(number_type)[:60]!r}, expected numbers")


def refused_class(name: str, module: str | None) -> InputError:
    """What to tell the owner of a file that names a class it may not."""
    if name in _RUNS_CODE:
        return InputError(
            "it has a Lambda layer, which is Python code inside the file and is not run: use a layer of Keras, "
            "or export the model with model.export('folder') and convert that SavedModel"
        )
    for prefix, advice in _OF_TFMOT.items():
        if name.rsplit(">")[-1].startswith(prefix):
            return InputError(f"it holds {name[:60]!r} of TFMOT, which belongs to training: {advice}")
    if module is not None and module.split(".")[0] in ("keras", "tf_keras") and ">" not in name:
        return InputError(
            f"it uses {name[:60]!r} of {module[:60]!r}, which edgetl does not load from a file: "
            f"use layers that compute on images, {_INSTEAD}"
        )
    origin = "" if module is None else f" (of the module {module[:60]!r})"
    return InputError(
        f"it uses a layer of your own, {name[:60]!r}{origin}, whose code is not in the file: "
        "export the model with model.export('folder') and convert that SavedModel, which holds the graph"
    )
