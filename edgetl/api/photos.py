"""Photos for training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..data.datasets import Dataset, find_all
from ..imports import writing as importing
from ..imports.writing import Imported


def load_photos(
    path: str | Path | Sequence[str | Path], *, val_split: float = 0.2, group: str | None = None, seed: int = 0
) -> Dataset:
    """Labelled photo files, with some of each class held out.

        >>> photos = load_photos("photos")
        >>> photos.classes, len(photos.rows("train")), len(photos.rows("val"))
        (('ball', 'box'), 32, 8)

    Args:
        path: a folder with one folder of photos per class, or the same under ``train/``, ``val/`` and ``test/``, or a
            CSV file with the columns ``path`` and ``label``, perhaps ``split`` and ``group``; or several of them, which
            become one data set.
        val_split: share to hold out, 0 … 0.9, where ``path`` says nothing of it.
        group: keeps photos on one side that belong together: a regular expression for their paths, or a column.
        seed: of the split; a photo that is added changes nothing for the others.

    Raises:
        InputError: it is none of these, or a class has no photo.
    """
    return find_all(as_paths(path), val_split, seed, group)


def import_photos(format_: str, source: str | Path, output: str | Path, *, force: bool = False) -> Imported:
    """Another tool's export → a list that :func:`load_photos` reads, with its photos beside it.

    Args:
        format_: ``coco``, ``label-studio``, ``roboflow``, ``huggingface`` (a folder of images) or ``parquet``.
        source: the export: a file or a folder.
        output: list to write, ``NAME.csv``; the photos lie in ``NAME-photos`` beside it.
        force: replace what is there.

    Raises:
        InputError: the export cannot be read, or has no photos that can be used.
        StorageError: they cannot be written.
    """
    return importing.import_photos(format_, Path(source), Path(output), force)


def as_paths(paths: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    """One path or several → all of them."""
    return (Path(paths),) if isinstance(paths, str | Path) else tuple(Path(path) for path in paths)
