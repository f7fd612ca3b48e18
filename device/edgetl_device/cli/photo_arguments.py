"""Photos named on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError


def photo_paths(images: Iterable[Path]) -> list[Path]:
    """Files as they are named, folders as the photos directly or deeper inside them, sorted."""
    from ..photos import is_photo_name

    paths = []
    for path in images:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if is_photo_name(p) and p.is_file())
            if not inside:
                raise InputError(f"no photos in {path}")
            paths += inside
        elif not path.exists():
            raise InputError(f"no such file: {path}")
        else:
            paths.append(path)
    return paths
