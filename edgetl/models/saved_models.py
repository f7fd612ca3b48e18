"""A SavedModel folder from anywhere → the frozen graph of its signature, made in a confined process."""

from __future__ import annotations

from pathlib import Path

from edgetl_device.errors import InputError

from .confined import checked_file
from .confined_graph import MAX_BYTES, confined_graph
from .frozen_graph import FrozenGraph
from .keras_loading import EXPECTED

_MAX_FILES = 10_000


def load_saved_model(path: Path) -> tuple[FrozenGraph, tuple[int, int]]:
    """A SavedModel folder → the graph of its signature, and (height, width) of its images.

    Raises:
        InputError: it is none, holds an operation that may touch more than numbers, is damaged, or takes too much.
    """
    if not (path / "saved_model.pb").exists():
        raise InputError(f"{path} holds neither run.json nor saved_model.pb; {EXPECTED}")
    return confined_graph("edgetl.models.saved_model_reader", path, _checked_folder(path), path)


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
