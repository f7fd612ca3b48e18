"""What kind of model lies in a file or folder, by a look at its beginning; nothing of it is loaded."""

from __future__ import annotations

import struct
import zipfile
from contextlib import suppress
from pathlib import Path
from shlex import quote
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


def refuse_packed(path: Path) -> None:
    """Raise InputError where a zip holds a Keras model or a SavedModel, as Teachable Machine's other downloads do."""
    if path.suffix.lower() != ".zip" or model_kind(path) is not None:
        return
    names = _members(path)
    for name in names:
        if name.lower().endswith((".h5", ".keras")) or name.endswith("saved_model.pb"):
            inner = Path(name).parent if name.endswith(".pb") else Path(name)
            labels = next((f" --labels {quote(other)}" for other in names if Path(other).name == "labels.txt"), "")
            raise InputError(
                f"{path} is a zip with a model in it: unpack it and give {inner}{labels and f', with{labels}'}; "
                "a model of Teachable Machine also needs --scale -1,1"
            )


def refuse_bundle(path: Path, expected: str) -> None:
    """Raise InputError where something else is expected and a bundle lies."""
    names = _members(path) if path.is_file() else []
    if "manifest.json" in names and "backbone.tflite" in names:
        raise InputError(f"{path} is a bundle: {expected}")


def refuse_model(path: Path) -> None:
    """Raise InputError where a bundle is expected and a model lies that becomes one."""
    kind = model_kind(path)
    if kind is not None:
        name = path.name if path.is_dir() else path.stem
        raise InputError(
            f"{path} is {kind}, not a bundle: make one with `edgetl convert {quote(str(path))} --photos PHOTOS "
            f"-o {quote(name + '.edgetl')}`"
        )


def refuse_folder(path: Path) -> None:
    """Raise InputError where a bundle is expected, and nothing else will do, and a model or another folder lies."""
    refuse_model(path)
    if path.is_dir() and not (path / "run.json").is_file():  # of a RUN, opening it says more
        raise InputError(f"{path} is a folder, not a bundle: a bundle is one file, NAME.edgetl, of `edgetl convert`")


def _members(path: Path) -> list[str]:
    broken = (OSError, ValueError, LookupError, RuntimeError, EOFError, struct.error, zipfile.BadZipFile)
    with suppress(*broken), zipfile.ZipFile(path) as archive:
        return archive.namelist()
    return []
