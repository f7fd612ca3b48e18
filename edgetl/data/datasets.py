"""Folders and lists of photos → Dataset: paths, labels and a seeded, stratified, grouped split."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edgetl_device.console import note
from edgetl_device.errors import InputError
from edgetl_device.photo_folders import Unused

from .folders import SPLITS, photos_by_class
from .lists import ARCHIVES, read_columns, read_list

__all__ = ["SPLITS", "Dataset", "balanced", "find_all", "find_photos", "group_by", "read_columns", "split"]

LISTS = (".csv", ".tsv")
_OTHER_FOLDERS = {  # what edgetl writes itself
    "run.json": "a RUN, which a training wrote: expected the photos to train on",
    "embeddings.json": "embeddings: expected photos, or the folder after `edgetl train --embeddings`",
}


@dataclass(frozen=True)
class Dataset:
    """Labelled photo files.

    Args:
        root: folder that the paths are relative to.
        paths: n relative paths.
        labels: n labels.
        splits: n of ``train``, ``val`` or ``test``; ``val`` is what is held out.
        groups: n names of what must not straddle a split (a film, a person); empty where every photo stands alone.
        columns: further columns of a list, n values each: slices for evaluation.
        unused: what lies in the folder and is not among them, with the reason.
    """

    root: Path
    paths: tuple[Path, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    groups: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unused: tuple[Unused, ...] = ()

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
            groups=tuple(self.groups[row] for row in rows) if self.groups else (),
            columns={name: tuple(values[row] for row in rows) for name, values in self.columns.items()},
        )


def find_photos(root: Path) -> Dataset:
    """Photos on disk → Dataset.

    Either a folder with one folder per class, or the same under ``train/``, ``val/`` and ``test/`` (or as people call
    them: ``Training``, ``valid``, …), or a CSV file with the columns ``path`` (relative to the file) and ``label``,
    perhaps ``split`` and ``group``; its other columns are kept for slices. Without splits every photo is in ``train``
    until :func:`split` holds some out. What begins as a photo is one, whatever its name; what a program left in the
    folders, such as ``.ipynb_checkpoints``, is passed over, and anything else is in ``unused`` with its reason.

    Raises:
        InputError: there is no such folder, it holds no class folders, or a class has no photo.
    """
    return _at_least_two(_find(root), root)


def find_all(
    roots: Sequence[Path], val_split: float = 0.2, seed: int = 0, group: str | None = None, one_class: bool = False
) -> Dataset:
    """Folders and lists as :func:`find_photos` → one dataset; what has no split of its own gets one by :func:`split`.

    Paths are relative to the folder that holds all of them. A photo that is given twice counts once, as it is first.

    Args:
        one_class: whether photos of a single class will do.

    Raises:
        InputError: one of them is none, all together hold one class, or a photo is given with two labels.
    """
    found = [_find(root.absolute() if len(roots) > 1 else root) for root in roots]
    parts = [split(group_by(part, group) if group else part, val_split, seed) for part in found]
    joined = parts[0] if len(parts) == 1 else _joined(parts)
    return joined if one_class else _at_least_two(joined, roots[0] if len(roots) == 1 else joined.root)


def _joined(parts: Sequence[Dataset]) -> Dataset:
    root = Path(os.path.commonpath([part.root for part in parts]))
    names = sorted({name for part in parts for name in part.columns})
    rows = _once(parts)
    paths = tuple(part.root.relative_to(root) / part.paths[row] for part, row in rows)
    grouped = any(part.groups for part in parts)
    groups = (
        part.groups[row] if part.groups else path.as_posix() for (part, row), path in zip(rows, paths, strict=True)
    )
    return Dataset(
        root,
        paths,
        tuple(part.labels[row] for part, row in rows),
        tuple(part.splits[row] for part, row in rows),
        tuple(groups) if grouped else (),
        {name: tuple(part.columns[name][row] if name in part.columns else "" for part, row in rows) for name in names},
        tuple(item for part in parts for item in part.unused),
    )


def _once(parts: Sequence[Dataset]) -> list[tuple[Dataset, int]]:
    """Part and row of each photo; what an earlier part has is left out."""
    given: dict[str, tuple[str, int]] = {}
    rows, twice = [], 0
    for number, part in enumerate(parts):
        root = os.path.realpath(part.root)
        for row, (path, label) in enumerate(zip(part.paths, part.labels, strict=True)):
            name = f"{root}/{path}"
            first, since = given.setdefault(name, (label, number))
            if since == number:  # what one list repeats is as it always was
                rows.append((part, row))
                continue
            if first != label:
                raise InputError(f"{name} is given twice, as {first!r} and as {label!r}: correct one of them")
            twice += 1
    if twice:
        note(f"{twice} {'photo is' if twice == 1 else 'photos are'} given twice and count{'s' * (twice == 1)} once")
    return rows


def _find(root: Path) -> Dataset:
    if not root.exists():
        raise InputError(f"no such folder{' or list' if root.suffix.lower() in LISTS else ''}: {root}")
    if root.suffix.lower() in LISTS and root.is_file():
        listed = read_list(root)
        return Dataset(root.parent, listed.paths, listed.labels, listed.splits, listed.groups, listed.columns)
    if not root.is_dir():
        if root.suffix.lower() in ARCHIVES:
            raise InputError(f"{root} is an archive: unpack it and give the folder, which has one folder per class")
        raise InputError(f"{root} is a file: expected a folder with one folder of photos per class, or a .csv list")
    try:
        content = photos_by_class(root)
    except OSError as error:
        raise InputError(f"cannot read {error.filename or root}: {error.strerror or error}") from None
    if not content.photos:
        loose = len(content.unused)
        what = f"{loose} photos but no class folders" if loose else "no photos"
        for name, told in _OTHER_FOLDERS.items():
            if (root / name).is_file():
                raise InputError(f"{root} is {told}")
        raise InputError(f"{root} holds {what}: expected one folder per class, as in {root.name}/cat/1.jpg")
    paths, labels, splits = (tuple(column) for column in zip(*content.photos, strict=True))
    relative = tuple(path.relative_to(root) for path in paths)
    return Dataset(root, relative, labels, splits, unused=tuple(content.unused))


def group_by(dataset: Dataset, rule: str) -> Dataset:
    """Name each photo's group: what must not straddle a split, such as the frames of a film or one person's photos.

    Args:
        rule: a column of the dataset's list, or a regular expression that is searched in each relative path; the group
            is what its parentheses match, or all that it matches. A photo it does not match stands alone.

    Raises:
        InputError: the expression is not valid, or matches no photo.
    """
    if rule in dataset.columns:
        return replace(dataset, groups=dataset.columns[rule])
    try:
        expression = re.compile(rule)
    except re.error as error:
        raise InputError(f"--group {rule!r} is no column and not a regular expression: {error}") from None
    names = [path.as_posix() for path in dataset.paths]
    matches = [expression.search(name) for name in names]
    if not any(matches):
        raise InputError(f"--group {rule!r} is no column and matches no path, for example {names[0]}")
    groups = (
        name if match is None else "\0".join(part or "" for part in match.groups() or (match.group(),))
        for name, match in zip(names, matches, strict=True)
    )
    return replace(dataset, groups=tuple(groups))


def split(dataset: Dataset, share: float, seed: int) -> Dataset:
    """Hold out ``share`` (0 … 0.9) of each class of the training photos as ``val``; at least one stays in each part.

    Photos are drawn by a hash of seed and relative path, not by position: when a folder grows, (almost) every photo
    stays on its side, so what a later training is tested on was never trained on before. Groups are drawn whole; a
    class that is one group cannot be held out. A dataset that brings a ``val`` or ``test`` folder is returned as it is.
    """
    if not 0 < share < 0.9:
        raise InputError(f"the held-out share must be above 0 and below 0.9, got {share}")
    if set(dataset.splits) & {"val", "test"}:
        return dataset
    names = dataset.groups or tuple(path.as_posix() for path in dataset.paths)
    members: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        members.setdefault(name, []).append(row)
    drawn = sorted(members, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogatepass")).digest())
    sizes, left = Counter(dataset.labels), Counter[str]()
    for rows in members.values():
        left.update({dataset.labels[row] for row in rows})  # groups that each class could still train on
    wanted = {label: min(size - 1, max(1, round(share * size))) for label, size in sizes.items()}
    splits = list(dataset.splits)
    for name in drawn:
        of_class = Counter(dataset.labels[row] for row in members[name])
        needed = sum(min(count, max(wanted[label], 0)) for label, count in of_class.items())
        if 2 * needed < of_class.total() or any(left[label] < 2 for label in of_class):
            continue
        for row in members[name]:
            splits[row] = "val"
        for label, count in of_class.items():
            wanted[label] -= count
            left[label] -= 1
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


def _at_least_two(dataset: Dataset, root: Path) -> Dataset:
    if len(dataset.classes) < 2:
        raise InputError(f"{root} holds one class, {dataset.classes[0]!r}: at least two are needed to tell apart")
    return dataset
