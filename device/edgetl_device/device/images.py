"""Images as a program gives them: files, folders or arrays."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..photo_folders import photos_of_one_class
from ..photos import ColorOrder, Image, as_image, read_photo

Photo = str | Path | npt.NDArray[Any]
"""A photo file, or (height, width, 3) uint8, whose order of channels ``color=`` says."""


def given(image: object, color: ColorOrder | None) -> Path | Image:
    """What a caller gave, checked: a path, or (height, width, 3) uint8 BGR."""
    return Path(image) if isinstance(image, (str, Path)) else as_image(image, color)


def photos_to_learn(
    label: str, images: Photo | Iterable[Photo], color: ColorOrder | None
) -> tuple[list[Path | Image], list[str]]:
    """The photos, those in folders included, and what else lies in the folders."""
    photos: list[Path | Image] = []
    unused: list[str] = []
    for image in _several(images):
        photo = given(image, color)
        if isinstance(photo, Path) and photo.is_dir():
            content = photos_of_one_class(photo, label)
            photos += content.photos
            unused += map(str, content.unused)
        else:
            photos.append(photo)
    return photos, unused


def decoded(photo: Path | Image) -> Image:
    """(height, width, 3) uint8 BGR; raises PhotoError where a file cannot be read."""
    return read_photo(photo) if isinstance(photo, Path) else photo


def _several(images: Photo | Iterable[Photo]) -> Iterable[Photo]:
    single = isinstance(images, (str, Path)) or (isinstance(images, np.ndarray) and images.ndim == 3)
    return [images] if single else images  # type: ignore[list-item, return-value]
