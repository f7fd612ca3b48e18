"""Exports as releases before format 2 wrote them."""

from __future__ import annotations

import numpy as np

from edgetl_device.arrays import pack, text_array
from edgetl_device.bundle.export import Export
from edgetl_device.bundle.signing import EXPORT, PrivateKey


def first_format(export: Export, key: PrivateKey | None = None) -> bytes:
    content = np.frombuffer(export.statistics.to_bytes(), np.uint8)
    members = {"device": text_array((export.device,)), "time": text_array((export.time,))}
    if export.sequence is not None:
        members["sequence"] = np.array(export.sequence, np.int64)
    data = pack({**members, "statistics": content})
    return data + b"\nedgetl ed25519:" + key.sign(EXPORT, data) if key else data
