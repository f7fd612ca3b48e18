"""Parquet files with photos inside, as Hugging Face keeps data sets (https://parquet.apache.org/docs/file-format/).

A kilobyte of Parquet can claim gigabytes: values are packed and repeated by reference. So what a file says of its
unpacked sizes is bounded, rows are read one at a time, and a value's size is looked at before Python holds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgetl_device.errors import InputError
from edgetl_device.files import check_regular_file
from edgetl_device.photo_folders import Unused
from edgetl_device.photos import MAX_BYTES
from edgetl_device.strict_json import parsed

from ..data.folders import split_name
from .columns import LONGEST, NOT_PLAIN, TOO_LONG, Unfit, Values, plain
from .records import Found, Record, files_in

_IMAGES, _LABELS = ("image", "img", "photo", "picture"), ("label", "labels", "class", "fine_label", "category")
_MOST_FILE = 1 << 40  # bytes: files are read part by part
_MOST_GROUP = 512 << 20  # bytes of a column in a group of rows, unpacked, where packing made it much smaller
_MOST_PACKED = 4  # times smaller, at most, that pictures become: they are packed already
_BUFFER = 1 << 20
_MOST_LABEL = 1000  # bytes
_MOST_FURTHER = 64 << 20  # bytes of another column in a group of rows, unpacked
_MOST_REPEATED = 64  # times the unpacked size that all values together may have


def read(source: Path) -> Found:
    """One Parquet file, or a folder of them; the names of classes are in their schema."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("reading Parquet needs pyarrow: pip install 'edgetl[imports]'") from None
    files = [source] if source.is_file() else files_in(source, "*.parquet")
    if not files:
        raise InputError(f"{source} holds no .parquet file")
    for path in files:
        try:
            check_regular_file(path, _MOST_FILE)
            with pyarrow.parquet.ParquetFile(path, buffer_size=_BUFFER) as file:
                yield from _rows(file, path)
        except (OSError, ValueError, OverflowError, pyarrow.ArrowException) as error:
            why = " ".join(str(error).split())[:120]
            raise InputError(f"{path} is not a Parquet file that can be read: {why}") from None
        except MemoryError:
            raise InputError(f"{path} needs more memory than there is") from None


def _rows(file: Any, path: Path) -> Found:
    schema = file.schema_arrow
    image, label = _column(schema.names, _IMAGES, path), _column(schema.names, _LABELS, path)
    inside = _check_kinds(schema, image, label, path)
    further, unfit = _further(schema, file.metadata, {image, label})
    columns = [f"{image}.bytes" if inside else image, label, *further]
    unpacked = _unpacked(file.metadata, columns, path)
    names = _class_names(schema.metadata or {}, label)
    known_by = {name: _class_names(schema.metadata or {}, name) for name in further}
    split = split_name(path.name.partition("-")[0].partition(".")[0]) or split_name(path.parent.name) or "train"
    read = 0
    for row, batch in enumerate(file.iter_batches(1, columns=columns, use_threads=False)):
        name = Path(f"{path.stem}-{row:06}")
        shown, said = _plain(batch.column(image)[0]), _plain(batch.column(label)[0])
        if inside and shown.is_valid:
            shown = _plain(shown["bytes"])
        size, length = _size(shown), _size(said)
        others = {name: _plain(batch.column(name)[0]) for name in further}
        read += size + length + sum(map(_size, others.values()))
        if read > _MOST_REPEATED * (unpacked + _BUFFER):
            raise InputError(f"{path} repeats its values: they are more than {_MOST_REPEATED} times what it holds")
        if not shown.is_valid:
            yield Unused(name, "its picture is not in the file")
        elif size > MAX_BYTES:
            yield Unused(name, f"its picture has {size / 1e6:.0f} MB, the limit is {MAX_BYTES / 1e6:.0f} MB")
        elif length > _MOST_LABEL:
            yield Unused(name, f"its label is longer than {_MOST_LABEL} bytes")
        elif (known := _label(said, names)) is None:
            yield Unused(name, "nobody labelled it")
        elif not known:
            yield Unused(name, "its label is no text in UTF-8")
        else:
            values = tuple((name, _value(other, known_by[name])) for name, other in others.items())
            yield Record(shown.as_py(), str(name), known, split, columns=(*values, *unfit))


def _further(schema: Any, metadata: Any, taken: set[str]) -> tuple[list[str], Values]:
    """The other columns of texts and numbers, and those that are none or too large."""
    largest: dict[str, int] = {}
    for group in range(metadata.num_row_groups):
        chunks = metadata.row_group(group)
        for column in map(chunks.column, range(chunks.num_columns)):
            name, size = column.path_in_schema, column.total_uncompressed_size
            largest[name] = max(largest.get(name, 0), size if size >= 0 else _MOST_GROUP)
    further, unfit = list[str](), list[tuple[str, Unfit]]()
    for field in schema:
        if field.name in taken:
            continue
        if not _is_plain(field.type) or "." in field.name or schema.names.count(field.name) > 1:
            unfit.append((field.name, NOT_PLAIN))
        elif largest.get(field.name, 0) > _MOST_FURTHER:
            unfit.append((field.name, TOO_LONG))
        else:
            further.append(field.name)
    return further, tuple(unfit)


def _value(value: Any, names: list[str]) -> str | Unfit:
    if _size(value) > 4 * LONGEST:  # bytes of a character, at most
        return TOO_LONG
    said = _label(value, names)
    return NOT_PLAIN if said == "" and _size(value) else plain(said)


def _column(found: list[str], names: tuple[str, ...], path: Path) -> str:
    name = next((name for name in names if name in found), None)
    if name is None:
        raise InputError(f"{path} has the columns {', '.join(found)[:100]}: expected image and label")
    if found.count(name) > 1:
        raise InputError(f"{path} names a column twice: {name}")
    return name


def _check_kinds(schema: Any, image: str, label: str, path: Path) -> bool:
    """Whether the pictures are inside of a structure; raises InputError where they, or labels, are none."""
    from pyarrow import types

    kind, said = schema.field(image).type, schema.field(label).type
    inside = bool(types.is_struct(kind)) and [field.name for field in kind].count("bytes") == 1
    kind = _values(kind.field("bytes").type if inside else kind)
    if not (types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)):
        raise InputError(f"{path}: the column {image} is {str(kind)[:60]}: expected pictures as bytes")
    if not _is_plain(said):
        raise InputError(f"{path}: the column {label} is {str(said)[:60]}: expected text or whole numbers")
    return inside


def _is_plain(kind: Any) -> bool:
    """Whether a column holds texts or numbers."""
    from pyarrow import types

    kind = _values(kind)
    texts = types.is_string(kind) or types.is_large_string(kind)
    return bool(texts or types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _values(kind: Any) -> Any:
    """The type of the values that a column refers to, or its own."""
    from pyarrow import types

    return kind.value_type if types.is_dictionary(kind) else kind


def _plain(value: Any) -> Any:
    """The value that a scalar refers to, or itself."""
    from pyarrow import DictionaryScalar

    return value.value if isinstance(value, DictionaryScalar) else value


def _unpacked(metadata: Any, columns: list[str], path: Path) -> int:
    """The bytes of these columns, as the file says; raises InputError for more in a group than should be in memory."""
    total = 0
    for group in range(metadata.num_row_groups):
        chunks = metadata.row_group(group)
        for column in map(chunks.column, range(chunks.num_columns)):
            if column.path_in_schema in columns:
                size = column.total_uncompressed_size
                most = max(_MOST_GROUP, _MOST_PACKED * min(column.total_compressed_size, path.stat().st_size))
                if not 0 <= size <= most:
                    raise InputError(
                        f"{path}: a group of rows unpacks to {size / 1e6:.0f} MB, the limit is {most / 1e6:.0f} MB: "
                        "write it with fewer rows in a group, row_group_size=100"
                    )
                total += size
    return total


def _size(value: Any) -> int:
    """The bytes of a text or of bytes, without a copy; 0 for anything else."""
    data = value.as_buffer() if value.is_valid and hasattr(value, "as_buffer") else None
    return 0 if data is None else int(data.size)


def _label(value: Any, names: list[str]) -> str | None:
    """A label; None where there is none, and nothing where it is no text."""
    try:
        said = value.as_py()
    except UnicodeDecodeError:
        return ""
    known = names[said] if names and isinstance(said, int) and 0 <= said < len(names) else said
    return None if known is None or known in (-1, "") else str(known)


def _class_names(metadata: Mapping[bytes, bytes], label: str) -> list[str]:
    try:
        feature = parsed(metadata[b"huggingface"])["info"]["features"][label]
        return [str(name) for name in feature["names"]]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []
