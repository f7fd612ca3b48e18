"""What a receiver is known to have: it is sent what changed since then. Of use alone; without it, all is sent."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..bundle.export import Export
from ..bundle.exported_samples import ExportedSamples
from ..errors import InputError
from ..files import make_private, read_bounded, write_atomically
from ..strict_json import parsed

FOLDER = "sent"  # in the device home
_MAX_BYTES = 64 << 20
_MARK_BYTES = 32
_HARDWARE = (Path("/proc/device-tree/serial-number"), Path("/etc/machine-id"))


@dataclass(frozen=True)
class SentSamples:
    """The samples of one group, or of those without one, that a receiver has.

    Args:
        labels: those that occur, sorted.
        samples: number of each sample → place of its label.
    """

    labels: tuple[str, ...]
    samples: tuple[tuple[int, int], ...]

    def label_by_id(self) -> dict[int, str]:
        """Number of each sample → its label."""
        return {identity: self.labels[place] for identity, place in self.samples}


@dataclass(frozen=True)
class Receipt:
    """What a receiver acknowledged last.

    Args:
        device, after, sequence: of that export.
        sent: group → its samples, "" without a group; not those of which statistics came, whose changes are not sent.
    """

    device: str
    after: str
    sequence: int
    sent: Mapping[str, SentSamples]

    @classmethod
    def of(cls, export: Export) -> Receipt | None:
        """That of an export that was acknowledged; None where no change to it can be sent."""
        contents = {"": export.content, **export.groups}
        sent = {name: _sent(content) for name, content in contents.items() if isinstance(content, ExportedSamples)}
        if not sent or export.sequence is None:
            return None
        return cls(export.device, export.after, export.sequence, sent)

    def fits(self, export: Export) -> bool:
        """Whether a change to what the receiver has can be sent: of this device, and it only went on since then."""
        return (self.device, self.after) == (export.device, export.after) and self.sequence <= (export.sequence or 0)

    def label_by_id(self) -> Mapping[str, Mapping[int, str]]:
        """Group → number of each sample → its label."""
        return {name: sent.label_by_id() for name, sent in self.sent.items()}


def _sent(content: ExportedSamples) -> SentSamples:
    return SentSamples(content.labels, tuple(zip(content.ids.tolist(), content.label_of.tolist(), strict=True)))


def read_receipt(home: Path, address: str) -> Receipt | None:
    """What is kept of a receiver; None where nothing is, or nothing that makes sense."""
    try:
        value = parsed(read_bounded(_path(home, address), _MAX_BYTES))
        sent = {str(name): _read_sent(each) for name, each in value["sent"].items()}
        return Receipt(str(value["device"]), str(value["after"]), int(value["sequence"]), sent)
    except (OSError, InputError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _read_sent(value: Any) -> SentSamples:
    labels = tuple(str(label) for label in value["labels"])
    samples = tuple((int(identity), int(place)) for identity, place in value["samples"])
    if any(not 0 <= place < len(labels) for _, place in samples):
        raise ValueError("a place without a label")
    return SentSamples(labels, samples)


def keep_receipt(home: Path, address: str, receipt: Receipt | None) -> None:
    """Replace what is kept of a receiver; durable when it returns. Raises StorageError."""
    value = {} if receipt is None else asdict(receipt)
    write_atomically(_path(home, address), json.dumps(value, separators=(",", ":")).encode(), private=True)
    make_private(home / FOLDER)


def machine_mark(home: Path) -> str:
    """Hash that tells this home on this hardware from a copy of either, and says nothing else.

    It is made of a random number in the home, which no backup of the store holds, and of what the hardware calls
    itself, which a copied memory card does not bring along.

    Raises:
        StorageError: the home cannot be written.
    """
    path = home / FOLDER / "machine"
    if not path.exists():
        write_atomically(path, os.urandom(_MARK_BYTES), private=True)
        make_private(path.parent)
    try:
        parts = [read_bounded(path, 1 << 10)]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    for source in _HARDWARE:
        try:
            parts.append(source.read_bytes())
        except OSError:
            parts.append(b"")
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _path(home: Path, address: str) -> Path:
    return home / FOLDER / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}.json"
