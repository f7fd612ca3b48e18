"""Photos named on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import note

if TYPE_CHECKING:
    from ..photo_folders import PhotoFolder


def photo_paths(images: Iterable[Path], label: str | None = None) -> PhotoFolder:
    """As :func:`~edgetl_device.photo_folders.named_photos`; tells what is not used."""
    from ..photo_folders import named_photos

    return named_photos(images, label, note)
