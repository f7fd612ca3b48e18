"""Records → photos beside a list: pictures that are used whole are linked or copied, parts of them cut out."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgetl_device.console import refuse_existing
from edgetl_device.errors import InputError, PhotoError, StorageError
from edgetl_device.files import make_folder, replace_folder, sync
from edgetl_device.labels import check_label, check_label_count
from edgetl_device.photo_folders import Unused, reasons

from ..data.lists import MOST_VALUES
from . import coco, huggingface, label_studio, parquet, roboflow
from .columns import LIST_COLUMNS, Columns
from .cutting import Cutter, TooMuchError, by_picture
from .records import NOT_THERE, Found

FORMATS: dict[str, Callable[[Path], Found]] = {
    "coco": coco.read,
    "label-studio": label_studio.read,
    "roboflow": roboflow.read,
    "huggingface": huggingface.read,
    "parquet": parquet.read,
}
MARKER = ".edgetl-import"  # lies in a folder that an import made, so that --force replaces no other
_LIST = ".list.csv"
_MOST_ROWS = MOST_VALUES // len(LIST_COLUMNS) - 1  # that a list can have


@dataclass(frozen=True)
class Imported:
    """What was written.

    Args:
        path: the list.
        counts: label → photos.
        unused: what of the export is not used, and why.
        columns: its further columns that the list has.
        left_out: those that it has not → why.
    """

    path: Path
    counts: dict[str, int]
    unused: tuple[Unused, ...]
    columns: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def import_photos(format_: str, source: Path, output: Path, force: bool = False) -> Imported:
    """Read an export and write a list with its photos beside it, or raise and leave what was there.

    Args:
        format_: a key of :data:`FORMATS`.
        output: ``NAME.csv``, with the columns path, label, split and group, and further ones; the photos lie in
            ``NAME-photos``.
        force: replace a list, and photos that an import wrote.

    Raises:
        InputError: the export cannot be read, or has no photo that can be used; or something else is in the way.
        StorageError: the photos or the list cannot be written.
    """
    if format_ not in FORMATS:
        raise InputError(f"the format must be one of {', '.join(FORMATS)}, got {format_!r}")
    photos = output.with_name(f"{output.stem}-photos")
    try:
        _check_place(source, output, photos, force)
        make_folder(output.parent)
        folder = Path(tempfile.mkdtemp(prefix=f".{photos.name}.", dir=output.parent))
    except OSError as error:
        raise StorageError(f"cannot write {output}: {error.strerror or error}") from error
    try:
        rows, unused, further = _written(_read(format_, source), folder)
        columns, values = further.table()
        _check_classes({label for _, label, *_ in rows}, unused, source)
        (folder / MARKER).write_text("made by edgetl import, which replaces it with --force\n")
        lines = ((f"{photos.name}/{name}", *rest, *more) for (name, *rest), more in zip(rows, values, strict=True))
        (folder / _LIST).write_bytes(_table(LIST_COLUMNS + columns, lines))
        folder.chmod(0o755)
        _check_place(source, output, photos, force)  # reading it may have taken long
        replace_folder(folder, photos)
        (photos / _LIST).replace(output)
        sync(output.parent)
    except OSError as error:
        raise StorageError(f"cannot write {photos}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    counts = dict(sorted(Counter(label for _, label, *_ in rows).items()))
    return Imported(output, counts, tuple(unused), columns, further.left_out)


def _check_place(source: Path, output: Path, photos: Path, force: bool) -> None:
    """Raise InputError where there is nothing to read, or something lies in the way that is to stay."""
    if output.suffix != ".csv":
        raise InputError(f"{output}: the name of a list must end in .csv")
    try:
        output.name.encode()
    except UnicodeEncodeError:
        raise InputError(f"{output}: the name of a list must be UTF-8, for it stands in the list") from None
    if not source.exists():
        raise InputError(f"no such file or folder: {source}")
    for path in (output, photos):
        refuse_existing(path, force)
    if output.is_dir():
        raise InputError(f"{output} is a folder, so --force does not replace it: choose another name")
    if photos.is_symlink() or (photos.exists() and not (photos / MARKER).is_file()):
        raise InputError(f"{photos} was not made by an import, so --force does not replace it: choose another name")
    if photos.exists() and source.resolve().is_relative_to(photos.resolve()):
        raise InputError(f"{source} lies in {photos}, which would be replaced: choose another name")


def _check_classes(labels: set[str], unused: list[Unused], source: Path) -> None:
    if len(labels) < 2:
        counts = reasons(unused)
        why = "; ".join(f"{count} × {reason}" for reason, count in list(counts.items())[:3])
        told = f" (not used: {why})" if why else ""
        then = "; put the pictures beside the annotations, or into a folder images there" if NOT_THERE in counts else ""
        some = f"usable photos of one class, {next(iter(labels))!r}" if labels else "no usable photo"
        raise InputError(f"{source} holds {some}: at least two classes are needed{told}{then}")
    check_label_count(len(labels), "leave some out")


def _read(format_: str, source: Path) -> Found:
    """The records; what goes wrong in reading is said of the export, not of what is written."""
    try:
        yield from by_picture(FORMATS[format_](source))
    except OSError as error:
        raise InputError(f"cannot read {error.filename or source}: {error.strerror or error}") from None
    except MemoryError:
        raise InputError(f"{source} needs more memory than there is: import it in parts") from None


def _written(found: Found, folder: Path) -> tuple[list[tuple[str, str, str, str]], list[Unused], Columns]:
    rows: list[tuple[str, str, str, str]] = []
    unused: list[Unused] = []
    further = Columns()
    with Cutter(folder) as cutter:
        for record in found:
            if max(len(rows), len(unused)) >= _MOST_ROWS:
                raise InputError(f"the export has more than {_MOST_ROWS:,} photos: import it in parts")
            if isinstance(record, Unused):
                unused.append(record)
                continue
            try:
                label = check_label(record.label.strip())
                name = cutter.write(record, f"{len(rows):07}")
            except TooMuchError:
                raise
            except (PhotoError, InputError) as error:
                reason = str(error).rpartition(f"{record.image}: ")[2] if isinstance(record.image, Path) else str(error)
                unused.append(Unused(Path(record.name), reason))
                continue
            rows.append((name, label, record.split, record.name))
            further.add(record.columns)
    return rows, unused, further


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> bytes:
    """A CSV file in UTF-8; of names that are not, the odd characters are written as ``\\udc…``."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(header)
    table.writerows(rows)
    return text.getvalue().encode(errors="backslashreplace")
