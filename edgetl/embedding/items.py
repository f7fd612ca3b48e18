"""The photos of a task, as files on this machine: where they are, fetched from a store, or taken out of a tar shard."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Self

from edgetl_device.errors import InputError
from edgetl_device.labels import check_label
from edgetl_device.photos import MAX_BYTES
from edgetl_device.strict_json import parsed

from ..data.streaming import ahead
from .listing import PHOTO_ENDINGS, Row, Task

_AT_ONCE = 16  # objects that are fetched together: the answer of a store takes longer than a photo
_LABELS = ("cls", "txt", "label", "json")
_LABEL_KEYS = ("label", "class", "class_name", "category", "cls")
_MOST_LABEL = 1 << 20  # bytes of a file that holds a label
_MOST_NAME = 1 << 20  # bytes of a member's name and attributes
_NAMES = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_MOST_PHOTOS, _MOST_BYTES = 100, 256 << 20  # of one sample, whose photos wait for the label that may follow them
_BUFFER = 1 << 20  # bytes of a shard that a store is asked for at once


@dataclass(frozen=True)
class Item:
    """One photo of a task.

    Args:
        row: its name, label and split.
        file: with its bytes; None where there are none.
        temporary: whether the file is to be removed when it has been read.
        problem: why there is no file.
    """

    row: Row
    file: Path | None
    temporary: bool = False
    problem: str = ""

    def done(self) -> None:
        """It has been read."""
        if self.temporary and self.file is not None:
            self.file.unlink(missing_ok=True)


def items_of(task: Task, spool: Path) -> Iterator[Item]:
    """The photos of a task, in order; what cannot be had is named and not fatal.

    Args:
        spool: folder for what does not lie on this machine as a file.
    """
    if task.rows[0].is_shard:
        yield from _shard(task.rows[0], spool)
    elif all(row.place.is_local for row in task.rows):
        yield from map(_local, task.rows)
    else:
        yield from ahead(lambda row: _fetched(row, spool), task.rows, 2 * _AT_ONCE, _AT_ONCE)


def _local(row: Row) -> Item:
    checked, problem = _checked(row)
    return Item(checked, None if problem else Path(row.place.path), problem=problem)


def _fetched(row: Row, spool: Path) -> Item:
    row, problem = _checked(row)
    if problem or row.place.is_local:
        return _local(row)
    try:
        with row.place.open() as stream:
            return Item(row, _kept(stream.read(MAX_BYTES + 1), spool), True)
    except InputError as error:
        return Item(row, None, problem=str(error).removeprefix(f"cannot read {row.place}: "))
    except OSError as error:
        return Item(row, None, problem=f"cannot be read: {' '.join(str(error).split())[:120]}")


def _checked(row: Row) -> tuple[Row, str]:
    """The row with its label as it may be, or what is wrong with that."""
    label, problem = _checked_label(row.label) if row.label else ("", "")
    return (row if label == row.label else replace(row, label=label)), problem


@lru_cache(4096)  # thousands of photos have the same
def _checked_label(label: str) -> tuple[str, str]:
    try:
        return check_label(label), ""
    except InputError as error:
        return "", str(error)


def _kept(data: bytes, spool: Path) -> Path:
    handle, name = tempfile.mkstemp(dir=spool)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    return Path(name)


def _shard(row: Row, spool: Path) -> Iterator[Item]:
    """The photos of a tar file, in WebDataset's layout (https://github.com/webdataset/webdataset).

    Files that follow each other and whose names are the same up to the first dot are one sample: its photos, and their
    label in ``.cls``, ``.txt`` or ``.json``. Without one a photo has the name of its folder in the shard as its label,
    or of the folder that the shard lies in. Files of other kinds are passed over.
    """
    sample: list[Item] = []
    key, label, count, waiting = "", "", 0, 0
    try:
        with row.place.open() as stream, _opened(stream) as shard:
            for member in shard:
                if not member.isfile() or Path(member.name).name.startswith("."):
                    continue
                name, _, kind = _split_name(member.name)
                if name != key:
                    yield from _labelled(sample, label)
                    sample, key, label, waiting = [], name, "", 0
                if kind in _LABELS:
                    label = _label_in(_read(shard, member, _MOST_LABEL), kind) or label
                elif f".{kind}" in PHOTO_ENDINGS:
                    waiting += min(member.size, MAX_BYTES + 1)
                    if len(sample) == _MOST_PHOTOS or waiting > _MOST_BYTES:
                        raise InputError(f"a sample has more than {_MOST_PHOTOS} photos or {_MOST_BYTES >> 20} MiB")
                    sample.append(_member(shard, member, row, spool))
                    count += 1
    except (tarfile.TarError, OSError, EOFError, InputError, ValueError) as error:
        yield from _labelled(sample, label)
        why = " ".join(str(error).split())[:120] or type(error).__name__
        yield Item(row, None, problem=f"the shard is damaged after {count} photos: {why}")
        return
    yield from _labelled(sample, label)
    if not count:
        yield Item(row, None, problem="the shard holds no photos")


class _Member(tarfile.TarInfo):
    """A member that is refused before its names are read where they alone would fill the memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        found = super().frombuf(buf, encoding, errors)
        if found.type == tarfile.GNUTYPE_SPARSE or (found.type in _NAMES and found.size > _MOST_NAME):
            raise InputError("a member's header is none of a photo")
        return found


def _opened(stream: BinaryIO) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="r|*", bufsize=_BUFFER, tarinfo=_Member)


def _split_name(name: str) -> tuple[str, str, str]:
    """The key of a sample, a dot, and the ending in lower case."""
    folder, slash, file = name.rpartition("/")
    stem, dot, _ = file.partition(".")
    return f"{folder}{slash}{stem}", dot, file.rpartition(".")[2].lower() if dot else ""


def _member(shard: tarfile.TarFile, member: tarfile.TarInfo, row: Row, spool: Path) -> Item:
    name = member.name.removeprefix("./")
    folder = name.partition("/")[0] if "/" in name else ""
    photo = replace(row, name=f"{row.name}/{name}", label=folder or row.label)
    return Item(photo, _kept(_read(shard, member, MAX_BYTES + 1), spool), True)


def _read(shard: tarfile.TarFile, member: tarfile.TarInfo, most: int) -> bytes:
    file = shard.extractfile(member)
    data = file.read(most) if file is not None else b""
    if len(data) < min(member.size, most):
        raise tarfile.ReadError("it ends in the middle of a file")
    return data


def _label_in(data: bytes, kind: str) -> str:
    """The label that a file of a sample holds; nothing where it holds none."""
    with suppress(ValueError, RecursionError):
        if kind != "json":
            return data.decode().strip()
        found = parsed(data)
        values = [found[key] for key in _LABEL_KEYS if key in found] if isinstance(found, dict) else [found]
        return str(values[0]) if values and isinstance(values[0], str | int) else ""
    return ""


def _labelled(sample: list[Item], label: str) -> Iterator[Item]:
    for item in sample:
        row, problem = _checked(replace(item.row, label=label or item.row.label))
        if problem:
            item.done()
        yield replace(item, row=row, file=None, problem=problem) if problem else replace(item, row=row)
