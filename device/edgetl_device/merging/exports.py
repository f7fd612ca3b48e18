"""Exports on this machine: which there are, and of each device the one that counts; read only when they are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..bundle.export import Export
from ..bundle.export_file import MAGIC, MAX_EXPORT
from ..bundle.export_parts import MAGIC as PARTS_MAGIC
from ..bundle.export_parts import ExportParts
from ..bundle.possible import check_possible
from ..bundle.signing import PublicKey
from ..errors import InputError
from ..files import open_bounded, read_bounded
from ..statistics import Statistics

SUFFIX = ".stats"
_FIRST_FORMAT = b"PK"  # a set of arrays
DEVICES = "devices"  # the folder of exports in a folder of `edgetl collect`


@dataclass(frozen=True)
class Source:
    """An export that is read when it is needed: a fleet's would not fit into memory together.

    Args:
        device: identifier.
        after: digest of the bundle that has the device's earlier samples; these here come on top. Else "".
        order: of two exports of one device, the larger counts.
        content: hash of what is in it, whatever the form it came in.
        read: the export.
    """

    device: str
    after: str
    order: tuple[int, str]
    content: str
    read: Callable[[], Export]


def source_of(export: Export) -> Source:
    """An export that is in memory."""
    digest = export.header.digest if export.header else hashlib.sha256(export.content.to_bytes()).hexdigest()
    return Source(export.device, export.after, export.order, digest, lambda: export)


def source_at(path: Path, trusted: Sequence[PublicKey] = ()) -> Source:
    """An export in a file; raises as :func:`read_export`."""
    try:
        with open_bounded(path, MAX_EXPORT) as stream:
            first = stream.read(len(PARTS_MAGIC))
            stream.seek(0)
            if not first.startswith((MAGIC, PARTS_MAGIC, _FIRST_FORMAT)):
                raise InputError("no export: `edgetl-device export-stats` writes them")
            header = ExportParts.peek(stream, trusted)[0] if first.startswith((MAGIC, PARTS_MAGIC)) else None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except InputError as error:
        raise type(error)(f"{path}: {str(error).removeprefix(f'{path} ')}") from None
    if header is None:
        found = source_of(read_export(path, trusted))
        return Source(found.device, found.after, found.order, found.content, lambda: read_export(path, trusted))

    content = header.digest

    def read() -> Export:
        export = read_export(path, trusted)
        if export.header is None or export.header.digest != content:
            raise InputError(f"{path} was replaced meanwhile: start again")
        return export

    return Source(header.device, header.after, (header.sequence, ""), content, read)


def sources_in(paths: Iterable[Path], trusted: Sequence[PublicKey] = ()) -> list[Source]:
    """Exports in files, and in folders: those of ``edgetl collect``, or any with ``*.stats``."""
    found = []
    for path in paths:
        if path.is_dir():
            folder = path / DEVICES if (path / DEVICES).is_dir() else path
            files = sorted(folder.glob(f"*{SUFFIX}"))
            if not files:
                raise InputError(f"{path}: no export (*{SUFFIX}) is in this folder")
            found += [source_at(file, trusted) for file in files]
        else:
            found.append(source_at(path, trusted))
    return found


def without_repeats(paths: Iterable[Path]) -> list[Path]:
    """Each file and folder once, under whichever names it was given."""
    return list({path.resolve(): path for path in paths}.values())


def read_export(path: Path, trusted: PublicKey | Sequence[PublicKey] | None = None) -> Export:
    """A file of ``edgetl-device export-stats`` or ``edgetl collect`` → Export.

    Raises:
        InputError: it cannot be read, or no samples can have these statistics.
        SignatureError: keys are trusted, and none of them signed it.
    """
    keys = tuple(trusted) if isinstance(trusted, Sequence) else (trusted,) if trusted else ()
    try:
        export = Export.from_bytes(_read(path), keys)
        for content in (export.content, *export.groups.values()):
            if isinstance(content, Statistics):
                check_possible(content)
        return export
    except InputError as error:
        raise error if str(error).startswith(f"cannot read {path}") else type(error)(f"{path}: {error}") from None


def latest(sources: Iterable[Source], merged: Container[str] = (), bundle: str = "") -> list[Source]:
    """Of each device the last export, by the changes to its store and not by its clock, which may be wrong.

    A device that installed a bundle with its own samples in it begins again; what it exports after that counts beside
    what it exported before.

    Args:
        merged: devices that are in the bundle already; of them only what they learned after installing it counts.
        bundle: digest of that bundle.

    Raises:
        InputError: a device is in the bundle, or two of its exports contradict each other.
    """
    found: dict[tuple[str, str], Source] = {}
    for source in sorted(sources, key=lambda source: source.order):
        if source.device in merged and source.after != bundle:
            raise InputError(
                f"device {source.device[:8]} is in this bundle already: merge into the bundle it was made from"
            )
        other = found.get((source.device, source.after))
        if other is not None and other.order[0] == source.order[0] >= 0 and _differ(other, source):
            raise InputError(
                f"two exports of device {source.device[:8]} have the same number ({source.order[0]}) and differ: "
                "was its store copied? Export again, and merge that one"
            )
        found[source.device, source.after] = source
    return [found[key] for key in sorted(found)]


def _differ(one: Source, other: Source) -> bool:
    if one.content == other.content:
        return False
    return _statistics(one.read()) != _statistics(other.read())


def _statistics(export: Export) -> dict[str, bytes]:
    """Group → statistics, whatever the form that they came in."""
    groups = {name: export.of_group(name).statistics.to_bytes() for name in export.groups}
    return {"": export.statistics.to_bytes(), **groups}


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, MAX_EXPORT)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
