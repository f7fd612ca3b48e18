"""All that a device exports, as one file: what it learned without a group and, where it has groups, in each of these.

Without groups the file is one export (see :mod:`.export_file`). With groups it is several, each behind its length: the
one without a group first, whose header names the groups and the hashes of their contents. So a signature over that
header holds for all of them, and one export never counts without the rest of what the device knew at that time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from ..errors import InputError
from ..labels import MAX_GROUPS
from .export_file import MAX_EXPORT, Content, ExportFile, ExportHeader, changed_export, whole_export
from .exported_samples import ExportedSamples
from .signing import PrivateKey, PublicKey

MAGIC = b"edgetl exports 2\n"

_LENGTH_BYTES = 8  # of an export's length, little endian
_START = len(MAGIC) + _LENGTH_BYTES


@dataclass(frozen=True, eq=False)
class ExportParts:
    """An export and those of its groups, known to belong together, and not unpacked yet.

    Args:
        first: of the labels without a group.
        groups: group → its export.
    """

    first: ExportFile
    groups: Mapping[str, ExportFile]

    @property
    def header(self) -> ExportHeader:
        """Of the labels without a group."""
        return self.first.header

    @classmethod
    def read(cls, data: bytes, trusted: Sequence[PublicKey] = ()) -> ExportParts:
        """The bytes of a file; raises as :meth:`.ExportFile.read`, and InputError where parts do not belong together.

        Args:
            trusted: accept only what one of these keys signed.
        """
        files = [ExportFile.read(part, trusted) for part in _split(data)]
        first, groups = files[0], {file.header.group: file for file in files[1:]}
        contents = {name: file.header.content for name, file in groups.items()}
        alone = len(groups) == len(files) - 1 and not first.header.group
        if not alone or contents != first.header.groups or list(groups) != sorted(groups):
            raise InputError("the export does not hold the groups that its header names: send it again")
        if any(_who(file) != _who(first) for file in files):
            raise InputError("not an export: it holds groups of another device")
        if sum(file.header.size for file in files) > MAX_EXPORT:
            raise InputError(f"the export is too large: the limit is {MAX_EXPORT >> 20} MiB")
        return cls(first, groups)

    @staticmethod
    def peek(stream: BinaryIO, trusted: Sequence[PublicKey] = ()) -> tuple[ExportHeader, bool]:
        """As :meth:`.ExportFile.peek`: the header of the labels without a group, and whether it is signed."""
        start = stream.read(_START)
        if not start.startswith(MAGIC):
            return ExportFile.peek(stream, trusted)
        size = int.from_bytes(start[len(MAGIC) :], "little")
        if size > MAX_EXPORT:
            raise InputError("not an export, or cut short")
        return ExportFile.peek(stream, trusted, _START, size)

    def to_bytes(self) -> bytes:
        """The inverse of :meth:`read`."""
        return _joined([self.first.to_bytes(), *(file.to_bytes() for file in self.groups.values())])

    def contents(self, before: Mapping[str, Content] | None = None) -> dict[str, Content]:
        """Group → what the device has in it, "" first; raises InputError as :meth:`.ExportFile.content`.

        Args:
            before: what it had, where this is a change.
        """
        known = before or {}
        parts = {"": self.first, **self.groups}
        return {name: file.content(known.get(name)) for name, file in parts.items()}

    def whole(self, before: Mapping[str, Content] | None = None) -> ExportParts:
        """The same with all content, as it is kept: under the headers and signatures that it came with."""
        known = before or {}
        groups = {name: file.whole(known.get(name)) for name, file in self.groups.items()}
        return replace(self, first=self.first.whole(known.get("")), groups=groups)

    @property
    def bases(self) -> frozenset[int]:
        """Sequences of the exports that its parts change."""
        bases = {file.header.base for file in (self.first, *self.groups.values())}
        return frozenset(base for base in bases if base is not None)


def whole_parts(header: ExportHeader, contents: Mapping[str, Content], key: PrivateKey | None = None) -> bytes:
    """Group → all of its content, "" for the labels without a group → bytes, signed where a key is given."""
    return _made(header, contents, lambda head, _, content: whole_export(head, content, key))


def changed_parts(
    header: ExportHeader,
    base: int,
    before: Mapping[str, Mapping[int, str]],
    now: Mapping[str, Content],
    key: PrivateKey | None = None,
) -> bytes:
    """What changed since the export with the number ``base`` → bytes; a group that was not in it comes whole.

    Args:
        before: group → number of each sample → label, of the groups that came as samples.
        now: group → content.
    """

    def part(head: ExportHeader, name: str, content: Content) -> bytes:
        if name in before and isinstance(content, ExportedSamples):
            return changed_export(head, base, before[name], content, key)
        return whole_export(head, content, key)

    return _made(header, now, part)


def _made(
    header: ExportHeader, contents: Mapping[str, Content], part: Callable[[ExportHeader, str, Content], bytes]
) -> bytes:
    parts = {
        name: part(replace(header, group=name, groups={}, facts={}), name, contents[name])
        for name in sorted(contents)
        if name
    }
    hashes = {name: ExportFile.read(data).header.content for name, data in parts.items()}
    data = _joined([part(replace(header, groups=hashes), "", contents[""]), *parts.values()])
    if len(data) > MAX_EXPORT:
        raise InputError(f"too much to export at once: {len(data) >> 20} MiB, the limit is {MAX_EXPORT >> 20} MiB")
    return data


def _who(file: ExportFile) -> tuple[str, int, str, str]:
    header = file.header
    return header.device, header.sequence, header.machine, header.after


def _joined(parts: Sequence[bytes]) -> bytes:
    if len(parts) == 1:
        return parts[0]
    return MAGIC + b"".join(len(part).to_bytes(_LENGTH_BYTES, "little") + part for part in parts)


def _split(data: bytes) -> list[bytes]:
    if not data.startswith(MAGIC):
        return [data]
    parts, place = list[bytes](), len(MAGIC)
    while place < len(data) and len(parts) <= MAX_GROUPS + 1:  # a stranger's may hold millions of empty ones
        start = place + _LENGTH_BYTES
        place = start + int.from_bytes(data[place:start], "little")
        parts.append(data[start:place])
    if place != len(data) or not 1 < len(parts) <= MAX_GROUPS + 1:
        raise InputError("not an export, or cut short")
    return parts
