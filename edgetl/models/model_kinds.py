"""What kind of model lies in a file or folder, by a look at its beginning; nothing of it is loaded."""

from __future__ import annotations

import struct
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Literal

from edgetl_device.errors import InputError

Kind = Literal["a Keras model", "a .tflite file", "a SavedModel"]

_HDF5 = b"\x89HDF\r\n\x1a\n"


def model_kind(path: Path) -> Kind | None:
    """What a classifier that is not a bundle lies in; None for all else, and for what cannot be read."""
    if (path / "saved_model.pb").is_file():
        return "a SavedModel"
    start = b""
    if path.is_file():
        with suppress(OSError), path.open("rb") as stream:
            start = stream.read(8)
    if start == _HDF5:
        return "a Keras model"
    if start[4:8] == b"TFL3":
        return "a .tflite file"
    names = _members(path) if start[:2] == b"PK" else []
    if "config.json" in names and "metadata.json" in names:
        return "a Keras model"
    if "manifest.json" not in names and any(name.lower().endswith(".tflite") for name in names):
        return "a .tflite file"  # in Teachable Machine's zip
    return None


def refuse_model(path: Path) -> None:
    """Raise InputError where a bundle is expected and a model lies that becomes one."""
    kind = model_kind(path)
    if kind is not None:
        name = path.name if path.is_dir() else path.stem
        raise InputError(
            f"{path} is {kind}, not a bundle: make one with `edgetl convert {path} --photos DIR -o {name}.edgetl`"
        )


def _members(path: Path) -> list[str]:
    broken = (OSError, ValueError, LookupError, RuntimeError, EOFError, struct.error, zipfile.BadZipFile)
    with suppress(*broken), zipfile.ZipFile(path) as archive:
        return archive.namelist()
    return []
