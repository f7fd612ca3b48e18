"""Named arrays ↔ bytes: a strict, deterministic subset of NumPy's ``.npz``.

``numpy.load`` reads these bytes too. The other way round only what :func:`pack` writes is accepted: nothing compressed
(no bombs), no pickled objects, no array whose header claims more than the member holds.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .printable import printable

Arrays = dict[str, npt.NDArray[Any]]

_LOCAL_HEADER = struct.Struct("<26x2H")  # of a zip member, up to the lengths of its name and of its extra field
_EXTRA_HEADER = struct.Struct("<2H")  # kind and length of an extra field
_HEADER_LENGTH = struct.Struct("<H")  # of an .npy member, before the header's text
_PADDING = 0xD935  # the kind that Android's zipalign gave to padding
_ALIGNMENT = 64  # bytes
_NPY_HEADER = 4096  # bytes: more than the header of any array that `pack` writes
_NUMBER = rb"(0|[1-9]\d*)"
# NumPy parses a header as Python, and again leniently where that fails: other text ends in errors of any kind.
_HEADER = re.compile(
    rb"\{'descr': '([<>|][A-Za-z]\d{0,3})', 'fortran_order': (False|True), "
    rb"'shape': \((" + _NUMBER + rb"(, " + _NUMBER + rb")*,?)?\), \} *\n"
)
_STRING_BYTES = 512  # room for any label, name or time
_NEWLINE = ord("\n")
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: the same arrays give the same bytes


def pack(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Arrays (no object dtype) → bytes, members in the mapping's order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            # An array that lies at a multiple of its element's size can be used where it lies.
            start = buffer.tell() + _LOCAL_HEADER.size + len(info.filename.encode()) + _EXTRA_HEADER.size
            padding = -start % _ALIGNMENT
            info.extra = _EXTRA_HEADER.pack(_PADDING, padding) + bytes(padding)
            archive.writestr(info, member.getvalue())
    return buffer.getvalue()


def unpack(data: bytes, expected: frozenset[str] | set[str] | None = None, most: int | None = None) -> Arrays:
    """Bytes of :func:`pack` → read-only arrays, views of these bytes where they are aligned.

    Args:
        expected: the names that must be there, no fewer and no more; None accepts any.
        most: how many arrays there may be; by default as many as are expected.

    Raises:
        InputError: anything that :func:`pack` does not write.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            most = len(expected) if most is None and expected is not None else most
            if most is not None and len(members) > most:
                raise InputError(f"expected at most {most} arrays, got {len(members)}")
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise InputError("arrays must not be compressed")
            arrays = {member.filename.removesuffix(".npy"): _array(_stored(data, member)) for member in members}
    except (
        zipfile.BadZipFile,
        EOFError,
        ValueError,
        OverflowError,
        NotImplementedError,
        RuntimeError,
        struct.error,
    ) as error:
        raise InputError(f"not a set of arrays: {printable(error, 200)}") from None
    if len(arrays) != len(members):
        raise InputError("an array appears twice")
    if expected is not None and set(arrays) != set(expected):
        raise InputError(f"expected the arrays {_few(expected)}, got {_few(arrays)}")
    return arrays


def _few(names: Iterable[str]) -> str:
    """Names for a message: a backbone has hundreds, and a stranger's may be long."""
    shown = sorted(names)
    return f"{[name[:40] for name in shown[:8]]}" + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")


def _stored(data: bytes, member: zipfile.ZipInfo) -> memoryview:
    """A view of a member that is not compressed: a copy of large statistics would cost a small device megabytes."""
    start = member.header_offset + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack_from(data, member.header_offset))
    content = memoryview(data)[start : start + member.file_size]
    if member.compress_size != member.file_size or zlib.crc32(content) != member.CRC:
        raise InputError(f"{printable(member.filename, 60)} is damaged")
    return content


def _array(data: memoryview) -> npt.NDArray[Any]:
    """One ``.npy`` member; the header is checked against the bytes that are there before anything is allocated."""
    stream = io.BytesIO(data[:_NPY_HEADER])
    if np.lib.format.read_magic(stream) != (1, 0):
        raise InputError("arrays must be in .npy format 1.0")
    start = stream.tell() + _HEADER_LENGTH.size
    (length,) = _HEADER_LENGTH.unpack_from(data, stream.tell())
    if not _HEADER.fullmatch(data, start, start + length):
        raise InputError("an array's header is not one that NumPy writes for plain numbers or text")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject or fortran:
        raise InputError("arrays must hold plain numbers or text in C order")
    count = 1
    for size in shape:
        count *= size
    if count * dtype.itemsize != len(data) - stream.tell():
        raise InputError("an array's header does not match its size")
    array = np.frombuffer(data, dtype, count, stream.tell()).reshape(shape)
    return array if array.flags.aligned else array.copy()


def text_array(values: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """Strings as one array of UTF-8 bytes, each ended by a newline (which labels never hold)."""
    return np.frombuffer("".join(f"{value}\n" for value in values).encode(), np.uint8)


def text_values(array: npt.NDArray[Any], most: int) -> tuple[str, ...]:
    """The inverse of :func:`text_array`; more than ``most`` strings are refused before any of them is made."""
    if array.dtype != np.uint8 or array.ndim != 1:
        raise InputError("expected text as bytes")
    if array.size > most * _STRING_BYTES or np.count_nonzero(array == _NEWLINE) > most:
        raise InputError(f"expected at most {most} strings of {_STRING_BYTES} bytes")
    try:
        *values, rest = array.tobytes().decode().split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"expected text in UTF-8: {error}") from None
    if rest:
        raise InputError("expected text that ends in a newline")
    return tuple(values)
