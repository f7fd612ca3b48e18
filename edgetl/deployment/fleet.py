"""Who is late, on which bundle, and how well it recognises: what devices said with their last exports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from edgetl_device.bundle.bundle import Bundle
from edgetl_device.merging.collected import Kept


@dataclass(frozen=True)
class DeviceStatus:
    """One device, as its last export has it.

    Args:
        device: identifier.
        name: of the token that it delivers with; "" without.
        heard: UTC by the receiver's clock, ISO 8601.
        late: it was not heard of for too long.
        bundle: name of the bundle in use there.
        current: whether that is the expected one; None where none is.
        samples: how many it sent.
        withheld: how many it kept back, of labels with few.
        accuracy: of its head on its bundle's held-out photos, as measured there; None where it learned nothing yet.
        held_out: how many photos these are.
        signed: whether the export is.
        note: what happened to it.
        groups: in which it learned, too.
    """

    device: str
    name: str
    heard: str
    late: bool
    bundle: str
    current: bool | None
    samples: int
    withheld: int
    accuracy: float | None
    held_out: int
    signed: bool
    note: str
    groups: tuple[str, ...] = ()


def fleet_status(kept: Iterable[Kept], late_after: timedelta, expected: Bundle | None = None) -> list[DeviceStatus]:
    """Each device once: those that were not heard of for longest first.

    Args:
        expected: the bundle that devices should have.
    """
    now = datetime.now(timezone.utc)
    newest: dict[str, Kept] = {}
    for each in kept:
        other = newest.get(each.header.device)
        if other is None or other.header.sequence < each.header.sequence:
            newest[each.header.device] = each
    found = [_status(each, now, late_after, expected) for each in newest.values()]
    return sorted(found, key=lambda status: (status.heard, status.device))


def _status(kept: Kept, now: datetime, late_after: timedelta, expected: Bundle | None) -> DeviceStatus:
    header, facts, delivery = kept.header, kept.header.facts, kept.delivery
    accuracy = facts.get("accuracy")
    return DeviceStatus(
        device=header.device,
        name=delivery.name,
        heard=delivery.received,
        late=_is_late(delivery.received, now, late_after),
        bundle=str(facts.get("bundle") or ""),
        current=None if expected is None else facts.get("bundle_digest") == expected.digest,
        samples=_count(facts.get("samples")),
        withheld=_count(facts.get("withheld")),
        accuracy=float(accuracy) if isinstance(accuracy, (int, float)) else None,
        held_out=_count(facts.get("held_out")),
        signed=kept.signed,
        note=delivery.note,
        groups=tuple(sorted(header.groups)),
    )


def _is_late(heard: str, now: datetime, late_after: timedelta) -> bool:
    try:
        return now - datetime.fromisoformat(heard) > late_after
    except (ValueError, TypeError):
        return True


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0
