"""COCO: objects with boxes become their cut-outs (https://cocodataset.org/#format-data)."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

from edgetl_device.errors import InputError
from edgetl_device.photo_folders import Unused

from ..data.folders import split_name
from .records import Found, Record, as_kind, files_in, picture, read_json

LISTS = ("images", "annotations", "categories")


def read(source: Path) -> Found:
    """An annotation file, or a folder of them with the photos, as Roboflow exports it: ``train/``, ``valid/`` …"""
    if source.is_file():
        beside = source.parent.name == "annotations"  # as COCO itself is laid out
        yield from _file(source, source.parent.parent if beside else source.parent, _split_of(source.stem))
        return
    files = files_in(source, "*.json")
    if not files:
        raise InputError(f"{source} holds no .json file: expected COCO annotations")
    for path in files:
        yield from _file(path, source, split_name(path.parent.name) or _split_of(path.stem))


def _split_of(stem: str) -> str:
    """``instances_val2017`` → ``val``."""
    word = stem.rpartition("_")[2].rstrip("0123456789")
    return split_name(word) or "train"


def _file(path: Path, root: Path, split: str) -> Found:
    """One annotation file; its pictures are looked for in the folders that such exports use, below ``root``."""
    content = read_json(path)
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in LISTS):
        tasks = isinstance(content, list) and content and isinstance(content[0], dict) and "annotations" in content[0]
        raise InputError(
            f"{path} is Label Studio's JSON, not COCO: `edgetl import label-studio {quote(str(path))}`"
            if tasks
            else f"{path} is not COCO: expected the lists {', '.join(LISTS[:-1])} and {LISTS[-1]}"
        )
    names = {_id(item, path): as_kind(str, item.get("name"), "a category's name") for item in content["categories"]}
    images = {_id(item, path): as_kind(str, item.get("file_name"), "a file_name") for item in content["images"]}
    places = (path.parent, root, root / split, root / path.stem.rpartition("_")[2])
    files: dict[int | str, Path | str] = {}
    used = set()
    for item in content["annotations"]:
        image: Any = as_kind(dict, item, "an annotation").get("image_id")
        category: Any = item.get("category_id")
        if not isinstance(image, int | str) or not isinstance(category, int | str):
            raise InputError(f"{path}: an annotation lacks an image_id or a category_id: {str(item)[:80]}")
        label, name = names.get(category), images.get(image)
        if label is None or name is None:
            what = f"category {str(category)[:30]}" if label is None else f"image {str(image)[:30]}"
            yield Unused(Path(name or path.name), f"an annotation is of {what}, which {path.name} does not list")
            used.add(image)
            continue
        if image not in files:
            files[image] = picture(name, root, *places)
        used.add(image)
        file, shown = files[image], Path(name)
        if isinstance(file, str):
            yield Unused(shown, file)
        elif item.get("iscrowd"):
            yield Unused(shown, "a crowd, not one object")
        elif item.get("bbox"):
            yield Record(file, name, label, split, _box(item["bbox"], path), in_pixels=True)
        else:
            yield Record(file, name, label, split)
    for image, name in images.items():
        if image not in used:
            yield Unused(Path(name), "nobody labelled it")


def _box(value: Any, path: Path) -> tuple[float, float, float, float]:
    if not isinstance(value, list) or len(value) != 4:
        raise InputError(f"{path}: a box must be [x, y, width, height], got {str(value)[:60]}")
    left, top, width, height = (as_kind(float, number, "a box's number") for number in value)
    return left, top, left + width, top + height


def _id(item: Any, path: Path) -> int | str:
    found = as_kind(dict, item, f"an entry of {path.name}").get("id")
    if not isinstance(found, int | str):
        raise InputError(f"{path}: an entry has no id: {str(item)[:80]}")
    return found
