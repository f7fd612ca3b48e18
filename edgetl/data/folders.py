"""A folder of photos, one folder per class → photos, labels and splits; and what in it is not used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgetl_device.errors import InputError
from edgetl_device.labels import check_label
from edgetl_device.photo_folders import PhotoFolder, Unused, is_leftover, photos_in, reasons, why_unused

SPLITS = ("train", "val", "test")
_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val", "eval": "val", "evaluation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class FolderContent:
    """Photos of a folder.

    Args:
        photos: (path, label, split) of each, in order; the paths begin with the folder.
        unused: what else lies there, and why it is not used.
    """

    photos: list[tuple[Path, str, str]]
    unused: list[Unused]


def split_name(name: str) -> str | None:
    """``train``, ``val`` or ``test`` for what people call them; None for anything else.

    >>> split_name("Validation"), split_name("roses")
    ('val', None)
    """
    return _NAMES.get(name.strip().casefold())


def photos_by_class(root: Path) -> FolderContent:
    """Look for class folders in ``root``, or in folders of it that are named as splits are.

    Raises:
        InputError: it holds splits beside classes, or a class without a photo that can be read.
    """
    folders = _folders(root)
    splits = _splits(root, folders)
    photos: list[tuple[Path, str, str]] = []
    unused: list[Unused] = []
    for parent, split in [(folder, split_name(folder.name)) for folder in splits] if splits else [(root, "train")]:
        unused += _direct(parent)
        for folder in _folders(parent):
            content = photos_in(folder)
            if not content.photos:
                raise InputError(_why_empty(folder, content))
            label = check_label(folder.name)
            photos += [(path, label, split or "train") for path in content.photos]
            unused += content.unused
    if splits:
        unused += _direct(root)
        unused += [
            Unused(folder, "a folder beside the splits, without photos") for folder in folders if folder not in splits
        ]
    return FolderContent(photos, unused)


def _splits(root: Path, folders: list[Path]) -> list[Path]:
    """The folders that are splits: named like one, with class folders and no photos of their own."""
    named = [folder for folder in folders if split_name(folder.name) and _folders(folder)]
    named = [folder for folder in named if not any(_begins_as_photo(item) for item in _files(folder))]
    others = [folder for folder in folders if folder not in named]
    if not named or (others and len({split_name(folder.name) for folder in named}) < 2):
        return []  # one class may well be called "test"
    for folder in others:
        if photos_in(folder).photos:
            names = ", ".join(folder.name for folder in named)
            raise InputError(
                f"{root} holds {names}, which are splits, and {folder.name!r}, which is none: "
                f"move it away, or into one of them"
            )
    return named


def _why_empty(folder: Path, content: PhotoFolder) -> str:
    why = "; ".join(f"{count} × {reason}" for reason, count in reasons(content.unused).items())
    held = f" (it holds {why})" if why else ""
    return f"class {folder.name!r} has no photo in {folder}{held}: add some, or remove the folder"


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir() and not is_leftover(path.name))


def _files(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if not path.is_dir() and not is_leftover(path.name))


def _direct(parent: Path) -> list[Unused]:
    """Photos that lie beside the class folders; other files there are notes, lists and the like."""
    return [
        Unused(path, "beside the class folders, so of no class") for path in _files(parent) if _begins_as_photo(path)
    ]


def _begins_as_photo(path: Path) -> bool:
    return not why_unused(path)
