"""A folder of exports: of each device the last one, whole, whatever way it came; each delivery counts once.

``devices/DEVICE.stats`` is what the device has, as it was signed; ``DEVICE.json`` beside it is what is known of the
delivery. Both are replaced in one step and durable before a delivery is acknowledged.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from ..bundle.export import Export
from ..bundle.export_file import MAX_EXPORT, ExportHeader, SendAllError
from ..bundle.export_parts import ExportParts
from ..bundle.signing import PublicKey
from ..errors import InputError
from ..files import open_bounded, read_bounded, write_atomically
from ..store.lock import LearningLock
from ..strict_json import parsed
from .exports import DEVICES, SUFFIX

log = logging.getLogger("edgetl.collect")

_LOCKS = 64
_LEFT_OVER_S = 3600.0  # no write takes that long
_GENERATION = 32  # bits below it in a sequence count changes; those above grow when a store takes another one's place


class NotYoursError(InputError):
    """Who delivers is not who delivered for this device before."""


@dataclass(frozen=True)
class Delivery:
    """What is known of the last delivery of a device.

    Args:
        name: of the token that it came with; "" without.
        received: UTC by the receiver's clock, ISO 8601.
        note: what a person should know, such as that the device was restored on other hardware.
    """

    name: str = ""
    received: str = ""
    note: str = ""


@dataclass(frozen=True)
class Kept:
    """An export in the folder: its header, and its delivery."""

    header: ExportHeader
    delivery: Delivery
    signed: bool


class Collected:
    """The folder.

    Args:
        folder: made if it is missing.
        trusted: accept only what one of these keys signed; empty for any.

    Raises:
        StorageError: from what writes, where the disk is full or read-only; then nothing was changed.
    """

    def __init__(self, folder: Path, trusted: Sequence[PublicKey] = ()) -> None:
        self.folder, self._trusted = folder, tuple(trusted)

    def receive(
        self, data: bytes, name: str = "", check: Callable[[Export], None] = lambda export: None
    ) -> tuple[ExportHeader, bool]:
        """Take an export in; durable when it returns. Returns its header, and whether it was new.

        Args:
            name: of the token that it came with.
            check: raises where an export is not wanted; then nothing is changed.

        Raises:
            SignatureError: keys are trusted, and none of them signed it; it was not parsed then.
            InputError: it is no export; older than what is here; or of another machine with the same store.
            SendAllError: it is a change to something that is not here.
            NotYoursError: the device delivered under another name before.
        """
        parts = ExportParts.read(data, self._trusted)
        header = parts.header
        path = self._path(header)
        with self._lock(header.device):
            known, delivery = self._read(path), self._delivery(path)
            if name and delivery.name and delivery.name != name:
                raise NotYoursError(f"device {header.device[:8]} delivers under the name {delivery.name}")
            name = name or delivery.name  # without tokens, and over ssh, nobody is told apart
            new = known is None or (known.header.sequence, known.header.digest) != (header.sequence, header.digest)
            note = _note_of(known, header) or delivery.note
            if new:
                before = None
                if parts.bases:
                    if known is None or parts.bases != {known.header.sequence}:
                        raise SendAllError(f"what this changes is not here (number {min(parts.bases)}): send all")
                    before = known.contents()
                whole = parts.whole(before)
                check(Export.from_parts(whole))
                self._keep(path, Delivery(name, _now(), note))
                write_atomically(path, whole.to_bytes())
            else:
                self._keep(path, Delivery(name, _now(), note))
        return header, new

    def kept(self) -> Iterator[Kept]:
        """All exports, by device; those that cannot be read are named in the log."""
        for path in sorted((self.folder / DEVICES).glob(f"*{SUFFIX}")):
            try:
                with open_bounded(path, MAX_EXPORT) as stream:
                    header, signed = ExportParts.peek(stream)
            except (OSError, InputError) as error:
                log.warning("%s cannot be read and waits for the device to send all again: %s", path, error)
                continue
            yield Kept(header, self._delivery(path), signed)

    def sweep(self) -> None:
        """Remove what was half-written when a receiver was killed: it may hold what a device forgot since then."""
        for leftover in (self.folder / DEVICES).glob(".*"):
            with suppress(OSError):
                if time.time() - leftover.stat().st_mtime > _LEFT_OVER_S:
                    leftover.unlink()

    def _path(self, header: ExportHeader) -> Path:
        after = f".{header.after[:16]}" if header.after else ""
        return self.folder / DEVICES / f"{header.device}{after}{SUFFIX}"

    def _read(self, path: Path) -> ExportParts | None:
        try:
            return ExportParts.read(read_bounded(path, MAX_EXPORT))
        except FileNotFoundError:
            return None
        except (OSError, InputError) as error:
            log.warning("%s cannot be read and waits for the device to send all again: %s", path, error)
            return None

    def _delivery(self, path: Path) -> Delivery:
        try:
            value = parsed(read_bounded(path.with_suffix(".json"), 1 << 16))
            return Delivery(**{key: str(value[key]) for key in ("name", "received", "note")})
        except (OSError, InputError, ValueError, TypeError, KeyError, RecursionError):
            return Delivery()

    def _keep(self, path: Path, delivery: Delivery) -> None:
        write_atomically(path.with_suffix(".json"), json.dumps(asdict(delivery), ensure_ascii=False).encode())

    @contextmanager
    def _lock(self, device: str) -> Iterator[None]:
        number = hashlib.sha256(device.encode()).digest()[0] % _LOCKS
        with LearningLock(self.folder / "locks" / f"{number:02}.lock")():
            yield


def _note_of(known: ExportParts | None, header: ExportHeader) -> str:
    """Whether an export may take a known one's place; → what to note of that.

    Raises:
        InputError: it is older, or of another machine that has a copy of the store.
    """
    if known is None:
        return ""
    old, who = known.header, f"device {header.device[:8]}"
    if header.sequence < old.sequence:
        raise InputError(
            f"a later export of {who} is here already (number {old.sequence}, this is {header.sequence}): delivered "
            "again, or from before its store was restored elsewhere; nothing was changed"
        )
    if not header.machine or not old.machine or header.machine == old.machine:
        return ""
    if header.sequence >> _GENERATION == old.sequence >> _GENERATION:
        raise InputError(
            f"another machine delivers as {who}: was its memory card copied? `edgetl-device push --new-identity` on "
            "the copy makes it a device of its own; nothing was changed"
        )
    return f"restored on other hardware {_now()[:10]}"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
