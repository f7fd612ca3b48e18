"""What every export comes down to: a picture, perhaps a box in it, a label; and reading JSON that may be anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from edgetl_device.errors import InputError
from edgetl_device.files import read_bounded
from edgetl_device.photo_folders import Unused

MOST_BYTES = 512 << 20  # of annotations
T = TypeVar("T")


@dataclass(frozen=True)
class Record:
    """One labelled picture, or a part of one.

    Args:
        image: its file, or its bytes.
        name: of the picture, for the group: parts of one picture belong on one side of a split.
        label: as the export says.
        split: ``train``, ``val`` or ``test``.
        box: left, top, right and bottom, as shares of width and height or, with ``in_pixels``, in pixels; None for all
            of the picture.
    """

    image: Path | bytes
    name: str
    label: str
    split: str = "train"
    box: tuple[float, float, float, float] | None = None
    in_pixels: bool = False


Found = Iterator[Record | Unused]
"""Pictures in the export's order, and what of it cannot be used, with the reason."""


def read_json(path: Path) -> Any:
    """A JSON file; raises InputError for anything else."""
    try:
        return json.loads(read_bounded(path, MOST_BYTES))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON") from None


def as_kind(kind: type[T], value: Any, what: str) -> T:
    """The value, if it is of this type; raises InputError that names it."""
    if kind is float and type(value) is int:
        return float(value)  # type: ignore[return-value]
    if type(value) is not kind:
        raise InputError(f"expected {kind.__name__} as {what}, got {str(value)[:60]!r}")
    return value


def picture(name: str, *folders: Path) -> Path | None:
    """The file that an export means, in one of the folders or below their ``images``; None where there is none.

    An export may come from anybody: what leads out of the folders is not followed. Addresses and absolute paths, as
    Label Studio has them, are looked for by their end.
    """
    parts = _parts(name)
    for folder in folders:
        root = folder.resolve()
        for start in range(len(parts)):
            for base in (folder, folder / "images"):
                path = base.joinpath(*parts[start:])
                if path.is_file() and path.resolve().is_relative_to(root):
                    return path
    return None


def _parts(name: str) -> tuple[str, ...]:
    address = urlsplit(name)
    if address.scheme and len(address.scheme) > 1:
        name = unquote(address.path)
    elif address.path == "/data/local-files/":
        name = parse_qs(address.query).get("d", [name])[0]
    plain = name.split("?")[0] if "?d=" not in name else name
    path = PureWindowsPath(plain) if "\\" in plain else PurePosixPath(unquote(plain) if "%" in plain else plain)
    if "\0" in plain or ".." in path.parts:
        return ()
    return tuple(part for part in path.parts if part not in (path.anchor, "/", "\\"))
