"""A model from anywhere → its frozen graph, made in a confined process and checked here before it is used.

Both sides are here: :func:`confined_graph` starts a reader, and the reader calls :func:`start` and :func:`write`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgetl_device.errors import InputError

from .. import tf
from .allowed_operations import PURE, RANDOM, first_outside
from .confined import Limits, checked_file, limit_growth, run_confined
from .frozen_graph import RECURRENT, FrozenGraph

MAX_BYTES = 2 << 30  # of a model file, and of a folder


def confined_graph(module: str, source: Path, size: int, shown: Path) -> tuple[FrozenGraph, tuple[int, int]]:
    """Have a reader write ``frozen.pb`` → that graph, and (height, width) of its images.

    Args:
        module: of the reader, run as :func:`~edgetl.models.confined.run_confined` says.
        source: what it reads.
        size: of that, bytes; what it may take of memory and time grows with it.
        shown: the path for messages.

    Raises:
        InputError: the reader refused, crashed, took too much, or gave a graph of operations that are not allowed.
    """
    with tempfile.TemporaryDirectory(prefix="edgetl-graph-") as name:
        growth = (512 << 20) + 12 * size  # VGG16, 512 MB, is not built with 6
        limits = Limits((6 << 30) + growth, 90 + (size >> 21), 2 * MAX_BYTES, growth)
        answer = run_confined(module, source, Path(name), limits, shown)
        written = Path(name, "frozen.pb")
        checked_file(written, 2 * MAX_BYTES)
        definition = tf.load().compat.v1.GraphDef.FromString(written.read_bytes())
    if any(node.op.startswith("TensorList") for node in definition.node):
        raise InputError(f"{shown}: {RECURRENT}")
    if definition.library.function:
        raise InputError(
            f"{shown}: it calls functions that are compiled on their own (XLA), as grouped convolutions of Keras 3 in "
            "a SavedModel: convert the .keras file that it was made of"
        )
    bad = first_outside((node.op for node in definition.node), PURE | RANDOM)
    if bad is not None:
        raise InputError(f"{shown}: it computes with the operation {bad!r}, which edgetl does not take from a file")
    return FrozenGraph(definition, str(answer["entry"]), str(answer["output"])), (
        int(answer["height"]),
        int(answer["width"]),
    )


def start(*modules: Callable[[], Any]) -> None:
    """In the reader: load frameworks, begin their threads, and from there on take no more memory than allowed."""
    tensorflow = tf.load()
    for load in modules:
        load()
    tensorflow.function(lambda value: value + 1)(tensorflow.constant(1.0))
    limit_growth()


def write(frozen: FrozenGraph, image: tuple[int, int], folder: Path) -> dict[str, Any]:
    """In the reader: write ``frozen.pb`` → the answer, with ``height`` and ``width`` of the images."""
    (folder / "frozen.pb").write_bytes(frozen.definition.SerializeToString(deterministic=True))
    return {"entry": frozen.entry, "output": frozen.output, "height": image[0], "width": image[1]}
