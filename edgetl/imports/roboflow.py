"""Roboflow's exports: COCO, ``_classes.csv`` of one-hot columns, YOLO's text files, and class folders."""

from __future__ import annotations

from pathlib import Path

from edgetl_device.errors import InputError
from edgetl_device.files import read_bounded
from edgetl_device.photo_folders import Unused, photos_in

from ..data.folders import photos_by_class, split_name
from ..data.lists import read_columns
from . import coco
from .records import Found, Record, picture

_CLASSES, _COCO, _YOLO = "_classes.csv", "_annotations.coco.json", "data.yaml"
_MOST_TEXT = 16 << 20


def read(source: Path) -> Found:
    """An unpacked export; which kind it is its files say."""
    if not source.is_dir():
        raise InputError(f"{source} is no folder: unpack Roboflow's export first")
    if list(source.rglob(_COCO)):
        yield from coco.read(source)
    elif tables := sorted(source.rglob(_CLASSES)):
        for table in tables:
            yield from _one_hot(table)
    elif (source / _YOLO).is_file():
        yield from _yolo(source)
    else:
        content = photos_by_class(source)
        for path, label, split in content.photos:
            yield Record(path, path.relative_to(source).as_posix(), label, split)
        yield from content.unused


def _one_hot(table: Path) -> Found:
    columns = read_columns(table)
    names = columns.pop("filename", None)
    if names is None:
        raise InputError(f"{table} lacks the column 'filename'")
    split = split_name(table.parent.name) or "train"
    for row, name in enumerate(names):
        labels = [label for label, values in columns.items() if values[row] == "1"]
        file = picture(name, table.parent)
        if file is None:
            yield Unused(Path(name), "its picture is not there")
        elif len(labels) != 1:
            yield Unused(Path(name), "several labels at once" if labels else "nobody labelled it")
        else:
            yield Record(file, name, labels[0], split)


def _yolo(source: Path) -> Found:
    """``labels/NAME.txt`` beside ``images/NAME.jpg``: a line ``class x y width height`` for each object, in shares."""
    names = _yolo_names(source / _YOLO)
    for path in photos_in(source).photos:
        parent = path.parent
        text = parent.with_name("labels") / f"{path.stem}.txt"
        shown = path.relative_to(source)
        if parent.name != "images" or not text.is_file():
            yield Unused(shown, "nobody labelled it")
            continue
        split = split_name(parent.parent.name) or "train"
        lines = read_bounded(text, _MOST_TEXT).decode(errors="replace").splitlines()
        for line in filter(str.strip, lines):
            words = line.split()
            try:
                label, numbers = names[int(words[0])], [float(word) for word in words[1:]]
            except (ValueError, KeyError):
                raise InputError(f"{text}: expected a class and numbers, got {line[:60]!r}") from None
            if len(numbers) != 4:
                yield Unused(shown, "an outline, not a box")
                continue
            x, y, width, height = numbers
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            yield Record(path, shown.as_posix(), label, split, box)


def _yolo_names(path: Path) -> dict[int, str]:
    try:
        import yaml
    except ImportError:
        raise InputError("reading YOLO's data.yaml needs PyYAML: pip install 'edgetl[imports]'") from None
    try:
        content = yaml.safe_load(read_bounded(path, _MOST_TEXT))
        names = content["names"]
    except (OSError, yaml.YAMLError, TypeError, KeyError, RecursionError):
        raise InputError(f"{path} does not name its classes: expected a list names") from None
    pairs = names.items() if isinstance(names, dict) else enumerate(names if isinstance(names, list) else ())
    return {int(number): str(name) for number, name in pairs if str(number).isdecimal()}
