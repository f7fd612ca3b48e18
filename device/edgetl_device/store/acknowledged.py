"""How much was acknowledged, in a small file beside the store: what the store can be held against.

The database cannot know that its newest transactions are missing: a damaged write-ahead log just ends earlier, and a
file that was copied back looks as good as it did. So each acknowledgement is also counted here, after it was committed.
A store that is behind this count has lost something; one that is ahead was interrupted before it could count.

Two records take turns, each with a checksum, so that a torn write leaves the one before it. They are overwritten in
place: that needs no room on a full disk.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from ..files import sync

_RECORD_BYTES = 512
_PLACES = (0, 4096)  # on different blocks of the disk


@dataclass(frozen=True)
class Acknowledged:
    """One count.

    Args:
        device: identity of the store.
        generation: grows when a store takes another one's place, as after ``restore``.
        sequence: number of committed changes.
        revision: number of changes that took something away.
        samples: how many were stored.
        last_id: the largest number a sample ever had.
    """

    device: str
    generation: int
    sequence: int
    revision: int
    samples: int
    last_id: int

    @property
    def order(self) -> tuple[int, int]:
        """Of two counts of one device, the greater one is newer."""
        return self.generation, self.sequence


def acknowledged_path(store: Path) -> Path:
    """The file with the count, beside a store."""
    return store.with_suffix(".acknowledged")


class AcknowledgedFile:
    """The file. Whoever writes holds the learning lock; whoever reads may do so at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def read(self) -> list[Acknowledged]:
        """The sound records, the newest first; none where there is no file."""
        try:
            with self.path.open("rb") as stream:
                content = stream.read(_PLACES[-1] + _RECORD_BYTES)
        except OSError:
            return []
        records = [_parse(content[place : place + _RECORD_BYTES]) for place in _PLACES]
        sound = [record for record in records if record is not None]
        return sorted(sound, key=lambda record: record.order, reverse=True)

    def write(self, record: Acknowledged) -> None:
        """Note an acknowledgement; it survives a kill at once and a power cut after :meth:`sync`. Raises OSError."""
        if self._handle is None:
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if os.fstat(self._handle).st_size < _PLACES[-1] + _RECORD_BYTES:  # new: room for both, for all times
                for place in _PLACES:
                    os.pwrite(self._handle, bytes(_RECORD_BYTES), place)
                sync(self.path.parent)
        os.pwrite(self._handle, _format(record), _PLACES[record.sequence % len(_PLACES)])

    def sync(self) -> None:
        """Make what was written durable. Raises OSError."""
        if self._handle is not None:
            os.fsync(self._handle)

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)


def _format(record: Acknowledged) -> bytes:
    text = json.dumps(asdict(record)).encode()
    return (hashlib.sha256(text).hexdigest().encode() + b" " + text).ljust(_RECORD_BYTES, b"\n")


def _parse(content: bytes) -> Acknowledged | None:
    checksum, _, text = content.rstrip(b"\n").partition(b" ")
    if hashlib.sha256(text).hexdigest().encode() != checksum:
        return None
    try:
        record = Acknowledged(**json.loads(text))
    except (ValueError, TypeError):  # written by another version
        return None
    numbers = (record.generation, record.sequence, record.revision, record.samples, record.last_id)
    return record if all(type(number) is int for number in numbers) and isinstance(record.device, str) else None
