"""Folders of photos: which files are photos, and why the others are not used. Their content decides, not their names.

What programs leave in folders is passed over in silence: hidden files and folders (``.ipynb_checkpoints``, ``.Trash``),
the copies that file servers make (``@eaDir``, ``#recycle``), what Windows and macOS keep there. Everything else that is
not used is counted, with its reason.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import InputError
from .photo_headers import other_format, photo_format

START = 64  # bytes that tell a format
_MOST_NAMED = 8

_LEFTOVERS = frozenset({"@eadir", "#recycle", "#snapshot", "__macosx", "$recycle.bin", "system volume information",
                        "lost+found", "thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"})  # fmt: skip


@dataclass(frozen=True)
class Unused:
    """A file or folder that is not used, and why, in a few words."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class PhotoFolder:
    """What a folder and its sub-folders hold.

    Args:
        photos: files that begin as a photo does, sorted.
        unused: everything else that is not a leftover, sorted.
    """

    photos: tuple[Path, ...]
    unused: tuple[Unused, ...]


def is_leftover(name: str) -> bool:
    """Whether a program left the file or folder of this name: it is hidden, or has one that only they give."""
    return name.startswith((".", "~$")) or name.lower() in _LEFTOVERS


def photos_in(folder: Path) -> PhotoFolder:
    """Look through a folder and its sub-folders; links to folders are not followed."""
    photos: list[Path] = []
    unused: list[Unused] = []

    def unreadable(error: OSError) -> None:
        unused.append(Unused(Path(error.filename), f"a folder that cannot be read ({error.strerror})"))

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        here = Path(parent)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [name for name in folders if name not in links and not is_leftover(name)]
        for path in (here / name for name in [*names, *links] if not is_leftover(name)):
            reason = why_unused(path)
            if reason:
                unused.append(Unused(path, reason))
            else:
                photos.append(path)
    return PhotoFolder(tuple(sorted(photos)), tuple(sorted(unused, key=lambda item: item.path)))


def named_photos(
    named: Iterable[Path], label: str | None = None, tell: Callable[[str], None] = lambda text: None
) -> PhotoFolder:
    """Files as they are named, and the photos in folders and their sub-folders, sorted.

    Args:
        label: what all of them show; None where they may show different things.
        tell: is told what of each folder is not used.

    Raises:
        InputError: a file is not there, a folder holds no photo, or holds several classes although there is a label.
    """
    paths: list[Path] = []
    unused: list[Unused] = []
    for path in named:
        if not path.exists():
            raise InputError(f"no such file: {path}")
        if not path.is_dir():
            paths.append(path)
            continue
        content = photos_in(path) if label is None else photos_of_one_class(path, label)
        why = "; ".join(f"{count} × {reason}" for reason, count in reasons(content.unused).items())
        if not content.photos:
            raise InputError(f"no photos in {path}" + (f" (it holds {why})" if why else ""))
        if why:
            tell(f"not used of {path}: {why}")
        paths += content.photos
        unused += content.unused
    return PhotoFolder(tuple(paths), tuple(unused))


def photos_of_one_class(folder: Path, label: str) -> PhotoFolder:
    """As :func:`photos_in`, of a folder whose photos are all to get one label.

    Raises:
        InputError: it holds several folders of photos and no photo beside them: the classes of a training, which would
            all become this one.
    """
    content, root = photos_in(folder), folder
    while True:
        places = [path.relative_to(root).parts for path in content.photos]
        names = sorted({parts[0] for parts in places})
        if not names or any(len(parts) == 1 for parts in places):
            return content
        if len(names) > 1:
            shown = ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")
            one = root / (label if label in names else names[0])
            raise InputError(
                f"{root} holds folders of several classes ({shown}): give one class's folder, such as {one}"
            )
        root /= names[0]


def why_unused(path: Path) -> str:
    """Why a file is no photo that can be read; empty where it begins as one does."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return "a link to a folder"
        if not stat.S_ISREG(mode):
            return "not a regular file"
        with path.open("rb") as stream:
            start = stream.read(START)
    except FileNotFoundError:
        return "a link to nothing"
    except OSError as error:
        return f"a file that cannot be read ({error.strerror})"
    kind = photo_format(start)
    if kind is None:
        return other_format(start)
    return "" if can_read(kind) else f"{kind} needs a decoder: pip install 'edgetl-device[heif]'"


def can_read(kind: str) -> bool:
    """Whether photos of this format can be decoded here."""
    if kind not in ("HEIC", "AVIF"):
        return True
    from .pillow_decoder import is_installed

    return is_installed()


def reasons(unused: Iterable[Unused]) -> dict[str, int]:
    """How many files are not used for each reason, the most first.

    >>> reasons([Unused(Path("a.gif"), "a GIF"), Unused(Path("b.gif"), "a GIF"), Unused(Path("c"), "a film")])
    {'a GIF': 2, 'a film': 1}
    """
    return dict(Counter(item.reason for item in unused).most_common())
