"""What every export comes down to: a picture, perhaps a box in it, a label; and reading JSON that may be anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from edgetl_device.errors import InputError
from edgetl_device.files import read_bounded
from edgetl_device.photo_folders import Unused
from edgetl_device.strict_json import parsed

from ..data.folders import photos_by_class
from .columns import Values

MOST_BYTES = 512 << 20  # of annotations
OUTSIDE = "a link that leaves the export"
NOT_THERE = "its picture is not there"
_LONGEST, _LONGEST_PART = 4096, 255  # bytes of a path, and of a name in it, that file systems take
_DEEPEST = 64  # folders of a path, from its end, that are looked for
_WORDS = {dict: "an object", list: "a list", str: "text", float: "a number"}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Record:
    """One labelled picture, or a part of one.

    Args:
        image: its file, or its bytes.
        name: of the picture, for the group: parts of one picture belong on one side of a split.
        label: as the export says.
        split: ``train``, ``val`` or ``test``.
        box: left, top, right and bottom, as shares of width and height or, with ``in_pixels``, in pixels; None for all
            of the picture.
        columns: what else the export says of the picture.
    """

    image: Path | bytes
    name: str
    label: str
    split: str = "train"
    box: tuple[float, float, float, float] | None = None
    in_pixels: bool = False
    columns: Values = ()


Found = Iterator[Record | Unused]
"""Pictures in the export's order, and what of it cannot be used, with the reason."""


def read_json(path: Path) -> Any:
    """A JSON file; raises InputError for anything else."""
    try:
        return parsed(read_bounded(path, MOST_BYTES), long_integers=True)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON") from None


def as_kind(kind: type[T], value: Any, what: str) -> T:
    """The value, if it is of this type; raises InputError that names it."""
    if kind is float and type(value) is int:
        try:
            return float(value)  # type: ignore[return-value]
        except OverflowError:
            raise InputError(f"{what} has {len(str(value))} digits, more than any number in a picture") from None
    if type(value) is not kind:
        raise InputError(f"expected {_WORDS.get(kind, kind.__name__)} as {what}, got {str(value)[:60]!r}")
    return value


def picture(name: str, root: Path, *folders: Path) -> Path | str:
    """The file that an export means, in one of the folders or below their ``images``; or why there is none.

    An export may come from anybody: what leads out of ``root``, the whole of it, is not followed. Addresses and
    absolute paths, as Label Studio has them, are looked for by their end.
    """
    if len(name) > _LONGEST:
        return f"the name of its picture is longer than {_LONGEST} characters"
    parts = _parts(name)[-_DEEPEST:]
    for folder in folders:
        for start in range(len(parts)):
            for base in (folder, folder / "images"):
                path = base.joinpath(*parts[start:])
                if _is_file(path) and is_inside(path, root):
                    return path
    if any(len(part.encode(errors="replace")) > _LONGEST_PART for part in parts):
        return f"the name of its picture is longer than {_LONGEST_PART} bytes"
    return NOT_THERE


def is_inside(path: Path, root: Path) -> bool:
    """Whether a file lies in a folder, also where links lead to it or to the folder."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a link to itself, as Python up to 3.12 says
        return False


def check_inside(path: Path, root: Path) -> None:
    """Raise InputError for a link out of an export: its content is nobody's to show."""
    if not is_inside(path, root):
        raise InputError(f"{path} is {OUTSIDE}: put what it leads to in its place, or remove the link")


def files_in(source: Path, pattern: str) -> list[Path]:
    """The files of a name in an export, sorted; hidden ones are left out. InputError if one is a link out of it."""
    found = sorted(path for path in source.rglob(pattern) if not path.name.startswith("."))
    for path in found:
        check_inside(path, source)
    return found


def class_folders(source: Path) -> Found:
    """The photos of class folders, perhaps in folders named as splits are; links out of the export are not used."""
    folders = [path for path in source.iterdir() if path.is_dir()]
    for path in [*folders, *(path for folder in folders if not folder.is_symlink() for path in folder.iterdir())]:
        if path.is_symlink() and path.is_dir():
            check_inside(path, source)
    content = photos_by_class(source)
    for path, label, split in content.photos:
        if is_inside(path, source):
            yield Record(path, path.relative_to(source).as_posix(), label, split)
        else:
            yield Unused(path.relative_to(source), OUTSIDE)
    yield from content.unused


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _parts(name: str) -> tuple[str, ...]:
    try:
        address = urlsplit(name)
    except ValueError:  # as http://[x is none
        return ()
    if address.scheme and len(address.scheme) > 1:
        name = unquote(address.path)
    elif address.path == "/data/local-files/":
        name = parse_qs(address.query).get("d", [name])[0]
    plain = name.split("?")[0] if "?d=" not in name else name
    path = PureWindowsPath(plain) if "\\" in plain else PurePosixPath(unquote(plain) if "%" in plain else plain)
    if "\0" in plain or ".." in path.parts:
        return ()
    return tuple(part for part in path.parts if part not in (path.anchor, "/", "\\"))
