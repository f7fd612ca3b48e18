"""Folders of photos → Dataset: paths, labels and a seeded, stratified split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgetl_device.errors import InputError
from edgetl_device.labels import check_label
from edgetl_device.photos import is_photo_name

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Dataset:
    """Labelled photo files.

    Args:
        root: folder that the paths are relative to.
        paths: n relative paths.
        labels: n labels.
        splits: n of ``train``, ``val`` or ``test``; ``val`` is what is held out.
    """

    root: Path
    paths: tuple[Path, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def classes(self) -> tuple[str, ...]:
        """Sorted distinct labels."""
        return tuple(sorted(set(self.labels)))

    def files(self) -> list[Path]:
        """n absolute or working-directory-relative paths."""
        return [self.root / path for path in self.paths]

    def rows(self, *splits: str) -> list[int]:
        """Indices of the photos in these splits."""
        return [row for row, split in enumerate(self.splits) if split in splits]

    def take(self, rows: Sequence[int]) -> Dataset:
        """The photos with these indices, in this order."""
        return replace(
            self,
            paths=tuple(self.paths[row] for row in rows),
            labels=tuple(self.labels[row] for row in rows),
            splits=tuple(self.splits[row] for row in rows),
        )


def find_photos(root: Path) -> Dataset:
    """A folder with one folder per class, or the same under ``train/``, ``val/`` and ``test/`` → Dataset.

    In the first form every photo is in ``train`` until :func:`split` holds some out. Hidden folders are left out.

    Raises:
        InputError: there is no such folder, it holds no class folders, or a class has no photo.
    """
    if not root.exists():
        raise InputError(f"no such folder: {root}")
    if not root.is_dir():
        raise InputError(f"{root} is a file: expected a folder with one folder of photos per class")
    folders = _folders(root)
    names = {folder.name for folder in folders}
    split_names = [name for name in SPLITS if name in names]
    is_split = "train" in names and names <= set(SPLITS)
    found: list[tuple[Path, str, str]] = []
    for split, parent in [(name, root / name) for name in split_names] if is_split else [("train", root)]:
        for folder in _folders(parent):
            photos = sorted(path for path in folder.rglob("*") if is_photo_name(path) and path.is_file())
            if not photos:
                raise InputError(f"class {folder.name!r} has no photo in {folder}: add some, or remove the folder")
            label = check_label(folder.name)
            found += [(path.relative_to(root), label, split) for path in photos]
    if not found:
        loose = sum(1 for path in root.iterdir() if is_photo_name(path))
        what = f"{loose} photos but no class folders" if loose else "no photos"
        raise InputError(f"{root} holds {what}: expected one folder per class, as in {root.name}/cat/1.jpg")
    dataset = Dataset(root, *(tuple(column) for column in zip(*found, strict=True)))
    if len(dataset.classes) < 2:
        raise InputError(f"{root} holds one class, {dataset.classes[0]!r}: at least two are needed to tell apart")
    return dataset


def split(dataset: Dataset, share: float, seed: int) -> Dataset:
    """Hold out ``share`` (0 … 0.9) of each class of the training photos as ``val``; at least one stays in each part.

    Photos are drawn by a hash of seed and relative path, not by position: when a folder grows, (almost) every photo
    stays on its side, so what a later training is tested on was never trained on before.
    A dataset that brings a ``val`` or ``test`` folder is returned as it is.
    """
    if not 0 < share < 0.9:
        raise InputError(f"the held-out share must be above 0 and below 0.9, got {share}")
    if set(dataset.splits) & {"val", "test"}:
        return dataset
    drawn = [hashlib.sha256(f"{seed}:{path.as_posix()}".encode()).digest() for path in dataset.paths]
    splits = list(dataset.splits)
    for label in dataset.classes:
        rows = sorted((row for row, other in enumerate(dataset.labels) if other == label), key=drawn.__getitem__)
        if len(rows) > 1:
            for row in rows[: min(len(rows) - 1, max(1, round(share * len(rows))))]:
                splits[row] = "val"
    return replace(dataset, splits=tuple(splits))


def balanced(dataset: Dataset, count: int, seed: int) -> list[int]:
    """Indices of about ``count`` photos, the same number of each class as far as there are, in seeded random order."""
    generator = np.random.default_rng(seed)
    labels = np.asarray(dataset.labels)
    by_class = [list(generator.permutation(np.flatnonzero(labels == label))) for label in dataset.classes]
    chosen: list[int] = []
    while len(chosen) < min(count, len(dataset)):
        for rows in by_class:
            if rows and len(chosen) < count:
                chosen.append(int(rows.pop()))
    return [int(row) for row in generator.permutation(chosen)]


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
