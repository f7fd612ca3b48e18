"""Photos named on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import note
from ..errors import InputError

if TYPE_CHECKING:
    from ..photo_folders import PhotoFolder, Unused


def photo_paths(images: Iterable[Path], label: str | None = None) -> PhotoFolder:
    """Files as they are named, and the photos in folders and their sub-folders, sorted; tells what is not used there.

    Args:
        label: what all of them show; None where they may show different things.

    Raises:
        InputError: a file is not there, a folder holds no photo, or holds several classes although there is a label.
    """
    from ..photo_folders import PhotoFolder, photos_in, photos_of_one_class, reasons

    paths: list[Path] = []
    unused: list[Unused] = []
    for path in images:
        if not path.exists():
            raise InputError(f"no such file: {path}")
        if not path.is_dir():
            paths.append(path)
            continue
        content = photos_in(path) if label is None else photos_of_one_class(path, label)
        why = "; ".join(f"{count} × {reason}" for reason, count in reasons(content.unused).items())
        if not content.photos:
            raise InputError(f"no photos in {path}" + (f" (it holds {why})" if why else ""))
        if why:
            note(f"not used of {path}: {why}")
        paths += content.photos
        unused += content.unused
    return PhotoFolder(tuple(paths), tuple(unused))
