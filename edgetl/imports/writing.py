"""Records → photos beside a list: pictures that are used whole are linked or copied, parts of them cut out."""

from __future__ import annotations

import csv
import io
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2

from edgetl_device.console import refuse_existing
from edgetl_device.errors import InputError, PhotoError, StorageError
from edgetl_device.files import write_atomically
from edgetl_device.labels import check_label, check_label_count
from edgetl_device.photo_folders import START, Unused, reasons
from edgetl_device.photo_headers import photo_format
from edgetl_device.photos import Image, decoded, photo_file

from . import coco, huggingface, label_studio, roboflow
from .records import Found, Record

SMALLEST = 16  # pixels a side of what is cut out
FORMATS: dict[str, Callable[[Path], Found]] = {
    "coco": coco.read,
    "label-studio": label_studio.read,
    "roboflow": roboflow.read,
    "huggingface": huggingface.read_folder,
    "parquet": huggingface.read_parquet,
}
_ENDING = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "BMP": ".bmp",
    "WebP": ".webp",
    "TIFF": ".tif",
    "HEIC": ".heic",
    "AVIF": ".avif",
}


@dataclass(frozen=True)
class Imported:
    """What was written.

    Args:
        path: the list.
        counts: label → photos.
        unused: what of the export is not used, and why.
    """

    path: Path
    counts: dict[str, int]
    unused: tuple[Unused, ...]


def import_photos(format_: str, source: Path, output: Path, force: bool = False) -> Imported:
    """Read an export and write a list with its photos beside it, or raise and write nothing.

    Args:
        format_: a key of :data:`FORMATS`.
        output: ``NAME.csv``, with the columns path, label, split and group; the photos lie in ``NAME-photos``.

    Raises:
        InputError: the export cannot be read, or has no photo that can be used.
        StorageError: the photos or the list cannot be written.
    """
    if format_ not in FORMATS:
        raise InputError(f"the format must be one of {', '.join(FORMATS)}, got {format_!r}")
    if output.suffix != ".csv":
        raise InputError(f"{output}: the name of a list must end in .csv")
    if not source.exists():
        raise InputError(f"no such file or folder: {source}")
    photos = output.with_name(f"{output.stem}-photos")
    for path in (output, photos):
        refuse_existing(path, force)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{photos.name}.", dir=output.parent))
    except OSError as error:
        raise StorageError(f"cannot write {output}: {error.strerror or error}") from error
    try:
        rows, unused = _written(FORMATS[format_](source), folder)
        classes = len({label for _, label, *_ in rows})
        if classes < 2:
            why = "; ".join(f"{count} × {reason}" for reason, count in list(reasons(unused).items())[:3])
            told = f" (not used: {why})" if why else ""
            raise InputError(f"{source} has photos of {classes} usable classes, at least two are needed{told}")
        check_label_count(classes, "leave some out")
        folder.chmod(0o755)
        if photos.exists():
            shutil.rmtree(photos)
        folder.rename(photos)
    except OSError as error:
        raise StorageError(f"cannot write {photos}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(("path", "label", "split", "group"))
    table.writerows((f"{photos.name}/{name}", *rest) for name, *rest in rows)
    write_atomically(output, text.getvalue().encode(errors="surrogateescape"))
    return Imported(output, dict(sorted(Counter(label for _, label, *_ in rows).items())), tuple(unused))


def _written(found: Found, folder: Path) -> tuple[list[tuple[str, str, str, str]], list[Unused]]:
    rows: list[tuple[str, str, str, str]] = []
    unused: list[Unused] = []
    for record in found:
        if isinstance(record, Unused):
            unused.append(record)
            continue
        try:
            label = check_label(record.label.strip())
            name = f"{len(rows):07}"
            name += _whole(record, folder / name) if record.box is None else _part(record, folder / name)
        except (PhotoError, InputError) as error:
            reason = str(error).rpartition(f"{record.image}: ")[2] if isinstance(record.image, Path) else str(error)
            unused.append(Unused(Path(record.name), reason))
            continue
        rows.append((name, label, record.split, record.name))
    return rows, unused


def _whole(record: Record, path: Path) -> str:
    """The picture's file, linked where that can be, else copied → the ending of its name."""
    if isinstance(record.image, bytes):
        with decoded(record.image):
            ending = _ENDING[str(photo_format(record.image[:START]))]
        path.with_name(path.name + ending).write_bytes(record.image)
        return ending
    with photo_file(record.image) as data:
        kind = photo_format(data[:START])
    if kind is None:
        raise PhotoError("not a photo")
    target = path.with_name(path.name + _ENDING[kind])
    with suppress(OSError):
        os.link(record.image.resolve(), target)
        return _ENDING[kind]
    shutil.copyfile(record.image, target)
    return _ENDING[kind]


def _part(record: Record, path: Path) -> str:
    if isinstance(record.image, bytes):
        with decoded(record.image) as photo:
            cut = _cut(photo.image, record)
    else:
        with photo_file(record.image) as data, decoded(data) as photo:
            cut = _cut(photo.image, record)
    if not cv2.imwrite(str(path.with_name(path.name + ".png")), cut):
        raise StorageError(f"cannot write {path}.png")
    return ".png"


def _cut(image: Image, record: Record) -> Image:
    height, width = image.shape[:2]
    sides = (1, 1) if record.in_pixels else (width, height)
    left, top, right, bottom = (
        round(min(max(value * sides[at % 2], 0.0), (width, height)[at % 2])) if value == value else 0
        for at, value in enumerate(record.box or ())
    )
    if right - left < SMALLEST or bottom - top < SMALLEST:
        raise PhotoError(f"a box smaller than {SMALLEST} pixels")
    return image[top:bottom, left:right]
