"""Lists of photos as CSV files, with the headers and separators that people and programs use."""

from __future__ import annotations

import csv
import io
import itertools
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from edgetl_device.errors import InputError
from edgetl_device.files import open_bounded
from edgetl_device.labels import check_label
from edgetl_device.printable import printable

from .folders import split_name

Columns = dict[str, tuple[str, ...]]

MOST_BYTES = 256 << 20
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
MOST_VALUES = 2_000_000  # a million photos with their labels; they take 300 MB
_HEADERS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_name",
             "img", "img_path", "photo", "picture"),
    "label": ("label", "class", "class_name", "category", "target", "labels", "classes", "species", "y"),
    "split": ("split", "set", "subset", "partition", "fold"),
    "group": ("group", "groups"),
}  # fmt: skip
"""What a column is called, the first that is there counts."""


@dataclass(frozen=True)
class PhotoList:
    """The photos that a list names.

    Args:
        paths: n relative paths.
        labels: n labels.
        splits: n of ``train``, ``val`` or ``test``.
        groups: n names, or none.
        columns: the other columns.
    """

    paths: tuple[Path, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    groups: tuple[str, ...]
    columns: Columns


def read_list(path: Path) -> PhotoList:
    """A CSV file with a column of paths, relative to it, and one of labels, perhaps of splits and groups.

    Raises:
        InputError: a column is missing, the list is empty, or it names photos that are not there.
    """
    columns = read_columns(path)
    names = {meaning: column_of(meaning, columns) for meaning in _HEADERS}
    for meaning in ("path", "label"):
        if names[meaning] is None:
            known = ", ".join(_HEADERS[meaning][1:5])
            raise InputError(
                f"{path} lacks the column {meaning!r}: expected a first line such as path,label ({known} will do as "
                f"{meaning} too), got {','.join(columns)[:100]}"
            )
    paths = [_path(name, path) for name in columns.pop(str(names["path"]))]
    labels = tuple(map(check_label, columns.pop(str(names["label"]))))
    if not paths:
        raise InputError(f"{path} lists no photo")
    missing = [name for name in paths if not (path.parent / name).is_file()]
    if missing:
        raise InputError(
            f"{path} lists photos that are not there, {len(missing)} of {len(paths)}, for example "
            f"{missing[0].as_posix()}: paths are relative to the list's folder, {path.parent.absolute()}"
        )
    splits = ("train",) * len(paths)
    if names["split"] is not None:
        splits = tuple(_split(value, path) for value in columns.pop(names["split"]))
    groups = columns[names["group"]] if names["group"] is not None else ()
    return PhotoList(tuple(paths), labels, splits, groups, columns)


def column_of(meaning: str, columns: Columns) -> str | None:
    """The column of ``path``, ``label``, ``split`` or ``group``, by that name or another that people use; or None."""
    plain = {name.casefold().replace(" ", "_").replace("-", "_"): name for name in reversed(columns)}
    return next((plain[name] for name in _HEADERS[meaning] if name in plain), None)


def read_columns(path: Path) -> Columns:
    """A CSV file with a header → column name → values; raises InputError for anything else.

    Values may be separated by commas, semicolons or tabs; the text is UTF-8, or UTF-16 with its mark.
    """
    try:
        with open_bounded(path, MOST_BYTES) as file:
            encoding = "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
            file.seek(0)
            with io.TextIOWrapper(file, encoding, newline="") as text:
                header, rows = _rows(text)
    except (OSError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    except UnicodeError:
        raise InputError(f"{path} is not text in UTF-8: save it as “CSV UTF-8”") from None
    if not header:
        raise InputError(f"{path} is empty: expected a header such as path,label and a line for each photo")
    if len(rows) * len(header) > MOST_VALUES:
        raise InputError(
            f"{path} holds more than {MOST_VALUES:,} values, lines times columns: leave columns out, or train on a part"
        )
    names = [name.strip() for name in header]
    if len(set(names)) != len(names):
        twice, _ = Counter(names).most_common(1)[0]
        raise InputError(f"{path} names a column twice: {printable(twice, 60)}")
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise InputError(f"{path} line {number}: expected {len(names)} values, got {len(row)}")
    return {name: tuple(row[column].strip() for row in rows) for column, name in enumerate(names)}


def _rows(text: io.TextIOBase) -> tuple[list[str], list[list[str]]]:
    """The first line, and the others that hold anything: as many as make one value more than is read, at most."""
    first = text.readline()
    separator = max(",;\t", key=first.count)
    lines = csv.reader(itertools.chain([first] if first else [], text), delimiter=separator)
    header = next(lines, [])
    most = MOST_VALUES // max(len(header), 1) + 1
    return header, list(itertools.islice((row for row in lines if any(row)), most))


def _path(name: str, source: Path) -> Path:
    """A relative path as it is written in a list, perhaps on Windows."""
    path = Path(name)
    if "\\" in name and not (source.parent / path).exists():
        path = Path(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name or not name:
        raise InputError(f"{source} lists {os.fspath(path)!r}: expected paths below the file's folder")
    return path


def _split(value: str, source: Path) -> str:
    name = split_name(value) if value else "train"
    if name is None:
        raise InputError(f"{source}: a split must be train, val or test, got {value!r}")
    return name
