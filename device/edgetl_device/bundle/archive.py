"""The file around a bundle: an uncompressed zip whose comment is the SHA-256 of every byte before it.

It may come from anybody, so it is read within bounds: nothing is written to disk, a file that is refused costs little
time and memory, whatever it claims, and members are only those that the caller knows.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import sys
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import BinaryIO

from ..arrays import EPOCH
from ..errors import BundleError, InputError
from ..files import open_bounded
from ..printable import printable

MAX_SIZE = 256 << 20  # bytes; the largest backbone here (VGG16, float) is 59 MB
_COMMENT = b"edgetl sha256:"
_COMMENT_SIZE = len(_COMMENT) + 64
_CHUNK = 1 << 20
_SMALL = 16 << 20  # bytes that may be held in memory before they are known to be whole
_DIRECTORY_END = struct.Struct("<4s4H2IH")  # the last record of a zip file: where the list of members is, how long
_MAX_DIRECTORY = 4096  # bytes: ten short names
_ZIP64_LOCATOR = (b"PK\x06\x07", 20)  # what in front of that record would point zipfile elsewhere, and its size


def pack_members(members: Mapping[str, bytes]) -> bytes:
    """Members → the bytes of a file; the same members in the same order give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content)
        archive.comment = _COMMENT + b"0" * 64
    body = buffer.getvalue()[:-_COMMENT_SIZE]
    return body + _COMMENT + hashlib.sha256(body).hexdigest().encode()


def read_file(path: Path) -> bytes:
    """A file → its bytes, which are still to be unpacked; a large one is refused before it is held in memory.

    Raises:
        BundleError: it is too large, not a bundle, or large and damaged.
        OSError: it cannot be read.
    """
    try:
        stream = open_bounded(path, sys.maxsize)
    except InputError as error:
        raise BundleError(str(error).removeprefix(f"{path} ")) from None
    with stream:
        size = os.fstat(stream.fileno()).st_size
        _check_size(size)
        _check_ends(stream.read(4), _tail(stream, size))
        if size > _SMALL:
            _check_sum(stream, size)
        stream.seek(0)
        return stream.read(size)


def open_members(stream: BinaryIO, allowed: Collection[str]) -> dict[str, zipfile.ZipInfo]:
    """As :func:`unpack_members`, of a file that is not read into memory: where each member lies.

    Raises:
        BundleError: not what :func:`pack_members` writes of members that are allowed.
    """
    size = os.fstat(stream.fileno()).st_size
    _check_size(size)
    stream.seek(0)
    _check_ends(stream.read(4), _tail(stream, size))
    _check_sum(stream, size)
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, struct.error) as error:
        raise BundleError(f"damaged: {printable(error, 200)}") from None
    _check_entries(entries, allowed, size)
    return {entry.filename: entry for entry in entries}


def unpack_members(data: bytes, allowed: Collection[str]) -> dict[str, bytes]:
    """The bytes of a file → its members.

    Raises:
        BundleError: not what :func:`pack_members` writes of members that are allowed.
    """
    _check_size(len(data))
    _check_ends(data[:4], data[-_tail_size() :])
    _check_sum(io.BytesIO(data), len(data))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(entries, allowed, len(data))
            return {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, struct.error) as error:
        raise BundleError(f"damaged: {printable(error, 200)}") from None


def _check_size(size: int) -> None:
    if size > MAX_SIZE:
        raise BundleError(f"larger than {MAX_SIZE >> 20} MiB: not a bundle")


def _check_ends(head: bytes, tail: bytes) -> None:
    """The signature in front, the comment and the record before it at the end."""
    record, comment = tail[:-_COMMENT_SIZE], tail[-_COMMENT_SIZE:]
    if head != b"PK\x03\x04" or not comment.startswith(_COMMENT) or len(tail) < _tail_size():
        kind = "a zip file, but not a bundle" if head[:2] == b"PK" else "not a bundle"
        raise BundleError(f"{kind}, or a truncated one; make one with `edgetl convert`, or copy it again")
    locator, end = record[: -_DIRECTORY_END.size], record[-_DIRECTORY_END.size :]
    magic, disk, first, here, entries, length, _, comment_size = _DIRECTORY_END.unpack(end)
    if (magic, disk, first, comment_size) != (b"PK\x05\x06", 0, 0, _COMMENT_SIZE) or here != entries:
        raise BundleError("damaged: the end of its list of members is not where it should be")
    if length > _MAX_DIRECTORY or locator.startswith(_ZIP64_LOCATOR[0]):
        raise BundleError("it lists more members than a bundle has: made by a newer edgetl, or not a bundle")


def _check_sum(stream: BinaryIO, size: int) -> None:
    """Compare the SHA-256 of all but the comment with the comment."""
    digest, left = hashlib.sha256(), size - _COMMENT_SIZE
    stream.seek(0)
    while left > 0 and (chunk := stream.read(min(_CHUNK, left))):
        digest.update(chunk)
        left -= len(chunk)
    if stream.read(_COMMENT_SIZE)[len(_COMMENT) :] != digest.hexdigest().encode():
        raise BundleError("damaged: its checksum does not match; copy it again")


def _tail_size() -> int:
    return _ZIP64_LOCATOR[1] + _DIRECTORY_END.size + _COMMENT_SIZE


def _tail(stream: BinaryIO, size: int) -> bytes:
    stream.seek(max(0, size - _tail_size()))
    return stream.read(_tail_size())


def _check_entries(entries: list[zipfile.ZipInfo], allowed: Collection[str], size: int) -> None:
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise BundleError("a member appears twice")
    strange = sorted(set(names) - set(allowed))
    if strange:
        raise BundleError(f"unexpected member '{printable(strange[0], 60)}': made by a newer edgetl, or not a bundle")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size or entry.flag_bits & 1:
            raise BundleError("a member is compressed or encrypted; bundles are stored as they are")
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            raise BundleError(f"the member {entry.filename} is not a plain file")
    if sum(entry.file_size for entry in entries) > size:  # before any is read: members may not overlap
        raise BundleError("the members claim to be larger than the file")
