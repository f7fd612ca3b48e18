"""Which heads there are: names without their code, so that ``--help`` stays light.

A new head is one file with a :class:`~.scorer.Scorer` in it, and one line here. Another package adds a head by an entry
point of the group ``edgetl.heads``, in its ``pyproject.toml``::

    [project.entry-points."edgetl.heads"]
    forest = "my_package.forest:Forest"
"""

from __future__ import annotations

import functools
import logging
from importlib.metadata import EntryPoint
from typing import Any

from .. import extensions
from ..errors import InputError

log = logging.getLogger("edgetl.heads")

DEFAULT = "gaussian"

HEADS = {
    "gaussian": "edgetl_device.heads.gaussian:Gaussian",
    "predictive": "edgetl_device.heads.predictive:Predictive",
    "softmax": "edgetl_device.heads.softmax:Softmax",
    "lda": "edgetl_device.heads.lda:Linear",
    "prototype": "edgetl_device.heads.prototype:Prototypes",
}
"""Name of each built-in head → where its scorer is."""

SUCCESSORS = {"familiar": "predictive"}  # heads of earlier releases that stores and bundles may still name


def head_names() -> tuple[str, ...]:
    """The built-in heads, then those of other packages, sorted."""
    return (*HEADS, *sorted({*extensions.extension_names(extensions.HEADS)} - {*HEADS}))


def current_name(name: str) -> str:
    """The head that a name means today.

    Raises:
        InputError: there is no such head here.
    """
    if name in SUCCESSORS:
        _tell_once(f"the head {name} is no longer a part of edgetl; {SUCCESSORS[name]} takes its place")
        return SUCCESSORS[name]
    if name not in HEADS and name not in head_names():
        raise InputError(
            f"no head {name!r} is installed: expected one of {', '.join(head_names())}; "
            "if another package adds it, install that package here"
        )
    return name


def load(name: str) -> Any:
    """The scorer's class that a name stands for.

    Raises:
        InputError: there is no such head here, or its package cannot be imported.
    """
    name = current_name(name)
    if name in HEADS:
        return EntryPoint(name, HEADS[name], extensions.HEADS).load()
    return extensions.load_extension(extensions.HEADS, name)


@functools.cache
def _tell_once(text: str) -> None:
    log.warning(text)
