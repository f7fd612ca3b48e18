"""Tiny ImageNet from its `.tar.gz` into memory; nothing is unpacked to disk."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from research.pretraining.errors import PretrainingError

EXPECTED = "expected a .tar.gz with train/CLASS/*.JPEG and val/CLASS/*.JPEG"


@dataclass(frozen=True)
class Photos:
    """Photos of equal size with their classes.

    Attributes:
        images: (n, side, side, 3) uint8 RGB.
        labels: (n,) int32, indices into `Archive.classes`.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Archive:
    """The two parts of the archive.

    Attributes:
        classes: sorted names of the class folders.
        train: what is learned from.
        val: what is only measured on.
        sha256: digest of the archive file, hexadecimal.
    """

    classes: tuple[str, ...]
    train: Photos
    val: Photos
    sha256: str


def read_archive(path: Path) -> Archive:
    """Reads and decodes all photos (Tiny ImageNet, 52,000 of 64 x 64 pixels: 640 MB of memory).

    Raises:
        PretrainingError: not an archive, no such folders in it, a photo that does not decode, photos of
            different sizes, or a class of `val` that is missing from `train`.
    """
    parts: dict[str, list[tuple[str, str, np.ndarray]]] = {"train": [], "val": []}
    try:
        for name, content in _members(path):
            part, label = name.parts[-3], name.parts[-2]
            parts[part].append((label, name.name, _decode(path, name, content)))
        digest = _sha256(path)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PretrainingError(f"{path}: cannot be read ({reason}); {EXPECTED}") from error
    for part, photos in parts.items():
        if not photos:
            raise PretrainingError(f"{path}: no photos under {part}/; {EXPECTED}")
    classes = tuple(sorted({label for label, _, _ in parts["train"]}))
    if len(classes) < 2:
        raise PretrainingError(f"{path}: train/ has only the class {classes[0]!r}; at least two are needed")
    strangers = sorted({label for label, _, _ in parts["val"]} - set(classes))
    if strangers:
        raise PretrainingError(f"{path}: val/{strangers[0]} has no counterpart under train/; {EXPECTED}")
    return Archive(classes, _stack(path, parts["train"], classes), _stack(path, parts["val"], classes), digest)


def _members(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if not member.isfile() or name.suffix.lower() not in (".jpeg", ".jpg", ".png"):
                continue
            if len(name.parts) < 3 or name.parts[-3] not in ("train", "val"):
                raise PretrainingError(f"{path}: unexpected photo {name}; {EXPECTED}")
            stream = archive.extractfile(member)
            assert stream is not None  # A regular file always has one.
            yield name, stream.read()


def _decode(path: Path, name: PurePosixPath, content: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise PretrainingError(f"{path}: {name} is not a readable photo; the archive is damaged, fetch it again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _stack(path: Path, photos: list[tuple[str, str, np.ndarray]], classes: tuple[str, ...]) -> Photos:
    """Sorted by class and file name, so that the order inside the archive does not matter."""
    photos.sort(key=lambda photo: photo[:2])
    shapes = sorted({image.shape for _, _, image in photos})
    if len(shapes) > 1 or shapes[0][0] != shapes[0][1]:
        raise PretrainingError(f"{path}: expected square photos of one size, received {shapes[0]} … {shapes[-1]}")
    index = {label: position for position, label in enumerate(classes)}
    labels = np.array([index[label] for label, _, _ in photos], np.int32)
    return Photos(np.stack([image for _, _, image in photos]), labels)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
