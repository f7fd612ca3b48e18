"""A fitted head as bytes, and back: recognising then needs neither statistics nor a solve.

What comes back scores as what was kept, bit for bit: the very arrays are kept, each of them once. Heads of other
packages are not kept, for nobody knows what they are made of. What is read here was written by this device and is
sealed (see :mod:`..store.kept_files`); it is taken apart by a list of known classes all the same.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import __version__
from ..errors import InputError
from ..projection import Projection
from . import registry
from .calibration import Calibration
from .head import Head, scorer_class
from .novelty import Novelty
from .precision import Precision
from .predictive import Predictive
from .relative import RelativeDistance
from .scorer import ClassTerm
from .space import Space
from .symmetric import Symmetric
from .taught import Taught

_PARTS = {
    kind.__name__: kind
    for kind in (
        *(Head, Novelty, Calibration, Space, RelativeDistance, Taught),
        *(Precision, Symmetric, Projection, Predictive, ClassTerm),
    )
}
_WORKED_OUT = {"Space": ("_few",)}
"""What objects have worked out of their fields and would work out again."""

_ALIGNMENT = 64  # bytes
_BLOCK = 1 << 16


class _Stranger(Exception):
    """Something that is no part of a built-in head."""


def head_bytes(head: Head, factory: Precision | None) -> bytes | None:
    """For :func:`read_head`; None where it cannot be kept.

    Args:
        factory: the factory's precision, whose matrix is in a file of its own and need not be kept again.
    """
    writer = _Writer(head.rule, None if factory is None else factory.base)
    try:
        tree = writer.node(head)
    except _Stranger:
        return None
    forms = [(array.dtype.str, array.shape) for array in writer.arrays]
    parts = [json.dumps({"rule": head.rule, "head": tree, "arrays": forms}).encode() + b"\n"]
    for array in (*writer.arrays, np.zeros(0, np.uint8)):
        parts += [bytes(-sum(map(len, parts)) % _ALIGNMENT), array.tobytes()]
    return b"".join(parts)


def read_head(data: bytes | memoryview, factory: Callable[[], Precision | None]) -> Head:
    """What :func:`head_bytes` gave → a head whose arrays are views of these bytes.

    Args:
        factory: gives the factory's precision, where its matrix is needed.

    Raises:
        InputError: it is something else, or needs a matrix that is not there.
    """
    try:
        end = _end_of_line(data)
        tree = json.loads(bytes(data[:end]))
        found = _Reader(tree["rule"], _arrays(data, end + 1, tree["arrays"]), factory).value(tree["head"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"not a head: {error}") from None
    if not isinstance(found, Head):
        raise InputError("not a head")
    return found


@functools.cache
def code_of_heads() -> str:
    """Changes whenever the code that fits heads does: a head of another release would not be the one solved here."""
    digest = hashlib.sha256(__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        status = path.stat()
        digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


class _Writer:
    """Values → what JSON can hold, and arrays beside it."""

    def __init__(self, rule: str, elsewhere: Symmetric | None) -> None:
        self.arrays: list[npt.NDArray[Any]] = []
        self._places: dict[bytes, int] = {}
        self._elsewhere = elsewhere
        self._kinds = {kind: name for name, kind in _kinds(rule).items()}

    def node(self, value: Any) -> Any:
        """What stands for a value."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if value is self._elsewhere:
            return {"factory": True}
        if isinstance(value, tuple):
            return {"tuple": [self.node(each) for each in value]}
        if isinstance(value, np.ndarray):
            return {"array": self._place(value)}
        name = self._kinds.get(type(value))
        if name is None:
            raise _Stranger
        names = [each.name for each in fields(value) if each.init]
        names += [each for each in _WORKED_OUT.get(name, ()) if each in vars(value)]
        return {"kind": name, "fields": {each: self.node(getattr(value, each)) for each in names}}

    def _place(self, array: npt.NDArray[Any]) -> int:
        """Its number; equal arrays have one."""
        key = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
        key.update(array.tobytes())
        place = self._places.setdefault(key.digest(), len(self.arrays))
        if place == len(self.arrays):
            self.arrays.append(array)
        return place


class _Reader:
    """The way back."""

    def __init__(self, rule: str, arrays: list[npt.NDArray[Any]], elsewhere: Callable[[], Precision | None]) -> None:
        self._arrays = arrays
        self._elsewhere = elsewhere
        self._kinds = _kinds(rule)

    def value(self, node: Any) -> Any:
        """What a node stands for."""
        if not isinstance(node, dict):
            return node
        if "tuple" in node:
            return tuple(self.value(each) for each in node["tuple"])
        if "array" in node:
            return self._arrays[node["array"]]
        if "factory" in node:
            return self._factory()
        found: Any = object.__new__(self._kinds[node["kind"]])
        vars(found).update({name: self.value(each) for name, each in node["fields"].items()})
        return found

    def _factory(self) -> Symmetric:
        precision = self._elsewhere()
        if precision is None:
            raise InputError("the factory's precision is not there")
        return precision.base


def _arrays(data: bytes | memoryview, start: int, forms: list[tuple[str, list[int]]]) -> list[npt.NDArray[Any]]:
    """Views of what lies behind the first line, each at a multiple of the alignment."""
    found = []
    for form, shape in forms:
        start += -start % _ALIGNMENT
        array = np.frombuffer(data, np.dtype(form), math.prod(shape), start).reshape(shape)
        found.append(array)
        start += array.nbytes
    return found


def _end_of_line(data: bytes | memoryview) -> int:
    for start in range(0, len(data), _BLOCK):
        place = bytes(data[start : start + _BLOCK]).find(b"\n")
        if place >= 0:
            return start + place
    raise ValueError("no line")


def _kinds(rule: str) -> dict[str, type]:
    """The classes that a head of this rule is made of; none where another package brought the rule."""
    if rule not in registry.HEADS:
        return {}
    scorer = scorer_class(rule)
    return {**_PARTS, scorer.__name__: scorer}
