"""Sends what a device learned to a receiver: what changed since it last acknowledged, or all; as often as need be."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..bundle.export_parts import changed_parts
from ..bundle.signing import PrivateKey
from ..errors import InputError, StorageError
from .delivery import Answer, Deliver, UnreachableError
from .outgoing import Outgoing
from .receipt import Receipt, keep_receipt, read_receipt

log = logging.getLogger("edgetl.sending")

RETRIES = 3
_FIRST_PAUSE_S = 1.0


@dataclass(frozen=True)
class Pushed:
    """What was delivered.

    Args:
        bytes: of what the receiver accepted.
        change: whether that was a change; otherwise all.
        new: whether the receiver did not have it before.
    """

    bytes: int
    change: bool
    new: bool


def push(
    home: Path,
    address: str,
    deliver: Deliver,
    made: Outgoing,
    key: PrivateKey | None = None,
    *,
    retries: int = RETRIES,
    pause: Callable[[float], None] = time.sleep,
) -> Pushed:
    """Deliver an export and keep the receipt; may be repeated at any time, and counts once.

    Args:
        home: the device home.
        address: of the receiver: receipts of different ones are kept apart.
        made: what to send.
        key: to sign a change with.
        retries: how often to try again where the receiver cannot be reached.

    Raises:
        UnreachableError: it could not be reached.
        InputError: it refused the export.
    """
    change = _change(home, address, made, key)
    data = made.data if change is None else change
    answer = _delivered(deliver, data, retries, pause)
    if change is not None and answer.send == "all":
        log.info("the receiver lacks what the change is to: sending all")
        change, data = None, made.data
        answer = _delivered(deliver, data, retries, pause)
    if not answer.stored:
        raise InputError(f"the receiver refused the export: {answer.error or 'no reason given'}")
    try:
        keep_receipt(home, address, Receipt.of(made.export))
    except StorageError as error:  # delivered all the same: next time all is sent
        log.warning("delivered, but the receipt was not kept: %s", error)
    return Pushed(len(data), change is not None, answer.new)


def _change(home: Path, address: str, made: Outgoing, key: PrivateKey | None) -> bytes | None:
    """What changed since the last receipt, if it can be told and is smaller than all."""
    known, export = read_receipt(home, address), made.export
    if known is None or not known.fits(export) or export.header is None:
        return None
    contents = {"": export.content, **export.groups}
    data = changed_parts(export.header, known.sequence, known.label_by_id(), contents, key)
    return data if len(data) < len(made.data) else None


def _delivered(deliver: Deliver, data: bytes, retries: int, pause: Callable[[float], None]) -> Answer:
    for attempt in range(retries + 1):
        last = attempt == retries
        try:
            answer = deliver(data)
            if not answer.again or last:
                return answer
            reason = answer.error
        except UnreachableError as error:
            if last:
                raise
            reason = str(error)
        wait_s = _FIRST_PAUSE_S * 2**attempt
        log.warning("%s; trying again in %.0f s", reason, wait_s)
        pause(wait_s)
    raise AssertionError("the last attempt returns or raises")
