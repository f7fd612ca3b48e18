"""EMB: a folder of parts, the bundle whose backbone made them, and what it is of. Resumable at every part.

embeddings.json     what is being embedded, with which backbone; at the end also how many photos
bundle.edgetl       whose backbone did it
part-000000.parquet and so on
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from edgetl_device.bundle.bundle import Bundle, open_bundle
from edgetl_device.errors import InputError, MismatchError, StorageError
from edgetl_device.files import make_folder, read_bounded, write_atomically
from edgetl_device.strict_json import parsed

from .parts import FORMAT, Maker, Part, Rows, batches, maker_of, name_of, read_part

ABOUT, BUNDLE = "embeddings.json", "bundle.edgetl"
_PARTS = "part-*.parquet"
_MOST_ABOUT = 1 << 20


@dataclass(frozen=True)
class Embeddings:
    """A finished EMB.

    Args:
        folder: where it lies.
        maker: of all its embeddings.
        source: what was embedded, for a reader.
        photos: how many were embedded.
        parts: the files, in order.
    """

    folder: Path
    maker: Maker
    source: str
    photos: int
    parts: tuple[Path, ...]

    def bundle(self) -> Bundle:
        """Whose backbone made them; raises BundleError or MismatchError where it is another one."""
        bundle = open_bundle(self.folder / BUNDLE)
        if bundle.backbone_digest != self.maker.backbone or bundle.codes != self.maker.transform:
            raise MismatchError(f"{self.folder / BUNDLE} is not the bundle that made these embeddings: embed again")
        return bundle

    def rows(self, *columns: str) -> Iterator[Rows]:
        """All photos, some thousand at a time; memory does not grow with their number.

        Args:
            columns: those that are needed; none for all.
        """
        for path in self.parts:
            if maker_of(path)[0] != self.maker:
                raise MismatchError(f"{path} was made by another backbone or runtime than {self.folder}: embed again")
            yield from read_part(path, self.maker, *((columns,) if columns else ()))


def open_embeddings(folder: Path) -> Embeddings:
    """A finished EMB, whoever made it.

    Raises:
        InputError: it is none, is not finished, or parts of it are missing.
    """
    about = _read_about(folder)
    if about is None:
        raise InputError(f"{folder} holds no embeddings: make them with `edgetl embed PHOTOS -o {quote(str(folder))}`")
    if "photos" not in about:
        raise InputError(
            f"{folder} is not finished: run the same `edgetl embed … -o {quote(str(folder))}` again, it goes on"
        )
    try:
        count, photos, source = int(about["parts"]), int(about["photos"]), str(about["source"])
        maker = Maker(str(about["backbone"]), str(about["runtime"]), dict(about["codes"]))
        _ = maker.transform
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise InputError(f"{folder / ABOUT} is damaged ({error!r:.60}): embed again") from None
    there = {path.name for path in folder.glob(_PARTS) if path.is_file()}
    missing = next((name for name in map(name_of, range(count)) if name not in there), None)
    if missing is not None:  # looked for before all are named: a stranger's file may say any number
        raise InputError(
            f"{folder} lacks {max(1, count - len(there))} of its parts, such as {missing}: run `edgetl embed` again "
            "with --force"
        )
    return Embeddings(folder, maker, source, photos, tuple(folder / name_of(number) for number in range(count)))


def _read_about(folder: Path) -> dict[str, Any] | None:
    try:
        value = parsed(read_bounded(folder / ABOUT, _MOST_ABOUT))
    except OSError:
        return None
    except (ValueError, RecursionError):
        raise InputError(f"{folder / ABOUT} is damaged: remove {folder} and embed again") from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise InputError(f"{folder} was written by another version of edgetl: embed again")
    return value


class Unfinished:
    """An EMB that is being written.

    Args:
        folder: there already, with its description.
        about: the description.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.folder, self.about = folder, about

    def has(self, number: int, rows: str) -> bool:
        """Whether a part of these very rows is there, whole."""
        try:
            maker, digest = maker_of(self.folder / name_of(number))
        except InputError:
            return False
        return digest == rows and maker.backbone == self.about["backbone"] and maker.runtime == self.about["runtime"]

    def skipped_of(self, number: int) -> tuple[int, list[str]]:
        """How many photos of a part are embedded, and what is wrong with the others."""
        photos, skipped = 0, list[str]()
        for batch in batches(self.folder / name_of(number), ("path", "problem")):
            problems = batch.column("problem")
            photos += problems.null_count
            if problems.null_count < len(problems):
                bad = batch.filter(problems.is_valid())
                pairs = zip(bad.column("path").to_pylist(), bad.column("problem").to_pylist(), strict=True)
                skipped += [f"{path}: {problem}" for path, problem in pairs]
        return photos, skipped

    def add(self, part: Part) -> None:
        """Write a part whole or not at all; raises StorageError, or MismatchError of another runtime."""
        if part.runtime != self.about["runtime"]:
            raise MismatchError(
                f"a worker embeds with {part.runtime}, here it is {self.about['runtime']}: install the same version "
                "on all workers, for their embeddings differ in the last bits"
            )
        write_atomically(self.folder / name_of(part.number), part.data)

    def finish(self, parts: int, photos: int, skipped: int) -> None:
        """All parts are there: what is left of an earlier run with more of them goes."""
        kept = {name_of(number) for number in range(parts)}
        for path in self.folder.glob(_PARTS):
            if path.name not in kept:
                path.unlink()
        about = self.about | {"parts": parts, "photos": photos, "skipped": skipped}
        write_atomically(self.folder / ABOUT, _text(about))

    def remove(self) -> None:
        """Leave nothing of it behind."""
        _clear(self.folder)
        (self.folder / ABOUT).unlink(missing_ok=True)
        self.folder.rmdir()


@contextmanager
def writing(folder: Path, maker: Maker, bundle: bytes, source: str, force: bool) -> Iterator[Unfinished]:
    """Begin an EMB, or go on with one of the same photos and backbone.

    Args:
        force: replace a finished one, or one of other photos.

    Raises:
        InputError: something else lies there, or it is finished, of other photos, or being written.
        StorageError: it cannot be written.
    """
    about: dict[str, Any] = {"format": FORMAT, "backbone": maker.backbone, "runtime": maker.runtime}
    about |= {"codes": maker.codes, "bundle": hashlib.sha256(bundle).hexdigest(), "source": source}
    old = _replaceable(folder, about, force)
    try:
        make_folder(folder)
        with _alone(folder):
            if old is None:
                _clear(folder)
                write_atomically(folder / BUNDLE, bundle)
                write_atomically(folder / ABOUT, _text(about))
            yield Unfinished(folder, about)
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror or error}") from error


def check_place(folder: Path, force: bool) -> dict[str, Any] | None:
    """What lies where an EMB is to be written: the description of an unfinished one, or None.

    Raises:
        InputError: something else does, or a finished one that is to stay.
    """
    old = _read_about(folder) if folder.is_dir() else None
    if folder.exists() and old is None and not (folder.is_dir() and not any(folder.iterdir())):
        reason = "holds no embeddings, so --force does not replace it" if force else "exists and holds no embeddings"
        raise InputError(f"{folder} {reason}: choose another name")
    if old is not None and "photos" in old and not force:
        raise InputError(f"{folder} exists: choose another name, or --force to overwrite it")
    return None if force else old


def _replaceable(folder: Path, about: dict[str, Any], force: bool) -> dict[str, Any] | None:
    """The description of an unfinished EMB to go on with; None where a new one begins."""
    old = check_place(folder, force)
    if old is None:
        return None
    other = [name for name in ("source", "backbone", "runtime") if old.get(name) != about[name]]
    if other:
        raise InputError(
            f"{folder} was begun with another {other[0]} ({str(old.get(other[0]))[:60]}): choose another name, or "
            "--force to begin anew"
        )
    return old


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another `edgetl embed` is writing {folder}: wait for it") from None
        yield
    finally:
        os.close(handle)


def _clear(folder: Path) -> None:
    for path in (*folder.glob(_PARTS), folder / BUNDLE):
        path.unlink(missing_ok=True)


def _text(about: dict[str, Any]) -> bytes:
    return json.dumps(about, indent=1, sort_keys=True).encode()
