"""What a device exports: its statistics, who it is, and when, so that a later export replaces an earlier one.

A signed export has a mark and 64 bytes of signature behind it; who trusts a key verifies them before reading the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import pack, text_array, text_values, unpack
from ..errors import InputError, SignatureError
from ..labels import check_label
from ..statistics import Statistics
from .signing import EXPORT, SIZE, PrivateKey, PublicKey

_MEMBERS = {"device", "time", "statistics"}
_MARK = b"\nedgetl ed25519:"


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

    def to_bytes(self, key: PrivateKey | None = None) -> bytes:
        """A deterministic serialisation, signed where a key is given."""
        content = np.frombuffer(self.statistics.to_bytes(), np.uint8)
        names = {"device": text_array((self.device,)), "time": text_array((self.time,))}
        data = pack({**names, "statistics": content})
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


def _split(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Bytes of an export → those that are signed, the mark (empty where unsigned) and the signature."""
    end = len(data) - SIZE
    start = end - len(_MARK)
    if start > 0 and data[start:end] == _MARK:
        return data[:start], _MARK, data[end:]
    return data, b"", b""
