"""The bundle in use, and the one before it, which stays until the new one ran well: then it can be gone back to.

A bundle may pass its check and still bring the program down, after minutes or on this camera only. So an app counts its
starts; a bundle that was started three times and never ran well gives way to the one before it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from contextlib import suppress
from pathlib import Path

from ..errors import StorageError
from ..files import sync, write_atomically

log = logging.getLogger("edgetl.bundle")

MAX_STARTS = 3  # of a bundle that never ran well; then it is not tried again


class BundleOnTrial:
    """The files of one home; whoever changes them holds the learning lock.

    Args:
        path: of the bundle in use, ``bundle.edgetl``; the one before it is ``bundle.previous.edgetl`` beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.previous = path.with_name(f"{path.stem}.previous{path.suffix}")
        self._record = path.with_name("bundle-trial.json")

    def put(self, data: bytes, digest: str) -> None:
        """Make a bundle the one in use, on trial; at any moment the old one or the new one is there whole.

        Raises:
            StorageError: it cannot be written; the old one stays.
        """
        current = hashlib.sha256(self.path.read_bytes()).hexdigest() if self.path.exists() else None
        if current == digest:
            return
        if current is not None and self._starts(current) is None:
            self._keep_current()  # it is the last one that ran well; one on trial is not worth keeping
        if self.previous.exists():
            self._write(digest, 0)
        write_atomically(self.path, data, private=True)

    def count_start(self, digest: str) -> bool:
        """Note on disk that the bundle of this digest is about to be loaded; False if that was tried too often."""
        starts = self._starts(digest)
        if starts is None or not self.previous.exists():
            return True
        if starts >= MAX_STARTS:
            return False
        self._write(digest, starts + 1)
        return True

    def withdraw_start(self, digest: str) -> None:
        """Take a start back that ended for another reason, before the bundle could run well or badly."""
        starts = self._starts(digest)
        if starts:
            self._write(digest, starts - 1)

    def prove(self, digest: str) -> None:
        """Note that the bundle of this digest works: the one before it is not needed any more."""
        if self._starts(digest) is not None:
            self._record.unlink(missing_ok=True)
            self.previous.unlink(missing_ok=True)
            sync(self.path.parent)

    def can_fall_back(self) -> bool:
        """Whether there is a bundle to go back to."""
        return self.previous.exists() and self._record.exists()

    def fall_back(self, reason: str) -> None:
        """Put the bundle before it back in use, and say so. Raises StorageError."""
        try:
            self.previous.replace(self.path)
            sync(self.path.parent)  # first: without its record, a bundle counts as one that works
            self._record.unlink(missing_ok=True)
            sync(self.path.parent)
        except OSError as error:
            raise StorageError(f"cannot replace {self.path}: {error.strerror or error}") from error
        log.warning("the bundle before is back in use: the new one %s", reason)

    def _keep_current(self) -> None:
        """A second name for the bundle in use, which stays when that is replaced."""
        temporary = self.previous.with_name(f".{self.previous.name}.{os.getpid()}")
        try:
            temporary.unlink(missing_ok=True)
            try:
                os.link(self.path, temporary)
            except OSError:  # a file system without links
                write_atomically(temporary, self.path.read_bytes(), private=True)
            temporary.replace(self.previous)
            sync(self.path.parent)
        except OSError as error:
            raise StorageError(f"cannot write {self.previous}: {error.strerror or error}") from error
        finally:
            temporary.unlink(missing_ok=True)

    def _starts(self, digest: str) -> int | None:
        """How often the bundle of this digest was started without having proved itself; None if it is not on trial."""
        value = self._read()
        starts = value.get("starts")
        return starts if value.get("digest") == digest and isinstance(starts, int) else None

    def _read(self) -> dict[str, object]:
        with suppress(OSError, ValueError, RecursionError):
            value = json.loads(self._record.read_bytes())
            if isinstance(value, dict):
                return value
        return {}

    def _write(self, digest: str, starts: int) -> None:
        write_atomically(self._record, json.dumps({"digest": digest, "starts": starts}).encode(), private=True)
