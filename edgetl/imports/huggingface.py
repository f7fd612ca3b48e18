"""Hugging Face: image folders with ``metadata.csv`` or ``metadata.jsonl``, and Parquet files with the photos inside.

https://huggingface.co/docs/datasets/image_dataset
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgetl_device.errors import InputError
from edgetl_device.files import read_bounded
from edgetl_device.photo_folders import Unused

from ..data.folders import photos_by_class, split_name
from ..data.lists import column_of, read_columns
from .records import MOST_BYTES, Found, Record, picture

_IMAGES, _LABELS = ("image", "img", "photo", "picture"), ("label", "labels", "class", "fine_label", "category")
_MOST_ROWS = 64  # read at once


def read_folder(source: Path) -> Found:
    """Class folders, or photos with a table beside them: the columns ``file_name`` and ``label``."""
    if not source.is_dir():
        raise InputError(f"{source} is no folder: expected one of photos")
    tables = sorted([*source.rglob("metadata.csv"), *source.rglob("metadata.jsonl")])
    if not tables:
        content = photos_by_class(source)
        for path, label, split in content.photos:
            yield Record(path, path.relative_to(source).as_posix(), label, split)
        yield from content.unused
    for table in tables:
        split = split_name(table.parent.name) or "train"
        for name, label in _table(table):
            file = picture(name, table.parent)
            if file is None:
                yield Unused(Path(name), "its picture is not there")
            else:
                yield Record(file, file.relative_to(source).as_posix(), label, split)


def read_parquet(source: Path) -> Found:
    """One Parquet file, or a folder of them; the names of classes are in their schema."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("reading Parquet needs pyarrow: pip install 'edgetl[imports]'") from None
    files = [source] if source.is_file() else sorted(source.rglob("*.parquet"))
    if not files:
        raise InputError(f"{source} holds no .parquet file")
    for path in files:
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                yield from _parquet(file, path)
        except (OSError, pyarrow.ArrowException) as error:
            raise InputError(f"{path} is not a Parquet file that can be read: {str(error)[:120]}") from None


def _parquet(file: Any, path: Path) -> Found:
    schema = file.schema_arrow
    image = next((name for name in _IMAGES if name in schema.names), None)
    label = next((name for name in _LABELS if name in schema.names), None)
    if image is None or label is None:
        raise InputError(f"{path} has the columns {', '.join(schema.names)[:100]}: expected image and label")
    names = _class_names(schema.metadata or {}, label)
    split = split_name(path.name.partition("-")[0].partition(".")[0]) or split_name(path.parent.name) or "train"
    row = 0
    for batch in file.iter_batches(_MOST_ROWS, columns=[image, label]):
        for shown, said in zip(batch.column(image).to_pylist(), batch.column(label).to_pylist(), strict=True):
            name = f"{path.stem}-{row:06}"
            row += 1
            data = shown.get("bytes") if isinstance(shown, dict) else shown
            known = names[said] if names and isinstance(said, int) and 0 <= said < len(names) else said
            if not isinstance(data, bytes):
                yield Unused(Path(name), "its picture is not in the file")
            elif known is None or known == -1:
                yield Unused(Path(name), "nobody labelled it")
            else:
                yield Record(data, name, str(known), split)


def _class_names(metadata: Mapping[bytes, bytes], label: str) -> list[str]:
    try:
        feature = json.loads(metadata[b"huggingface"])["info"]["features"][label]
        return [str(name) for name in feature["names"]]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []


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
            row = json.loads(line)
            rows.append((str(row["file_name"]), str(row["label"])))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{path} line {number}: expected JSON with file_name and label") from None
    return rows
