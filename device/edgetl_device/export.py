"""What a device exports: its statistics, who it is, and when, so that a later export replaces an earlier one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import pack, text_array, text_values, unpack
from .errors import InputError
from .labels import check_label
from .statistics import Statistics

_MEMBERS = {"device", "time", "statistics"}


@dataclass(frozen=True, eq=False)
class Export:
    """One device's statistics.

    Args:
        device: random identifier, made with the device's store.
        time: UTC, ISO 8601: of two exports of one device the later counts.
        statistics: of all samples it had learned then.
    """

    device: str
    time: str
    statistics: Statistics

    def to_bytes(self) -> bytes:
        """A deterministic serialisation."""
        content = np.frombuffer(self.statistics.to_bytes(), np.uint8)
        names = {"device": text_array((self.device,)), "time": text_array((self.time,))}
        return pack({**names, "statistics": content})

    @classmethod
    def from_bytes(cls, data: bytes) -> Export:
        """The inverse of :meth:`to_bytes`; raises InputError on anything else."""
        arrays = unpack(data, _MEMBERS)
        try:
            (device,), (time,) = text_values(arrays["device"]), text_values(arrays["time"])
        except ValueError:
            raise InputError("not a device's statistics") from None
        statistics = Statistics.from_bytes(arrays["statistics"].tobytes())
        for label in statistics.labels:
            if check_label(label) != label:
                raise InputError(f"label {label!r} is not in its normal form")
        return cls(device, time, statistics)
