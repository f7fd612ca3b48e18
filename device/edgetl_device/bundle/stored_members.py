"""The members of a bundle that is installed: verified once, and read from its file when they are asked for.

A bundle of several megabytes then costs a device no memory for what it does not use: recognising needs the backbone
alone. What was put in the file's place meanwhile is another file; what was changed in it is noticed.
"""

from __future__ import annotations

import hashlib
import os
import struct
import weakref
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from zipfile import ZipInfo

from ..errors import BundleError, InputError
from ..files import open_bounded
from .archive import MAX_SIZE, open_members

Listing = Mapping[str, Mapping[str, int | str]]
"""Name → size and SHA-256 of a member."""

_LOCAL_HEADER = struct.Struct("<26x2H")  # of a zip member, up to the lengths of its name and of its extra field
_BLOCK = 1 << 16


class StoredMembers(Mapping[str, bytes]):
    """Name → bytes, read anew each time.

    Args:
        path: of a bundle.
        allowed: the names that members may have.

    Attributes:
        digest: SHA-256 of the file, hex.
        listing: name → size and SHA-256, as the manifest lists them.

    Raises:
        BundleError: it is no bundle, or damaged.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, allowed: Collection[str]) -> None:
        try:
            with open_bounded(path, MAX_SIZE) as stream:
                self._entries = open_members(stream, allowed)
                self._handle = os.dup(stream.fileno())
        except InputError as error:
            raise BundleError(str(error).removeprefix(f"{path} ")) from None
        weakref.finalize(self, os.close, self._handle)
        self.digest = self._hash(0, os.fstat(self._handle).st_size)
        self.listing: dict[str, dict[str, int | str]] = {
            name: {"size": entry.file_size, "sha256": self._hash(self._start(entry), entry.file_size)}
            for name, entry in self._entries.items()
        }

    def __getitem__(self, name: str) -> bytes:
        entry = self._entries[name]
        content = self._read(self._start(entry), entry.file_size)
        if hashlib.sha256(content).hexdigest() != self.listing[name]["sha256"]:
            raise BundleError(f"{name} was changed since it was verified: install the bundle again")
        return content

    def hide(self, name: str) -> None:
        """Be without a member from now on, as a bundle's members are without its manifest."""
        del self._entries[name], self.listing[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _start(self, entry: ZipInfo) -> int:
        header = self._read(entry.header_offset, _LOCAL_HEADER.size)
        name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
        return int(entry.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes)

    def _read(self, start: int, size: int) -> bytes:
        content = os.pread(self._handle, size, start)
        if len(content) != size:
            raise BundleError("damaged: it ends too early; install the bundle again")
        return content

    def _hash(self, start: int, size: int) -> str:
        digest = hashlib.sha256()
        for place in range(start, start + size, _BLOCK):
            digest.update(self._read(place, min(_BLOCK, start + size - place)))
        return digest.hexdigest()
