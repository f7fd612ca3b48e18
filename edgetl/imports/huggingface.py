"""Hugging Face: image folders, with or without ``metadata.csv`` or ``metadata.jsonl``.

https://huggingface.co/docs/datasets/image_dataset
"""

from __future__ import annotations

from pathlib import Path

from edgetl_device.errors import InputError
from edgetl_device.files import read_bounded
from edgetl_device.photo_folders import Unused
from edgetl_device.strict_json import parsed

from ..data.folders import split_name
from ..data.lists import column_of, read_columns
from .records import MOST_BYTES, Found, Record, class_folders, files_in, picture


def read(source: Path) -> Found:
    """Class folders, or photos with a table beside them: the columns ``file_name`` and ``label``."""
    if not source.is_dir():
        raise InputError(f"{source} is no folder: expected one of photos")
    tables = sorted([*files_in(source, "metadata.csv"), *files_in(source, "metadata.jsonl")])
    if not tables:
        yield from class_folders(source)
    for table in tables:
        split = split_name(table.parent.name) or "train"
        for name, label in _table(table):
            file = picture(name, source, table.parent)
            if isinstance(file, str):
                yield Unused(Path(name), file)
            else:
                yield Record(file, file.relative_to(source).as_posix(), label, split)


def _table(path: Path) -> list[tuple[str, str]]:
    """File names and labels."""
    if path.suffix == ".csv":
        columns = read_columns(path)
        names, labels = column_of("path", columns), column_of("label", columns)
        if names is None or labels is None:
            raise InputError(f"{path} has the columns {', '.join(columns)[:100]}: expected file_name and label")
        return list(zip(columns[names], columns[labels], strict=True))
    rows = []
    for number, line in enumerate(read_bounded(path, MOST_BYTES).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = parsed(line, long_integers=True)
            rows.append((str(row["file_name"]), str(row["label"])))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{path} line {number}: expected JSON with file_name and label") from None
    return rows
