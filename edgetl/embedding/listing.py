"""Photos of any number, one after the other: of folders, lists and tar shards, here or in an object store.

Nothing is held but the names in one folder at a time, so listing a hundred million photos takes no more memory than
listing the largest folder.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from edgetl_device.errors import InputError
from edgetl_device.labels import check_label

from ..data.folders import split_name
from ..data.lists import ARCHIVES, column_of
from .places import Place, is_address, place_of

PART_PHOTOS = 4096
"""Photos of one part of the embeddings, at most; of a tar shard, all that it holds."""

_LISTS = (".csv", ".tsv", ".parquet")
_SHARDS = (".tar", ".tar.gz", ".tgz")
PHOTO_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".heic", ".heif", ".avif")
_BATCH = 4096  # rows of a Parquet list that are read at once
_LONGEST_REASON = 120  # characters of why a list cannot be read
_LONGEST_LINE = 1 << 20  # characters of a line of a list, its header included
_ELSEWHERE = {
    *("s3", "gs", "gcs", "az", "abfs", "abfss", "adl", "hdfs", "viewfs", "hf", "oss", "cos", "b2", "r2"),
    *("http", "https", "ftp", "sftp", "ssh", "webdav", "webhdfs"),
}
"""Schemes of addresses that are never files of this machine."""


@dataclass(frozen=True)
class Row:
    """One photo, or one tar shard of photos.

    Args:
        place: where its bytes are.
        name: relative to what was asked for; with ``/`` whatever the machine.
        label: nothing where it has none.
        split: ``train``, ``val`` or ``test``; nothing where that was not said.
    """

    place: Place
    name: str
    label: str = ""
    split: str = ""

    @property
    def is_shard(self) -> bool:
        """Whether it is a tar file."""
        return self.name.lower().endswith(_SHARDS)


@dataclass(frozen=True)
class Task:
    """What one part of the embeddings is made of.

    Args:
        number: of the part, from 0.
        rows: up to :data:`PART_PHOTOS` photos, or one tar shard.
    """

    number: int
    rows: tuple[Row, ...]


def tasks_of(rows: Iterable[Row], size: int = PART_PHOTOS) -> Iterator[Task]:
    """Rows in order → tasks, the same for the same rows."""
    waiting: list[Row] = []
    numbers = itertools.count()
    for row in rows:
        if waiting and (row.is_shard or len(waiting) == size):
            yield Task(next(numbers), tuple(waiting))
            waiting = []
        if row.is_shard:
            yield Task(next(numbers), (row,))
        else:
            waiting.append(row)
    if waiting:
        yield Task(next(numbers), tuple(waiting))


def rows_of(source: Place) -> Iterator[Row]:
    """A folder, a CSV, TSV or Parquet list, or a tar shard → its rows, in an order that does not change.

    A folder has one folder for each class, or the same under ``train/``, ``val/`` and ``test/``; photos that lie in it
    directly have no label. Files that are called ``*.tar`` are shards, wherever they lie.

    Raises:
        InputError: it is none of these, or cannot be read.
    """
    if source.is_folder():
        return _folder(source)
    name = source.name.lower()
    if name.endswith(_SHARDS):
        return iter((Row(source, source.name),))
    if name.endswith(_LISTS):
        return _list(source)
    if name.endswith(ARCHIVES):
        raise InputError(f"{source} is an archive: unpack it and give the folder, or make a tar shard of it")
    raise InputError(f"{source} is neither a folder, nor a list (.csv, .tsv, .parquet), nor a tar shard")


def _folder(root: Place) -> Iterator[Row]:
    folders, files = root.entries()
    splits = _splits(root, folders)
    for name in files:
        if not folders or name.lower().endswith((*PHOTO_ENDINGS, *_SHARDS)):  # beside classes lie notes and lists too
            yield Row(root / name, name)
    for folder in folders:
        here, split = root / folder, splits.get(folder, "")
        if not split:
            yield from _below(here, folder, _label(folder, here), "")
            continue
        classes, loose = here.entries()
        for name in loose:
            yield Row(here / name, f"{folder}/{name}", "", split)
        for label in classes:
            yield from _below(here / label, f"{folder}/{label}", _label(label, here / label), split)


def _below(folder: Place, name: str, label: str, split: str) -> Iterator[Row]:
    """The files of a folder and its sub-folders."""
    folders, files = folder.entries()
    for file in files:
        yield Row(folder / file, f"{name}/{file}", label, split)
    for inner in folders:
        yield from _below(folder / inner, f"{name}/{inner}", label, split)


def _splits(root: Place, folders: list[str]) -> dict[str, str]:
    """Folders that are splits → their names: two or more, and no class beside them, for one class may be "test"."""
    named = {folder: split for folder in folders if (split := split_name(folder))}
    if len(set(named.values())) < 2:
        only = len(folders) == 1 and named and (root / folders[0]).entries()[0]
        return named if only else {}
    others = [folder for folder in folders if folder not in named]
    if others:
        raise InputError(
            f"{root} holds {', '.join(named)}, which are splits, and {others[0]!r}, which is none: move it away, or "
            "into one of them"
        )
    return named


def _label(folder: str, place: Place) -> str:
    try:
        return check_label(folder)
    except InputError as error:
        raise InputError(f"{place}: its photos would get its name as their label, and {error}") from None


def _list(source: Place) -> Iterator[Row]:
    read = _parquet if source.name.lower().endswith(".parquet") else _csv
    try:
        with source.open() as stream:
            lines = read(source, stream)
            names = next(lines)
            yield from _rows(source, names, lines)
    except (OSError, csv.Error, ValueError) as error:  # Arrow's errors are of these
        why = " ".join(str(error).split())[:_LONGEST_REASON]
        raise InputError(f"cannot read {source}: {why}") from None


def _rows(source: Place, names: list[str], lines: Iterator[list[Any]]) -> Iterator[Row]:
    found = {meaning: column_of(meaning, dict.fromkeys(names, ())) for meaning in ("path", "label", "split")}
    if found["path"] is None:
        hint = "; photos inside of a Parquet file: `edgetl import parquet` first" if "image" in names else ""
        raise InputError(f"{source} lacks the column 'path', it has {','.join(names)[:100]}{hint}")
    at = {meaning: names.index(name) for meaning, name in found.items() if name is not None}
    for number, line in enumerate(lines, 2):
        if len(line) != len(names):
            raise InputError(f"{source} line {number}: expected {len(names)} values, got {len(line)}")
        values = {meaning: str(line[column] or "").strip() for meaning, column in at.items()}
        yield _listed(source, values["path"], values.get("label", ""), values.get("split", ""))


def _listed(source: Place, name: str, label: str, split: str) -> Row:
    if is_address(name):
        place = place_of(name)
        name = str(place)
        if not source.is_local and name.partition(":")[0].lower() not in _ELSEWHERE:
            raise InputError(f"{source} lists {name!r}: a list in a store may name what lies in stores alone")
    else:
        if source.is_local and "\\" in name and not _exists(source.parent / name):
            name = name.replace("\\", "/")  # of a list from Windows
        if not name or name.startswith("/") or ".." in name.split("/") or "\0" in name:
            raise InputError(f"{source} lists {name!r}: expected paths below the list's folder, or addresses")
        place = source.parent / name
    known = split_name(split) if split else ""
    if known is None:
        raise InputError(f"{source}: a split must be train, val or test, got {split!r}")
    return Row(place, name, label, known)


def _exists(place: Place) -> bool:
    from pathlib import Path

    return Path(place.path).exists()


def _csv(source: Place, stream: BinaryIO) -> Iterator[list[Any]]:
    """The names of its columns, then its lines; values are separated by commas, semicolons or tabs."""
    encoding = "utf-16" if stream.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    stream.seek(0)
    with io.TextIOWrapper(stream, encoding, newline="") as text:
        lines = _bounded(source, text)
        first = next(lines, "")
        if not first.strip():
            raise InputError(f"{source} is empty: expected a header such as path,label and a line for each photo")
        separator = max(",;\t", key=first.count)
        yield [name.strip() for name in next(csv.reader([first], delimiter=separator))]
        yield from (line for line in csv.reader(lines, delimiter=separator) if any(line))


def _bounded(source: Place, text: io.TextIOWrapper) -> Iterator[str]:
    """Its lines, none of which fills the memory."""
    while line := text.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise InputError(f"{source} holds a line of more than {_LONGEST_LINE >> 20} MiB: is it a list of photos?")
        yield line


def _parquet(source: Place, stream: BinaryIO) -> Iterator[list[Any]]:
    """The names of its columns, then its rows."""
    from pyarrow import parquet

    with parquet.ParquetFile(stream) as file:
        yield list(file.schema_arrow.names)
        for batch in file.iter_batches(_BATCH):
            yield from map(list, zip(*(column.to_pylist() for column in batch.columns), strict=True))
