"""Roboflow's exports: COCO, ``_classes.csv`` of one-hot columns, YOLO's text files, and class folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgetl_device.errors import InputError
from edgetl_device.files import read_bounded
from edgetl_device.photo_folders import Unused, photos_in

from ..data.folders import split_name
from ..data.lists import read_columns
from . import coco
from .records import OUTSIDE, Found, Record, check_inside, class_folders, files_in, is_inside, picture

_CLASSES, _COCO, _YOLO = "_classes.csv", "_annotations.coco.json", "data.yaml"
_MOST_TEXT, _MOST_YAML = 16 << 20, 256 << 10  # bytes; PyYAML takes three seconds for this
_DEEPEST = 10  # levels of YAML: looking ahead in each, PyYAML takes minutes for hundreds
_LONGEST = 9  # digits of a class's number


def read(source: Path) -> Found:
    """An unpacked export; which kind it is its files say."""
    if not source.is_dir():
        raise InputError(f"{source} is no folder: unpack Roboflow's export first")
    if list(source.rglob(_COCO)):
        yield from coco.read(source)
    elif tables := files_in(source, _CLASSES):
        for table in tables:
            yield from _one_hot(table, source)
    elif (source / _YOLO).is_file():
        yield from _yolo(source)
    else:
        yield from class_folders(source)


def _one_hot(table: Path, source: Path) -> Found:
    columns = read_columns(table)
    names = columns.pop("filename", None)
    if names is None:
        raise InputError(f"{table} lacks the column 'filename'")
    split = split_name(table.parent.name) or "train"
    for row, name in enumerate(names):
        labels = [label for label, values in columns.items() if values[row] == "1"]
        file = picture(name, source, table.parent)
        if isinstance(file, str):
            yield Unused(Path(name), file)
        elif len(labels) != 1:
            yield Unused(Path(name), "several labels at once" if labels else "nobody labelled it")
        else:
            yield Record(file, name, labels[0], split)


def _yolo(source: Path) -> Found:
    """``labels/NAME.txt`` beside ``images/NAME.jpg``: a line ``class x y width height`` for each object, in shares."""
    check_inside(source / _YOLO, source)
    names = _yolo_names(source / _YOLO)
    for path in photos_in(source).photos:
        text = path.parent.with_name("labels") / f"{path.stem}.txt"
        shown = path.relative_to(source)
        if not is_inside(path, source):
            yield Unused(shown, OUTSIDE)
        elif path.parent.name != "images" or not text.is_file():
            yield Unused(shown, "nobody labelled it")
        elif not is_inside(text, source):
            yield Unused(shown, f"its labels are {OUTSIDE}")
        else:
            yield from _yolo_boxes(path, text, shown, names)


def _yolo_boxes(path: Path, text: Path, shown: Path, names: dict[int, str]) -> Found:
    split = split_name(path.parent.parent.name) or "train"
    for line in filter(str.strip, read_bounded(text, _MOST_TEXT).decode(errors="replace").splitlines()):
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
    """Number → name. All values are read as text, and nothing is repeated by reference: a few aliases of aliases make
    gigabytes of a kilobyte (https://en.wikipedia.org/wiki/Billion_laughs_attack).
    """
    try:
        import yaml
    except ImportError:
        raise InputError("reading YOLO's data.yaml needs PyYAML: pip install 'edgetl[imports]'") from None

    class Plain(yaml.BaseLoader):  # type: ignore[misc]  # PyYAML has no types
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise InputError(f"{path} repeats a part of it by an alias (*): write the names out")
            self.depth = getattr(self, "depth", 0) + 1
            if self.depth > _DEEPEST:
                raise InputError(f"{path} is nested more than {_DEEPEST} levels deep: expected a list names")
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    try:
        names = yaml.load(read_bounded(path, _MOST_YAML), Plain)["names"]
    except (OSError, yaml.YAMLError, TypeError, ValueError, KeyError, RecursionError):
        raise InputError(f"{path} does not name its classes: expected a list names") from None
    pairs = list(names.items() if isinstance(names, dict) else enumerate(names if isinstance(names, list) else ()))
    for number, name in pairs:
        if not isinstance(name, str):
            raise InputError(f"{path}: the name of class {str(number)[:60]} is no text")
    return {int(number): name for number, name in pairs if str(number).isdecimal() and len(str(number)) <= _LONGEST}
