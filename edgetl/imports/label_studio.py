"""Label Studio's JSON export: choices are labels, rectangles become their cut-outs (https://labelstud.io/guide/export)."""

from __future__ import annotations

import re
from pathlib import Path
from shlex import quote
from typing import Any

from edgetl_device.errors import InputError
from edgetl_device.photo_folders import Unused

from .coco import LISTS
from .columns import Values, plain
from .records import Found, Record, as_kind, check_inside, picture, read_json

_BOXES = ("rectanglelabels", "labels")
_UPLOADED = re.compile("^[0-9a-f]{8}-(?=.)")  # what uploading puts before a photo's name


def read(source: Path) -> Found:
    """The export, ``….json``; its photos lie beside it, or in a folder ``images`` or ``upload`` there."""
    path = source
    if source.is_dir():
        found = sorted(source.glob("*.json"))
        if len(found) != 1:
            raise InputError(
                f"{source} holds {len(found)} .json files: expected Label Studio's export, or name the file"
            )
        (path,) = found
        check_inside(path, source)
    for task in _tasks(path):
        data = as_kind(dict, as_kind(dict, task, "a task").get("data"), "a task's data")
        texts = [value for value in data.values() if isinstance(value, str) and value]
        name = data.get("image") if isinstance(data.get("image"), str) else (texts[0] if texts else "")
        others = tuple((key, plain(value)) for key, value in data.items() if value != name)
        yield from _task(task, str(name), path.parent, others)


def _tasks(path: Path) -> list[Any]:
    content = read_json(path)
    if isinstance(content, dict) and all(key in content for key in LISTS):
        raise InputError(f"{path} is COCO, not Label Studio's JSON: `edgetl import coco {quote(str(path))}`")
    tasks = as_kind(list, content, f"the content of {path.name}, with a task in it for each photo")
    if tasks and isinstance(tasks[0], dict) and "data" not in tasks[0] and "annotator" in tasks[0]:
        raise InputError(f"{path} is Label Studio's JSON-MIN: export as JSON")
    return tasks


def _task(task: dict[str, Any], name: str, folder: Path, others: Values) -> Found:
    shown = Path(name.rpartition("/")[2] or "a task without a picture")
    file = picture(name, folder, folder, folder / "upload")
    if isinstance(file, str) and (own := _UPLOADED.sub("", shown.name)) != shown.name:
        found = picture(own, folder, folder, folder / "upload")
        file = found if isinstance(found, Path) else file
    answers = [
        answer
        for answer in as_kind(list, task.get("annotations", []), "annotations")
        if isinstance(answer, dict) and not answer.get("was_cancelled")
    ]
    results = [result for answer in answers[:1] for result in as_kind(list, answer.get("result", []), "a result")]
    if isinstance(file, str):
        yield Unused(shown, file)
        return
    if not results:
        yield Unused(shown, "nobody labelled it")
    for result in results:
        kind = as_kind(dict, result, "a result").get("type")
        value = as_kind(dict, result.get("value"), "a result's value")
        labels = value.get(kind) if isinstance(kind, str) else None
        if kind not in ("choices", *_BOXES) or not isinstance(labels, list):
            yield Unused(shown, f"an answer of the kind {str(kind)[:30]}, which is no label and no rectangle")
        elif len(labels) != 1:
            yield Unused(shown, "several labels at once")
        elif kind == "choices":
            yield Record(file, str(file), as_kind(str, labels[0], "a label"), columns=others)
        elif value.get("rotation"):
            yield Unused(shown, "a turned rectangle")
        else:
            left, top, width, height = (
                as_kind(float, value.get(side), f"a rectangle's {side}") / 100 for side in ("x", "y", "width", "height")
            )
            box = (left, top, left + width, top + height)
            yield Record(file, str(file), as_kind(str, labels[0], "a label"), box=box, columns=others)
