"""What is to be written: whether it may and can be, asked before work that takes minutes and not after it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from edgetl_device.console import refuse_existing
from edgetl_device.errors import StorageError


def check_output(file: Path, force: bool) -> None:
    """Raise InputError where a file exists and may not be overwritten, StorageError where it could not be written."""
    refuse_existing(file, force)
    if file.is_dir():
        raise StorageError(f"cannot write {file}: it is a folder")
    check_writable(file)


def check_writable(path: Path) -> None:
    """Raise StorageError where neither a file nor a folder of this name can be made; nothing stays of the attempt."""
    place = path.parent
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise StorageError(f"cannot write {path}: {place}: {error.strerror or error}") from None
