"""A store on a disk that cannot be written: recognising needs nothing written, so it goes on with a copy.

A card turns read-only after an error; some homes are read-only on purpose. SQLite could read the file there only where
nothing is left in its write-ahead log, and the schema is this version's: a copy in the temporary folder can do all.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from pathlib import Path

from ..errors import StorageError
from .acknowledged import acknowledged_path
from .connection import companions_of

log = logging.getLogger("edgetl.store")


def is_read_only(path: Path) -> bool:
    """Whether a store at ``path`` could not be written: its folder is there, and this user or this disk may not."""
    folder = path.parent
    return folder.exists() and not (os.access(folder, os.W_OK) and (not path.exists() or os.access(path, os.W_OK)))


def private_copy(path: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder with a copy of a store, as far as there is one; it is gone with the object.

    Raises:
        StorageError: it cannot be read, or there is no room for the copy.
    """
    folder = tempfile.TemporaryDirectory(prefix="edgetl-store-")
    try:
        for part in (path, acknowledged_path(path), *companions_of(path)):
            if part.exists() and not part.name.endswith("-shm"):
                shutil.copyfile(part, Path(folder.name) / part.name)
    except OSError as error:
        folder.cleanup()
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from None
    log.warning("%s cannot be written: recognising goes on, nothing can be learned until it can", path)
    return folder
