"""Photos named on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import note
from ..errors import InputError

if TYPE_CHECKING:
    from ..photo_folders import PhotoFolder, Unused


def photo_paths(images: Iterable[Path]) -> PhotoFolder:
    """Files as they are named, and the photos in folders and their sub-folders, sorted; tells what is not used there.

    Raises:
        InputError: a file is not there, or a folder holds no photo.
    """
    from ..photo_folders import PhotoFolder, photos_in, reasons

    paths: list[Path] = []
    unused: list[Unused] = []
    for path in images:
        if not path.exists():
            raise InputError(f"no such file: {path}")
        if not path.is_dir():
            paths.append(path)
            continue
        content = photos_in(path)
        why = "; ".join(f"{count} × {reason}" for reason, count in reasons(content.unused).items())
        if not content.photos:
            raise InputError(f"no photos in {path}" + (f" (it holds {why})" if why else ""))
        if why:
            note(f"not used of {path}: {why}")
        paths += content.photos
        unused += content.unused
    return PhotoFolder(tuple(paths), tuple(unused))
