"""Photos named on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import note, progress
from ..errors import InputError, PhotoError

if TYPE_CHECKING:
    from ..codes import Int8


def photo_paths(images: Iterable[Path]) -> list[Path]:
    """Files as given, folders as the photos directly or deeper inside them, sorted."""
    from ..photos import is_photo_name

    found = []
    for path in images:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if is_photo_name(p) and p.is_file())
            if not inside:
                raise InputError(f"no photos in {path}")
            found += inside
        elif not path.exists():
            raise InputError(f"no such file: {path}")
        else:
            found.append(path)
    return found


def embed(embed_files: Callable[[Iterable[Path]], Any], paths: list[Path]) -> tuple[Int8, list[Path], list[str]]:
    """Photo files → (n, d) int8 raw embeddings, their n paths, and the names of those that could not be read."""
    import numpy as np

    rows, used, skipped = [], [], []
    for path, raw in progress(embed_files(paths), len(paths), "embedding"):
        if isinstance(raw, PhotoError):
            note(f"skipped: {raw}")
            skipped.append(str(path))
        else:
            rows.append(raw)
            used.append(path)
    if not rows:
        raise InputError(f"none of {len(paths)} photos could be read: nothing was learned")
    return np.stack(rows), used, skipped
