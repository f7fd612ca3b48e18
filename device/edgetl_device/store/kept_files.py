"""What a learner keeps in files beside the store, so that a start need not work it out again.

It is worked out of store and bundle and holds nothing else: a file that is missing, damaged, or of another state of the
store is as good as none. What takes something away removes them, overwritten, before that is acknowledged as scrubbed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from contextlib import suppress
from pathlib import Path

from ..errors import EdgetlError, StorageError
from ..files import open_bounded, read_bounded, sync, write_atomically

log = logging.getLogger("edgetl.store")

MAX_KEPT_BYTES = 256 << 20
Key = dict[str, str | int]

_DIGEST = hashlib.sha256().digest_size
_ALIGNMENT = 64  # bytes


def summary_path(store: Path) -> Path:
    """What all samples add up to."""
    return store.with_suffix(".summary")


def head_path(store: Path) -> Path:
    """The head in use."""
    return store.with_suffix(".head")


class KeptFile:
    """One of the files; whoever writes or removes it holds the learning lock.

    Args:
        path: where it is, or would be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, key: Key) -> memoryview | None:
        """What was written with this very key, or None. In memory: who removes the file overwrites it."""
        try:
            content = memoryview(read_bounded(self.path, MAX_KEPT_BYTES))
        except (EdgetlError, OSError):
            return None
        digest, rest = content[:_DIGEST], content[_DIGEST:]
        if hashlib.sha256(rest).digest() != digest:
            log.warning("%s is damaged and is not used", self.path)
            return None
        start = _header(key)
        return rest[len(start) :] if rest[: len(start)] == start else None

    def is_of(self, key: Key) -> bool:
        """Whether it was written with this key; its content is not looked at."""
        return self._key() == key

    def write(self, key: Key, content: bytes) -> None:
        """Replace the file. Where that fails the next start takes longer, and nothing else happens."""
        rest = _header(key) + content
        try:
            write_atomically(self.path, hashlib.sha256(rest).digest() + rest, private=True)
        except EdgetlError as error:
            log.info("%s is not kept: %s", self.path, error)

    def remove(self, but: Key | None = None) -> None:
        """Overwrite and remove the file, and what a write that was cut off left: it may hold what was forgotten.

        Args:
            but: a file that was written with these and more stays.

        Raises OSError.
        """
        stays = but is not None and but.items() <= self._key().items()
        for path in (*(() if stays else (self.path,)), *self.path.parent.glob(f".{self.path.name}.*")):
            with suppress(FileNotFoundError):
                if path.is_file() and not path.is_symlink():  # what a link leads to is not ours
                    with path.open("r+b") as stream:
                        stream.write(bytes(path.stat().st_size))
                        stream.flush()
                        os.fsync(stream.fileno())
                path.unlink()
                sync(path.parent)

    def _key(self) -> Key:
        """What the file was written with. Empty where there is none that can be read."""
        try:
            with open_bounded(self.path, MAX_KEPT_BYTES) as stream:
                stream.seek(_DIGEST)
                key = json.loads(stream.readline(1 << 16))
        except (EdgetlError, OSError, ValueError, RecursionError):
            return {}
        return key if isinstance(key, dict) else {}


def remove_kept(store: Path) -> None:
    """Before another database takes a store's place, whose counts may come to the same; raises StorageError."""
    try:
        for path in (summary_path(store), head_path(store)):
            KeptFile(path).remove()
    except OSError as error:
        raise StorageError(f"cannot remove what is kept of {store}: {error}") from None


def _header(key: Key) -> bytes:
    """Padded, so that arrays behind it lie where they can be used."""
    text = json.dumps(key, sort_keys=True).encode()
    return text + b" " * (-(_DIGEST + len(text) + 1) % _ALIGNMENT) + b"\n"
