"""Hugging Face: image folders, with or without ``metadata.csv`` or ``metadata.jsonl``.

https://huggingface.co/docs/datasets/image_dataset
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

from edgetl_device.errors import InputError
from edgetl_device.files import read_bounded
from edgetl_device.photo_folders import Unused
from edgetl_device.strict_json import parsed

from ..data.folders import split_name
from ..data.lists import column_of, read_columns
from .columns import MOST_COLUMNS, Values, plain
from .records import MOST_BYTES, Found, Record, class_folders, files_in, picture


def read(source: Path) -> Found:
    """Class folders, or photos with a table beside them: the columns ``file_name`` and ``label``, and others."""
    if not source.is_dir():
        raise InputError(f"{source} is no folder: expected one of photos")
    tables = sorted([*files_in(source, "metadata.csv"), *files_in(source, "metadata.jsonl")])
    if not tables:
        yield from class_folders(source)
    for table in tables:
        split = split_name(table.parent.name) or "train"
        for name, label, others in _table(table):
            file = picture(name, source, table.parent)
            if isinstance(file, str):
                yield Unused(Path(name), file)
            else:
                yield Record(file, file.relative_to(source).as_posix(), label, split, columns=others)


def _table(path: Path) -> list[tuple[str, str, Values]]:
    """File names, labels and the other columns."""
    if path.suffix == ".csv":
        columns = read_columns(path)
        names, labels = column_of("path", columns), column_of("label", columns)
        if names is None or labels is None:
            raise InputError(f"{path} has the columns {', '.join(columns)[:100]}: expected file_name and label")
        files, said = columns.pop(names), columns.pop(labels)
        return [
            (file, label, tuple((name, values[row]) for name, values in columns.items()))
            for row, (file, label) in enumerate(zip(files, said, strict=True))
        ]
    rows = list[tuple[str, str, Values]]()
    for number, line in enumerate(read_bounded(path, MOST_BYTES).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = parsed(line, long_integers=True)
            further = islice((name for name in row if name not in ("file_name", "label")), MOST_COLUMNS + 1)
            others = tuple((sys.intern(name), plain(row[name])) for name in further)
            rows.append((str(row["file_name"]), str(row["label"]), others))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{path} line {number}: expected JSON with file_name and label") from None
    return rows
