"""An export as bytes, format 2: a header in JSON, a compressed payload and, where it is signed, a signature.

The header holds the hash of the payload and that of the content it leads to. The signature is over the header alone, so
it is verified before anything is parsed, and goes on holding for who keeps the content in another form: a receiver that
was sent what changed keeps the whole, under the header and signature that came with the change.

The payload is all of the content, or what changed since an earlier export: numbers of samples to remove, and samples to
add. It is compressed by the zlib of Python's standard library. Codes are noise to a compressor that looks for
repetitions: Huffman coding alone makes them smaller than Zstandard at level 19 does (``python -m benchmarks fleet``).
Sums of products are laid out byte by byte, the lowest of all numbers first.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np

from ..arrays import pack, unpack
from ..errors import InputError, SignatureError
from ..labels import MAX_GROUPS, check_group
from ..statistics import Statistics
from ..strict_json import parsed
from .exported_samples import ExportedSamples, changes
from .signing import EXPORT_HEADER, SIZE, PrivateKey, PublicKey, verify_any

MAGIC = b"edgetl export 2\n"
MAX_EXPORT = 256 << 20  # bytes of a file and of its content, as of a bundle

Content = Statistics | ExportedSamples
KINDS: Mapping[str, type[Content]] = {"samples": ExportedSamples, "statistics": Statistics}

_LENGTH_BYTES = 4  # of the header's length, little endian
_MAX_HEADER = 16 << 10
_SHORT = 64 << 10
_MARK = b"\nedgetl ed25519:"
_START, _END = len(MAGIC) + _LENGTH_BYTES, len(_MARK) + SIZE  # before the header, and behind the payload
_DEVICE, _HASH = re.compile(r"[0-9A-Za-z_-]{1,64}"), re.compile(r"[0-9a-f]{64}")
_MAX_TEXT, _MAX_FACTS = 200, 16
_OF_GROUPS = ("group", "groups")
_REMOVED = "removed"  # the array of a change that samples do not have

Fact = str | int | float | None


class SendAllError(InputError):
    """A change came, and what it changes is not here."""


@dataclass(frozen=True)
class ExportHeader:
    """What an export says of itself.

    Args:
        device: random identifier, made with the device's store.
        sequence: number of changes to the store: of two exports of a device, the larger counts.
        kind: of the content: ``samples`` or ``statistics``.
        content: SHA-256 of the content as it is serialised when it is whole.
        payload: SHA-256 of the payload.
        size: bytes of the payload before it was compressed.
        base: sequence of the export that this one changes; None where it is whole.
        machine: hash that tells this device's hardware and home from others with a copy of its store; "" if unknown.
        after: digest of the installed bundle, where that has earlier samples of this device in it: these here come on
            top; "" otherwise.
        facts: of the device, for a person: its bundle, its accuracy.
        group: whose labels the samples have; "" for the labels without a group.
        groups: with the labels without a group: group → hash of its content, which is in the same file (see
            :mod:`.export_parts`); so none can be left out, or be of another export.
    """

    device: str
    sequence: int
    kind: str
    content: str
    payload: str
    size: int
    base: int | None = None
    machine: str = ""
    after: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    group: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """JSON, deterministic; without groups, nothing of them."""
        value = {name: value for name, value in asdict(self).items() if value or name not in _OF_GROUPS}
        return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()

    @property
    def digest(self) -> str:
        """Hash of all content, that of groups too."""
        if not self.groups:
            return self.content
        return hashlib.sha256(json.dumps([self.content, sorted(self.groups.items())]).encode()).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes) -> ExportHeader:
        """The inverse of :meth:`to_bytes`; raises InputError on anything else."""
        try:
            header = cls(**parsed(data))
            header._check()
        except (InputError, ValueError, TypeError, RecursionError) as error:
            raise InputError(f"not an export: its header does not hold what it should ({str(error)[:80]})") from None
        return header

    def _check(self) -> None:
        texts = {"device": _DEVICE, "content": _HASH, "payload": _HASH}
        if any(not isinstance(value, str) or not form.fullmatch(value) for value, form in self._forms(texts)):
            raise ValueError("no device, or no hash")
        if any(value != "" and (not isinstance(value, str) or not _HASH.fullmatch(value)) for value in self._optional):
            raise ValueError("no hash")
        if self.kind not in KINDS or not all(_is_count(value) for value in (self.sequence, self.size)):
            raise ValueError("no kind, or no number")
        if self.size > MAX_EXPORT or not (self.base is None or (_is_count(self.base) and self.kind == "samples")):
            raise ValueError("too large, or a change of something else than samples")
        if not isinstance(self.facts, dict) or len(self.facts) > _MAX_FACTS:
            raise ValueError("too many facts")
        if not all(_is_fact(value) and len(name) <= _MAX_TEXT for name, value in self.facts.items()):
            raise ValueError("no facts")
        self._check_groups()

    def _check_groups(self) -> None:
        if not isinstance(self.group, str) or not isinstance(self.groups, dict) or len(self.groups) > MAX_GROUPS:
            raise ValueError("no group")
        if any(check_group(name) != name for name in (*self.groups, *([self.group] if self.group else []))):
            raise ValueError("no name of a group")
        if not all(isinstance(value, str) and _HASH.fullmatch(value) for value in self.groups.values()):
            raise ValueError("no hash")
        if self.group and self.groups:
            raise ValueError("a group with groups")

    def _forms(self, texts: Mapping[str, re.Pattern[str]]) -> list[tuple[Any, re.Pattern[str]]]:
        return [(getattr(self, name), form) for name, form in texts.items()]

    @property
    def _optional(self) -> tuple[str, str]:
        return self.machine, self.after


@dataclass(frozen=True)
class ExportFile:
    """An export whose header and payload are known to belong together, and whose payload is not unpacked yet.

    Args:
        header: parsed.
        signed: the very bytes of the header, and the signature over them or b"".
        payload: compressed, or the content as it is.
    """

    header: ExportHeader
    signed: tuple[bytes, bytes]
    payload: bytes

    @classmethod
    def read(cls, data: bytes, trusted: Sequence[PublicKey] = ()) -> ExportFile:
        """Bytes → export; the signature is verified first, where keys are trusted.

        Raises:
            InputError: it is no export of format 2, or damaged.
            SignatureError: keys are trusted, and this was signed by none of them.
        """
        head, rest = _head(data)
        signature = _signature(rest)
        if signature:
            rest = rest[:-_END]
        if trusted:
            verify_any(trusted, EXPORT_HEADER, head, signature)
        header = ExportHeader.from_bytes(head)
        if hashlib.sha256(rest).hexdigest() not in (header.payload, header.content):
            kind = SignatureError if trusted else InputError
            raise kind("the export is damaged or forged: its payload is not what its header says; send it again")
        return cls(header, (head, signature), rest)

    @classmethod
    def peek(
        cls, stream: BinaryIO, trusted: Sequence[PublicKey] = (), start: int = 0, size: int | None = None
    ) -> tuple[ExportHeader, bool]:
        """As :meth:`read`, of the header alone: a fleet's need not be read whole for that. → whether it is signed, too.

        Args:
            stream: that can be sought in.
            start, size: of the export in the stream, in bytes; default is all of it.
        """
        stream.seek(start)
        head, _ = _head(stream.read(_START + _MAX_HEADER))
        end = stream.seek(0, os.SEEK_END) if size is None else start + size
        stream.seek(max(start, end - _END))
        signature = _signature(stream.read(_END))
        if trusted:
            verify_any(trusted, EXPORT_HEADER, head, signature)
        return ExportHeader.from_bytes(head), bool(signature)

    def to_bytes(self) -> bytes:
        """The inverse of :meth:`read`."""
        head, signature = self.signed
        mark = _MARK + signature if signature else b""
        return MAGIC + len(head).to_bytes(_LENGTH_BYTES, "little") + head + self.payload + mark

    def content(self, before: Content | None = None) -> Content:
        """What the device has.

        Args:
            before: what it had, where this is a change.

        Raises:
            InputError: it is damaged, was made for something else than ``before``, or is nothing that a device sends.
        """
        return self._content(before)[0]

    def whole(self, before: Content | None = None) -> ExportFile:
        """The same export with all of its content, as it is kept: under the header and the signature it came with."""
        return replace(self, payload=self._content(before)[1])

    def _content(self, before: Content | None) -> tuple[Content, bytes]:
        kind = KINDS[self.header.kind]
        if hashlib.sha256(self.payload).hexdigest() == self.header.content:
            data = self.payload
        elif self.header.base is None:
            data = _inflated(self.payload, self.header.size)
            data = _gathered(data) if kind is Statistics else data
        else:
            arrays = dict(unpack(_inflated(self.payload, self.header.size), most=8))
            removed = arrays.pop(_REMOVED, None)
            if removed is None or removed.dtype != np.int64 or removed.ndim != 1:
                raise InputError("not a change of samples: expected the numbers of those that are gone")
            if not isinstance(before, ExportedSamples):
                raise SendAllError("this export is a change, and what it changes is not here: send all")
            added = ExportedSamples.from_arrays(arrays)
            try:
                data = before.changed(removed, added).to_bytes()
            except InputError as error:
                raise SendAllError(f"{error}: send all") from None
        if hashlib.sha256(data).hexdigest() != self.header.content:
            if self.header.base is not None:
                raise SendAllError("this change does not lead to the content that its header names: send all")
            raise InputError("the export does not lead to the content that its header names: it is damaged")
        return kind.from_bytes(data), data


def whole_export(header: ExportHeader, content: Content, key: PrivateKey | None = None) -> bytes:
    """All of a content → bytes, signed where a key is given; the header's hashes are filled in."""
    data = content.to_bytes()
    payload = data if isinstance(content, ExportedSamples) else _scattered(data)
    return _made(header, None, content, data, payload, key)


def changed_export(
    header: ExportHeader, base: int, before: Mapping[int, str], now: ExportedSamples, key: PrivateKey | None = None
) -> bytes:
    """What changed since the export with the number ``base``, whose samples had these labels → bytes."""
    removed, added = changes(before, now)
    return _made(header, base, now, now.to_bytes(), pack({_REMOVED: removed, **added.to_arrays()}), key)


def _made(
    header: ExportHeader, base: int | None, content: Content, data: bytes, payload: bytes, key: PrivateKey | None
) -> bytes:
    if max(len(data), len(payload)) > MAX_EXPORT:
        raise InputError(f"too much to export at once: {len(data) >> 20} MiB, the limit is {MAX_EXPORT >> 20} MiB")
    kind = "samples" if isinstance(content, ExportedSamples) else "statistics"
    packed = _deflated(payload, kind)
    head = replace(
        header,
        kind=kind,
        content=hashlib.sha256(data).hexdigest(),
        payload=hashlib.sha256(packed).hexdigest(),
        size=len(payload),
        base=base,
    )
    signed = head.to_bytes()
    return ExportFile(head, (signed, key.sign(EXPORT_HEADER, signed) if key else b""), packed).to_bytes()


def blank_header(device: str, sequence: int, **more: Any) -> ExportHeader:
    """A header before its hashes are filled in."""
    return ExportHeader(device, sequence, "samples", "", "", 0, **more)


def _head(data: bytes) -> tuple[bytes, bytes]:
    """The beginning of an export → the header's bytes, and what follows them."""
    length = int.from_bytes(data[len(MAGIC) : _START], "little")
    if not data.startswith(MAGIC) or not 0 < length <= min(_MAX_HEADER, len(data) - _START):
        raise InputError("not an export, or cut short")
    return data[_START : _START + length], data[_START + length :]


def _signature(end: bytes) -> bytes:
    """The end of an export → its signature, b"" where there is none."""
    return end[-SIZE:] if end[-_END:-SIZE] == _MARK else b""


def _deflated(data: bytes, kind: str) -> bytes:
    strategies = [zlib.Z_HUFFMAN_ONLY] if kind == "samples" else [zlib.Z_DEFAULT_STRATEGY]
    if len(data) <= _SHORT:  # names of arrays, and not codes, are most of it
        strategies = [zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY]
    found = []
    for strategy in strategies:
        compressor = zlib.compressobj(strategy=strategy)
        found.append(compressor.compress(data) + compressor.flush())
    return min(found, key=len)


def _inflated(data: bytes, size: int) -> bytes:
    """So many bytes, no fewer; more are not even unpacked."""
    decompressor = zlib.decompressobj()
    try:
        found = decompressor.decompress(data, size + 1)
    except zlib.error:
        raise InputError("the export is damaged: its payload cannot be unpacked") from None
    if len(found) != size or not decompressor.eof or decompressor.unused_data:
        raise InputError("the export is damaged: its payload is not as long as its header says")
    return found


def _scattered(statistics: bytes) -> bytes:
    """Serialised statistics with the bytes of the Gram matrix apart: high ones are nearly all alike."""
    arrays = unpack(statistics)
    gram = arrays["gram"]
    return pack(arrays | {"gram": np.ascontiguousarray(gram).view(np.uint8).reshape(len(gram), -1).T})


def _gathered(scattered: bytes) -> bytes:
    """The inverse of :func:`_scattered`."""
    arrays = unpack(scattered, most=16)
    planes = arrays.get("gram")
    if planes is None or planes.dtype != np.uint8 or planes.ndim != 2 or len(planes) not in (1, 2, 4, 8):
        raise InputError("not statistics: expected the bytes of a Gram matrix")
    return pack(arrays | {"gram": np.ascontiguousarray(planes.T).view(f"<u{len(planes)}")[:, 0]})


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_fact(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _MAX_TEXT
    return value is None or type(value) in (int, float)
