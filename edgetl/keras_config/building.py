"""A checked configuration → the Keras 2 model, with no more variables than were announced."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from edgetl_device.errors import InputError

from .. import tf
from .configuration import checked_configuration

SLACK = 1 << 16  # numbers that a model has beside its weights, such as the state of a random generator


def built(configuration: str, weights: int) -> Any:
    """The text of a configuration → the Keras 2 model with random weights.

    Args:
        configuration: JSON, checked here, whoever wrote it.
        weights: how many numbers its weights may have.

    Raises:
        InputError: it names what it may not, asks for too much, or does not fit together.
    """
    checked = checked_configuration(configuration)
    keras = tf.keras()
    keras.backend.reset_uids()  # names of layers reach the converted file: the same for the second in a process
    try:
        with counted_variables(weights):
            return keras.models.model_from_json(json.dumps(checked))
    except InputError:
        raise
    except Exception as error:  # whatever Keras raises for a configuration that does not fit together
        reason = "".join(c if c.isprintable() else " " for c in " ".join(str(error).split())[:200])
        raise InputError(f"Keras cannot build this architecture: {reason}") from None


@contextmanager
def counted_variables(weights: int) -> Iterator[None]:
    """Refuse to make more variables than a file holds weights, before their memory is asked for."""
    left = weights + SLACK

    def creator(make: Callable[..., Any], **arguments: Any) -> Any:
        nonlocal left
        left -= numbers(arguments.get("shape"))
        if left < 0:
            raise too_large(weights)
        return make(**arguments)

    with tf.load().variable_creator_scope(creator):
        yield


def too_large(weights: int) -> InputError:
    """What is said of layers that want more than the file has."""
    return InputError(f"its layers need more weights than the {weights} numbers in the file")


def numbers(shape: Any) -> int:
    """How many numbers a shape takes, an unknown size counting as one."""
    return math.prod(size if isinstance(size, int) else 1 for size in tuple(shape)) if shape is not None else 1
