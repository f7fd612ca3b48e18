"""What a device exports: its statistics, who it is, and after how many changes: a later export replaces an earlier one.

A signed export has a mark and 64 bytes of signature behind it; who trusts a key verifies them before reading the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import pack, text_array, text_values, unpack
from ..errors import InputError, SignatureError
from ..labels import check_sample_label
from ..statistics import Statistics
from .signing import EXPORT, SIZE, PrivateKey, PublicKey

_MEMBERS = {"device", "time", "sequence", "statistics"}
_FIRST_MEMBERS = _MEMBERS - {"sequence"}  # of exports by releases before 0.2
_DEVICE, _TIME = re.compile(r"[0-9A-Za-z_-]{1,64}"), re.compile(r"[0-9A-Za-z:.+-]{1,40}")
_MARK = b"\nedgetl ed25519:"


@dataclass(frozen=True, eq=False)
class Export:
    """One device's statistics.

    Args:
        device: random identifier, made with the device's store.
        time: UTC, ISO 8601, by the device's clock, which may be wrong.
        statistics: of all samples it had learned then.
        sequence: number of changes to the device's store before; None where an old release made the export.
    """

    device: str
    time: str
    statistics: Statistics
    sequence: int | None = None

    @property
    def order(self) -> tuple[int, str]:
        """Of two exports of one device the larger counts: by the device's changes, and only then by its clock."""
        return (-1 if self.sequence is None else self.sequence), self.time

    def to_bytes(self, key: PrivateKey | None = None) -> bytes:
        """A deterministic serialisation, signed where a key is given."""
        content = np.frombuffer(self.statistics.to_bytes(), np.uint8)
        members = {"device": text_array((self.device,)), "time": text_array((self.time,))}
        if self.sequence is not None:
            members["sequence"] = np.array(self.sequence, np.int64)
        data = pack({**members, "statistics": content})
        return data + _MARK + key.sign(EXPORT, data) if key else data

    @classmethod
    def from_bytes(cls, data: bytes, trusted: PublicKey | None = None) -> Export:
        """The inverse of :meth:`to_bytes`.

        Raises:
            InputError: it is something else.
            SignatureError: a key is trusted, and this was not signed by it.
        """
        data, mark, signature = _split(data)
        if trusted is not None:
            if not mark:
                raise SignatureError("not signed: `edgetl-device export-stats FILE --sign KEY` signs")
            trusted.verify(EXPORT, data, signature)
        arrays = unpack(data, most=len(_MEMBERS))
        if set(arrays) not in (_MEMBERS, _FIRST_MEMBERS):
            raise InputError(f"expected the arrays {sorted(_MEMBERS)}, got {sorted(arrays)}")
        try:
            (device,), (time,) = text_values(arrays["device"], 1), text_values(arrays["time"], 1)
        except ValueError:
            raise InputError("not a device's statistics") from None
        if not (_DEVICE.fullmatch(device) and _TIME.fullmatch(time)):
            raise InputError("not a device's statistics: no identifier of a device, or no time")
        if arrays["statistics"].dtype != np.uint8:
            raise InputError("not a device's statistics")
        statistics = Statistics.from_bytes(arrays["statistics"].tobytes())
        for label in statistics.labels:
            if check_sample_label(label) != label:
                raise InputError(f"label {label!r} is not in its normal form")
        return cls(device, time, statistics, _sequence(arrays.get("sequence")))


def _sequence(array: npt.NDArray[Any] | None) -> int | None:
    if array is None:
        return None
    if array.dtype != np.int64 or array.shape != () or array.item() < 0:
        raise InputError("not a device's statistics: expected the number of changes")
    return int(array.item())


def _split(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Bytes of an export → those that are signed, the mark (empty where unsigned) and the signature."""
    end = len(data) - SIZE
    start = end - len(_MARK)
    if start > 0 and data[start:end] == _MARK:
        return data[:start], _MARK, data[end:]
    return data, b"", b""
