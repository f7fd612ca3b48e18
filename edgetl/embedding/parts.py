"""Parts of embeddings: Parquet files with a row for each photo, and what made them in their schema.

| column | type | |
|---|---|---|
| `path` | string | relative to what was embedded |
| `label`, `split` | string | null where the photo has none |
| `sha256` | 32 bytes | of the photo's file |
| `embedding` | d bytes | raw int8; null where the photo could not be read |
| `problem` | string | why not; null where nothing is wrong |

The same photos give the same bytes, on any engine, with the same version of ``pyarrow``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgetl_device.codes import CodeTransform, Int8
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.strict_json import parsed

from .items import Item
from .listing import Task
from .photo import EmbeddedPhoto

FORMAT = 1
_KEY = b"edgetl"
_GROUP = 4096  # rows that are unpacked at once


def require_pyarrow() -> None:
    """Raise InputError where it is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise InputError("embeddings are kept in Parquet, which needs pyarrow: pip install 'edgetl[embed]'") from None


@dataclass(frozen=True)
class Maker:
    """What made embeddings; those of different ones do not mix.

    Args:
        backbone: SHA-256 of its ``.tflite`` file, hex.
        runtime: name and version of the TFLite runtime.
        codes: of :meth:`~edgetl_device.codes.CodeTransform.to_json`.
    """

    backbone: str
    runtime: str
    codes: dict[str, Any]

    @property
    def transform(self) -> CodeTransform:
        """Raw embeddings → codes."""
        return CodeTransform.from_json(self.codes)


@dataclass(frozen=True)
class Part:
    """One finished part.

    Args:
        number: of its task.
        data: the Parquet file.
        photos: how many were embedded.
        skipped: what is wrong with each of the others, ``name: reason``.
        runtime: that embedded them.
    """

    number: int
    data: bytes
    photos: int
    skipped: tuple[str, ...]
    runtime: str


def name_of(number: int) -> str:
    """The file name of a part."""
    return f"part-{number:06}.parquet"


def digest_of(task: Task) -> str:
    """What tells whether a part is of these very rows."""
    rows = [(_text(row.name), row.label, row.split) for row in task.rows]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def part_of(task: Task, items: Sequence[Item], results: Sequence[EmbeddedPhoto | PhotoError], maker: Maker) -> Part:
    """A task's photos and what became of each → its part."""
    import pyarrow
    from pyarrow import parquet

    problems = [
        item.problem or (_reason(result, item) if isinstance(result, PhotoError) else "")
        for item, result in zip(items, results, strict=True)
    ]
    read = [None if isinstance(each, PhotoError) else each for each in results]
    columns = {
        "path": [_text(item.row.name) for item in items],
        "label": [item.row.label or None for item in items],
        "split": [item.row.split or None for item in items],
        "sha256": [each and each.digest for each in read],
        "embedding": [each and each.value.tobytes() for each in read],
        "problem": [_text(problem) or None for problem in problems],
    }
    about = {"format": FORMAT, **asdict(maker), "rows": digest_of(task)}
    schema = schema_of(maker.transform.dimension).with_metadata({_KEY: json.dumps(about, sort_keys=True)})
    table = pyarrow.table(columns, schema=schema)
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink, row_group_size=_GROUP, compression="zstd", use_dictionary=["label", "split"])
    skipped = tuple(f"{item.row.name}: {why}" for item, why in zip(items, problems, strict=True) if why)
    return Part(task.number, sink.getvalue().to_pybytes(), len(items) - len(skipped), skipped, maker.runtime)


def _reason(error: PhotoError, item: Item) -> str:
    """Without the name of a file that may be a temporary one."""
    text = str(error)
    for start in (f"{item.file}: ", f"cannot read {item.file}: "):
        text = text.removeprefix(start)
    return text.replace(str(item.file), item.row.name)


def _text(name: str) -> str:
    """As Parquet can hold it: a file name need not be Unicode."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(frozen=True, eq=False)
class Rows:
    """Photos that were embedded, a few thousand at most.

    Args:
        paths, labels, splits: n of each; an empty text where there is none.
        raw: (n, d) int8.
        digests: n SHA-256.
    """

    paths: list[str]
    labels: list[str]
    splits: list[str]
    raw: Int8
    digests: list[bytes]


def maker_of(path: Path) -> tuple[Maker, str]:
    """What made a part, and the digest of its rows; raises InputError where it is none, or is damaged."""
    about = _about(path)
    try:
        maker = Maker(str(about["backbone"]), str(about["runtime"]), dict(about["codes"]))
        _ = maker.transform
        return maker, str(about["rows"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} does not say what made it ({error!r:.60}): embed the photos again") from None


def schema_of(dimension: int) -> Any:
    """The columns of a part."""
    import pyarrow

    text = pyarrow.string()
    kinds = {"path": text, "label": text, "split": text, "sha256": pyarrow.binary(32)}
    return pyarrow.schema(kinds | {"embedding": pyarrow.binary(dimension), "problem": text})


def _about(path: Path) -> dict[str, Any]:
    import pyarrow
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(path)
        value = parsed((schema.metadata or {})[_KEY])
        dimension = CodeTransform.from_json(value["codes"]).dimension
        if not schema.equals(schema_of(dimension)):
            raise ValueError("other columns")
    except (OSError, KeyError, TypeError, ValueError, InputError, RecursionError, pyarrow.ArrowException):
        raise InputError(f"{path} holds no embeddings, or is damaged: remove it and run `edgetl embed` again") from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise InputError(f"{path} was written by another version of edgetl: embed the photos again")
    return value


def read_part(
    path: Path, maker: Maker, columns: Sequence[str] = ("path", "label", "split", "sha256", "embedding")
) -> Iterator[Rows]:
    """The photos of a part that were embedded, in order; columns that are not asked for are empty.

    Raises:
        MismatchError: something else made it.
        InputError: it is damaged.
    """
    for batch in batches(path, tuple(columns)):
        kept = batch
        for needed in ("sha256", "embedding"):  # null where a photo could not be read
            kept = kept.filter(kept.column(needed).is_valid()) if needed in columns else kept
        texts = {
            n: [each or "" for each in kept.column(n).to_pylist()] for n in ("path", "label", "split") if n in columns
        }
        raw = np.zeros((0, maker.transform.dimension), np.int8)
        if "embedding" in columns:
            raw = _matrix(kept.column("embedding"), maker.transform.dimension)
        digests = kept.column("sha256").to_pylist() if "sha256" in columns else []
        yield Rows(texts.get("path", []), texts.get("label", []), texts.get("split", []), raw, digests)


def batches(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    """Record batches of some columns; raises InputError where the file is damaged."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(_GROUP, columns=list(columns), use_threads=False)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        why = " ".join(str(error).split())[:120]
        raise InputError(f"{path} is damaged ({why}): remove it and run `edgetl embed` again") from None


def _matrix(column: Any, dimension: int) -> Int8:
    """A column of fixed-size binary without nulls → (n, d) int8, a view of its memory."""
    values = np.frombuffer(column.buffers()[1], np.int8, len(column) * dimension, column.offset * dimension)
    return values.reshape(len(column), dimension)
