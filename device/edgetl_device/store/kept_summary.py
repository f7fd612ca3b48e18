"""What a learner keeps of its samples in a file beside the store, so that a start need not read all of them again.

It is worked out of the store and holds nothing else: a file that is missing, damaged, or of another state of the store
is as good as none. What takes something away removes it, overwritten, before that is acknowledged as scrubbed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from contextlib import suppress
from pathlib import Path

from ..errors import EdgetlError
from ..files import read_bounded, sync, write_atomically

log = logging.getLogger("edgetl.store")

MAX_KEPT_BYTES = 256 << 20
_DIGEST = hashlib.sha256().digest_size


def summary_path(store: Path) -> Path:
    """The file beside a store."""
    return store.with_suffix(".summary")


class KeptSummary:
    """The file; whoever writes or removes it holds the learning lock.

    Args:
        path: where it is, or would be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, key: dict[str, str | int]) -> bytes | None:
        """What was written with this very key, or None."""
        try:
            content = read_bounded(self.path, MAX_KEPT_BYTES)
        except (EdgetlError, OSError):
            return None
        digest, rest = content[:_DIGEST], content[_DIGEST:]
        if hashlib.sha256(rest).digest() != digest:
            log.warning("%s is damaged: all samples are read instead", self.path)
            return None
        header, _, kept = rest.partition(b"\n")
        return kept if header == _header(key) else None

    def write(self, key: dict[str, str | int], content: bytes) -> None:
        """Replace the file. Where that fails the next start takes longer, and nothing else happens."""
        rest = _header(key) + b"\n" + content
        try:
            write_atomically(self.path, hashlib.sha256(rest).digest() + rest)
        except EdgetlError as error:
            log.info("%s is not kept: %s", self.path, error)

    def remove(self) -> None:
        """Overwrite and remove the file, and what a write that was cut off left: it may hold what was forgotten.

        Raises OSError.
        """
        for path in (self.path, *self.path.parent.glob(f".{self.path.name}.*")):
            with suppress(FileNotFoundError):
                if path.is_file() and not path.is_symlink():  # what a link leads to is not ours
                    with path.open("r+b") as stream:
                        stream.write(bytes(path.stat().st_size))
                        stream.flush()
                        os.fsync(stream.fileno())
                path.unlink()
                sync(path.parent)


def _header(key: dict[str, str | int]) -> bytes:
    return json.dumps(key, sort_keys=True).encode()
