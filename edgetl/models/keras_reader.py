"""A Keras file from anywhere → a new one that holds checked names and plain numbers, and nothing else.

Runs as a program, in a confined process (see :mod:`edgetl.models.confined`), because the parsers of HDF5 and zip are
not made for hostile files: ``python -m edgetl.models.keras_reader FILE FOLDER`` writes ``clean.keras`` or ``clean.h5``
into FOLDER. No framework is imported here.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

from edgetl_device.errors import InputError
from edgetl_device.printable import printable

from ..keras_config.configuration import MAX_BYTES, checked_configuration, parsed_json
from .confined import answer
from .hdf5_copy import WeightsCopy, text_or_numbers

_METADATA, _CONFIGURATION, _WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
_MAX_WEIGHTS_BYTES = 2 << 30
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_VERSION = re.compile(r"[0-9]{1,3}(\.[0-9A-Za-z.+-]{1,36})?")


def main() -> None:
    """Read FILE, write its clean twin into FOLDER, and tell the parent which Keras made it."""
    path, folder = Path(sys.argv[1]), Path(sys.argv[2])
    answer(lambda: clean_copy(path, folder))


def clean_copy(path: Path, folder: Path) -> dict[str, str | int]:
    """Write the clean twin of a Keras file → its ``file`` name in the folder, ``version`` of Keras, and ``weights``.

    Raises:
        InputError: it is no Keras model, or holds what it should not; the message does not name the file.
    """
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"PK"):
        return _from_zip(path, folder)
    if start == b"\x89HDF\r\n\x1a\n":
        return _from_hdf5(path, folder)
    raise InputError("not a Keras model")


def _from_zip(path: Path, folder: Path) -> dict[str, str | int]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive)
            version = keras_version(parsed_json(_read(archive, members[_METADATA])))
            configuration = checked_configuration(_read(archive, members[_CONFIGURATION]))
            raw = folder / "raw.h5"
            with archive.open(members[_WEIGHTS]) as source, raw.open("wb") as target:
                _copy(source, target, members[_WEIGHTS].compress_size)
    except KeyError as error:
        raise InputError(f"it lacks {error.args[0]}: save the whole model with model.save('model.keras')") from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError, ValueError, zlib.error) as error:
        raise InputError(
            f"not a Keras model: its archive is damaged ({printable(error, 200)}); copy it again"
        ) from None
    weights = _copy_hdf5(raw, folder / "weights.h5")
    with zipfile.ZipFile(folder / "clean.keras", "w") as archive:
        archive.writestr(_METADATA, json.dumps({"keras_version": version, "date_saved": ""}))
        archive.writestr(_CONFIGURATION, json.dumps(configuration))
        archive.write(folder / "weights.h5", _WEIGHTS)
    raw.unlink()
    (folder / "weights.h5").unlink()
    return {"file": "clean.keras", "version": version, "weights": weights}


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        if member.filename in members:
            raise InputError(f"it holds {member.filename[:60]!r} twice")
        if member.filename not in (_METADATA, _CONFIGURATION, _WEIGHTS) and member.filename != "assets/":
            raise InputError(
                f"it holds {member.filename[:60]!r}, which edgetl does not read: save the model with "
                "model.save('model.keras'), from layers that keep nothing but weights"
            )
        if member.compress_type not in _PACKED or member.flag_bits & _ENCRYPTED:
            raise InputError(
                f"its {printable(member.filename, 60)} is encrypted, or packed in a way that Keras does not use"
            )
        members[member.filename] = member
    return members


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as file:
        return file.read(MAX_BYTES + 1)


def _copy(source: IO[bytes], target: IO[bytes], packed_bytes: int) -> None:
    left = min(_MAX_WEIGHTS_BYTES, 20 * packed_bytes + (1 << 20))
    while block := source.read(1 << 20):
        left -= len(block)
        if left < 0:
            raise InputError(f"its weights unpack to more than {min(_MAX_WEIGHTS_BYTES, 20 * packed_bytes)} bytes")
        target.write(block)


def _copy_hdf5(path: Path, target_path: Path) -> int:
    import h5py

    try:
        with h5py.File(path, "r") as source, h5py.File(target_path, "w") as target:
            copy = WeightsCopy(path.stat().st_size)
            copy.group(source, target)
            return copy.weights
    except _hdf5_errors() as error:
        raise InputError(f"its weights are damaged: {printable(error, 200)}") from None


def _from_hdf5(path: Path, folder: Path) -> dict[str, str | int]:
    import h5py

    try:
        with h5py.File(path, "r") as source:
            if "model_config" not in source.attrs:
                raise InputError("it holds weights only: save the whole model with model.save('model.keras')")
            text = text_or_numbers(source, "model_config")
            if not isinstance(text, str | bytes):
                raise InputError("its configuration is no text")
            stored = text_or_numbers(source, "keras_version") if "keras_version" in source.attrs else "2"
            version = keras_version({"keras_version": stored.decode() if isinstance(stored, bytes) else stored})
            configuration = checked_configuration(text)
            if not isinstance(source.get("model_weights", getlink=True), h5py.HardLink):
                raise InputError("it lacks its weights, or they lie in another file")
            weights = source["model_weights"]
            if not isinstance(weights, h5py.Group):
                raise InputError("its weights are no group")
            with h5py.File(folder / "clean.h5", "w") as target:
                target.attrs["model_config"] = json.dumps(configuration)
                target.attrs["keras_version"], target.attrs["backend"] = version, "tensorflow"
                copy = WeightsCopy(path.stat().st_size)
                copy.group(weights, target.create_group("model_weights"))
    except _hdf5_errors() as error:
        raise InputError(f"not a Keras model, or a damaged one ({printable(error, 200)}); copy it again") from None
    return {"file": "clean.h5", "version": version, "weights": copy.weights}


def _hdf5_errors() -> tuple[type[Exception], ...]:
    """What h5py raises on damaged files, beside InputError, which is none of these."""
    return (OSError, KeyError, RuntimeError, TypeError, AttributeError, ValueError, OverflowError)


def keras_version(metadata: Any) -> str:
    """``keras_version`` of a file's metadata, such as ``3.4.1``; InputError where it is none."""
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise InputError("it does not say which Keras saved it")
    return version


if __name__ == "__main__":
    main()
