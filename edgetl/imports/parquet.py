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
from .records import Found, Record, files_in

_IMAGES, _LABELS = ("image", "img", "photo", "picture"), ("label", "labels", "class", "fine_label", "category")
_MOST_FILE = 1 << 40  # bytes: files are read part by part
_MOST_GROUP = 512 << 20  # bytes of a column in a group of rows, unpacked, where packing made it much smaller
_MOST_PACKED = 4  # times smaller, at most, that pictures become: they are packed already
_BUFFER = 1 << 20
_MOST_LABEL = 1000  # bytes
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
    columns = [f"{image}.bytes" if inside else image, label]
    unpacked = _unpacked(file.metadata, columns, path)
    names = _class_names(schema.metadata or {}, label)
    split = split_name(path.name.partition("-")[0].partition(".")[0]) or split_name(path.parent.name) or "train"
    read = 0
    for row, batch in enumerate(file.iter_batches(1, columns=columns, use_threads=False)):
        name = Path(f"{path.stem}-{row:06}")
        shown, said = _plain(batch.column(image)[0]), _plain(batch.column(label)[0])
        if inside and shown.is_valid:
            shown = _plain(shown["bytes"])
        size, length = _size(shown), _size(said)
        read += size + length
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
            yield Record(shown.as_py(), str(name), known, split)


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
    said = _values(said)
    texts = types.is_string(said) or types.is_large_string(said)
    if not (texts or types.is_integer(said) or types.is_floating(said) or types.is_boolean(said)):
        raise InputError(f"{path}: the column {label} is {str(said)[:60]}: expected text or whole numbers")
    return inside


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
