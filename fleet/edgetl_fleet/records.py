"""An export, or why there is none, ↔ a record of Flower."""

from __future__ import annotations

from flwr.app import Array, ArrayRecord, ConfigRecord, Message

from edgetl_device.bundle.export_file import MAX_EXPORT
from edgetl_device.errors import InputError
from edgetl_device.printable import printable

_KEY, _WHY = "data", "error"


def packed(data: bytes) -> ArrayRecord:
    """Bytes as an array: Flower sends arrays in pieces."""
    return ArrayRecord({_KEY: Array(dtype="uint8", shape=(len(data),), stype="bytes", data=data)})


def failed(why: str) -> ConfigRecord:
    """The reason, in one line."""
    return ConfigRecord({_WHY: why})


def unpacked(message: Message) -> bytes:
    """A node's answer → the export, as it was sent; nothing in it has been looked at.

    Raises:
        InputError: the node has none, or answered something else.
    """
    if message.has_error():
        raise InputError(f"the node could not answer: {printable(message.error.reason)[:300]}")
    record = message.content.get("export")
    if isinstance(record, ConfigRecord):
        raise InputError(printable(str(record.get(_WHY, "no reason given")))[:500])
    array = record.get(_KEY) if isinstance(record, ArrayRecord) else None
    if array is None or array.stype != "bytes":
        raise InputError("the answer holds no export: is edgetl-fleet of this version on the node?")
    if len(array.data) > MAX_EXPORT:
        raise InputError(f"the export has {len(array.data) >> 20} MiB, the limit is {MAX_EXPORT >> 20} MiB")
    return bytes(array.data)
