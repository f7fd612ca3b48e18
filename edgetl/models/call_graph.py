"""How large a graph becomes once every call of a function in it is replaced by that function."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgetl_device.errors import InputError

_MAX_NODES = 50_000
_MAX_DEPTH = 100


def check_calls(nodes: Iterable[Any], functions: dict[str, Any]) -> None:
    """Refuse functions that call themselves, and calls that multiply, before TensorFlow writes them out.

    Args:
        nodes: NodeDefs of the part that is used.
        functions: name → FunctionDef.

    Raises:
        InputError: a function calls itself, or more than 50,000 nodes come of it all.

    Example:
        >>> check_calls([], {})
    """
    sizes: dict[str, int] = {}
    if _size(nodes, functions, sizes, ()) > _MAX_NODES:
        raise InputError(f"its functions call each other until there are more than {_MAX_NODES:,} operations")


def _size(nodes: Iterable[Any], functions: dict[str, Any], sizes: dict[str, int], above: tuple[str, ...]) -> int:
    if len(above) > _MAX_DEPTH:
        raise InputError(f"its functions call each other more than {_MAX_DEPTH} levels deep")
    total = 0
    for node in nodes:
        total += 1
        for name in _called(node, functions):
            if name in above:
                raise InputError(f"its function {name[:60]!r} calls itself, and would do so without an end")
            if name not in sizes:
                sizes[name] = _size(functions[name].node_def, functions, sizes, (*above, name))
            total += sizes[name]
    return total


def _called(node: Any, functions: dict[str, Any]) -> list[str]:
    attributes = (name for value in node.attr.values() for name in (value.func, *value.list.func))
    names = [attribute.name for attribute in attributes] + [node.op]  # an operation may be a function's name
    return [name for name in names if name in functions]
