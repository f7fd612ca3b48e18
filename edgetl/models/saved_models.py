"""A SavedModel folder from anywhere → the frozen graph of its signature, made in a confined process."""

from __future__ import annotations

import tempfile
from pathlib import Path

from edgetl_device.errors import InputError

from .. import tf
from .allowed_operations import PURE, RANDOM, first_outside
from .confined import Limits, checked_file, run_confined
from .frozen_graph import FrozenGraph
from .keras_loading import EXPECTED, MAX_BYTES

_MAX_FILES = 10_000


def load_saved_model(path: Path) -> tuple[FrozenGraph, tuple[int, int]]:
    """A SavedModel folder → the graph of its signature, and (height, width) of its images.

    Raises:
        InputError: it is none, holds an operation that may touch more than numbers, is damaged, or takes too much.
    """
    if not (path / "saved_model.pb").exists():
        raise InputError(f"{path} holds neither run.json nor saved_model.pb; {EXPECTED}")
    size_bytes = _checked_folder(path)
    with tempfile.TemporaryDirectory(prefix="edgetl-model-") as name:
        limits = Limits((6 << 30) + 6 * size_bytes, 90 + (size_bytes >> 21), 2 * MAX_BYTES)
        answer = run_confined("edgetl.models.saved_model_reader", path, Path(name), limits)
        written = Path(name, "frozen.pb")
        checked_file(written, 2 * MAX_BYTES)
        definition = tf.load().compat.v1.GraphDef.FromString(written.read_bytes())
    bad = first_outside((node.op for node in definition.node), PURE | RANDOM)
    if bad is not None or definition.library.function:
        raise InputError(f"{path}: it computes with the operation {bad!r}, which edgetl does not take from a file")
    return FrozenGraph(definition, str(answer["entry"]), str(answer["output"])), (
        int(answer["height"]),
        int(answer["width"]),
    )


def _checked_folder(path: Path) -> int:
    """The bytes of all files in a folder; InputError for pipes, devices, linked folders, and too much."""
    total = 0
    for number, entry in enumerate(path.rglob("*")):
        if number > _MAX_FILES:
            raise InputError(f"{path} holds more than {_MAX_FILES} files: it is no SavedModel")
        if entry.is_symlink() and entry.is_dir():
            raise InputError(f"{entry} is a link to another folder: copy what it links to into the model's folder")
        if not entry.is_dir():
            total += checked_file(entry, MAX_BYTES)
        if total > MAX_BYTES:
            raise InputError(f"{path} takes more than the {MAX_BYTES >> 20} MB that edgetl reads")
    return total
