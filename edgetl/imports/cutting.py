"""Pictures that records name → what is cut out of them, or the whole of them; each picture is decoded once.

A few lines of annotations can name one picture a million times, so what one picture, and all together, may become is
bounded: beyond that, boxes are not used, and say why.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path

import cv2

from edgetl_device.errors import InputError, PhotoError, StorageError
from edgetl_device.photo_folders import START, Unused
from edgetl_device.photo_headers import photo_format
from edgetl_device.photos import Image, decoded, photo_file

from .records import Found, Record

SMALLEST = 16  # pixels a side of what is cut out
MOST_BOXES = 5000  # of one picture: the densest public data sets have 2,000
MOST_COVERED = 16  # times its pixels that the boxes of a picture may have together
MOST_PIXELS = 50_000_000_000  # that are cut out in all
_ENDING = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "BMP": ".bmp",
    "WebP": ".webp",
    "TIFF": ".tif",
    "HEIC": ".heic",
    "AVIF": ".avif",
}


def by_picture(found: Found) -> Found:
    """The records of each picture one after the other, pictures in the order in which they come first."""
    pictures: dict[Path, list[Record]] = {}
    for item in found:
        if isinstance(item, Unused) or isinstance(item.image, bytes):
            yield item
        else:
            pictures.setdefault(item.image.resolve(), []).append(item)
    for records in pictures.values():
        yield from records


class Cutter:
    """Writes photos into a folder.

    Args:
        folder: there already.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held = ExitStack()
        self._path: Path | None = None
        self._image: Image | None = None
        self._error = ""
        self._boxes = self._covered = self._pixels = 0

    def __enter__(self) -> Cutter:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def write(self, record: Record, name: str) -> str:
        """The whole picture or a part of it → file → the file's name, with its ending.

        Raises:
            PhotoError: it cannot be used.
            InputError: more is to be cut out than one import may.
            StorageError, OSError: the file cannot be written.
        """
        path = self._folder / name
        if isinstance(record.image, bytes):
            with decoded(record.image):
                ending = _ENDING[str(photo_format(record.image[:START]))]
            path.with_name(name + ending).write_bytes(record.image)
            return name + ending
        return name + (_whole(record.image, path) if record.box is None else self._part(record.image, record, path))

    def _part(self, source: Path, record: Record, path: Path) -> str:
        if source.resolve() != self._path:
            self._open(source.resolve())
        if self._image is None:
            raise PhotoError(self._error)
        self._boxes += 1
        if self._boxes > MOST_BOXES:
            raise PhotoError(f"more than {MOST_BOXES:,} boxes in one picture")
        cut = _cut(self._image, record)
        pixels = cut.shape[0] * cut.shape[1]
        self._covered += pixels
        if self._covered > MOST_COVERED * self._image.shape[0] * self._image.shape[1]:
            raise PhotoError(f"boxes that cover their picture more than {MOST_COVERED} times")
        self._pixels += pixels
        if self._pixels > MOST_PIXELS:
            raise TooMuchError(f"the boxes have more than {MOST_PIXELS / 1e9:g} gigapixels: import the export in parts")
        if not cv2.imwrite(str(path.with_name(path.name + ".png")), cut):
            raise StorageError(f"cannot write {path}.png")
        return ".png"

    def _open(self, source: Path) -> None:
        """Decode a picture and keep it; the one before is dropped first, for they share what decoding may hold."""
        self._image = None
        self._held.close()
        self._path, self._error = source, ""
        self._boxes = self._covered = 0
        try:
            with photo_file(source) as data:
                self._image = self._held.enter_context(decoded(data)).image
        except PhotoError as error:
            self._error = str(error)


class TooMuchError(InputError):
    """An export that would become more than is written."""


def _whole(source: Path, path: Path) -> str:
    """The picture's file, linked where that can be, else copied → the ending of its name."""
    with photo_file(source) as data:
        kind = photo_format(data[:START])
    if kind is None:
        raise PhotoError("not a photo")
    target = path.with_name(path.name + _ENDING[kind])
    with suppress(OSError):
        os.link(source.resolve(), target)
        return _ENDING[kind]
    shutil.copyfile(source, target)
    return _ENDING[kind]


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
