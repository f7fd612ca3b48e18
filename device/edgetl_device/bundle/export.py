"""What a device exports: what it learned, who it is, and after how many changes; a later one replaces an earlier one.

It holds samples as codes, or their statistics. Format 2 is in :mod:`.export_file`. Format 1 is still read: statistics
in a set of arrays, with a mark and 64 bytes of signature behind it. Format 2 may have groups (:mod:`.export_parts`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import text_values, unpack
from ..errors import InputError
from ..labels import check_sample_label
from ..projection import Projection
from ..statistics import Statistics, with_labels
from .export_file import MAGIC, Content, ExportHeader, blank_header
from .export_parts import MAGIC as PARTS_MAGIC
from .export_parts import ExportParts, whole_parts
from .exported_samples import ExportedSamples
from .signing import EXPORT, SIZE, PrivateKey, PublicKey, verify_any

_MEMBERS = {"device", "time", "sequence", "statistics"}
_FIRST_MEMBERS = _MEMBERS - {"sequence"}  # of exports by releases before 0.2
_DEVICE, _TIME = re.compile(r"[0-9A-Za-z_-]{1,64}"), re.compile(r"[0-9A-Za-z:.+-]{1,40}")
_MARK = b"\nedgetl ed25519:"


@dataclass(frozen=True, eq=False)
class Export:
    """What one device learned.

    Args:
        device: random identifier, made with the device's store.
        time: UTC, ISO 8601, by the device's clock, which may be wrong; "" in format 2, which has none.
        content: all samples it had learned then, or their statistics.
        sequence: number of changes to the device's store before; None where an old release made the export.
        header: of format 2.
        groups: group → the same of the samples by their labels in it.
    """

    device: str
    time: str
    content: Content
    sequence: int | None = None
    header: ExportHeader | None = None
    groups: Mapping[str, Content] = field(default_factory=dict)

    def of_group(self, name: str) -> Export:
        """The export as if the labels in one of its groups were all that there is."""
        return replace(self, content=self.groups[name], groups={})

    @property
    def order(self) -> tuple[int, str]:
        """Of two exports of one device the larger counts: by the device's changes, and only then by its clock."""
        return (-1 if self.sequence is None else self.sequence), self.time

    @property
    def after(self) -> str:
        """Digest of the bundle that has earlier samples of this device in it, on top of which these come; or ""."""
        return "" if self.header is None else self.header.after

    @property
    def bundle(self) -> str:
        """Name of the bundle that the device used, or ""."""
        return "" if self.header is None else str(self.header.facts.get("bundle") or "")

    @cached_property
    def statistics(self) -> Statistics:
        """Of all samples; with moments of single classes where they came so."""
        return self.content.statistics() if isinstance(self.content, ExportedSamples) else self.content

    def statistics_along(self, projection: Projection | None) -> Statistics:
        """As :attr:`statistics`, with moments of each class along this projection alone, where they are known."""
        if isinstance(self.content, ExportedSamples):
            return self.content.statistics(projection)
        known = self.content.projection
        same = known is None or (projection is not None and projection.same_as(known))
        return self.content if same else replace(self.content, projected=None)

    @property
    def labels(self) -> tuple[str, ...]:
        """Sorted."""
        return self.content.labels

    @property
    def samples(self) -> int:
        """How many."""
        return len(self.content) if isinstance(self.content, ExportedSamples) else self.content.samples

    def with_labels(self, names: dict[str, str]) -> Export:
        """The same samples under other labels, in groups too; those that are not in ``names`` stay."""
        used = {label for content in (self.content, *self.groups.values()) for label in content.labels}
        if not names.keys() & used:
            return self
        groups = {name: _with_labels(content, names) for name, content in self.groups.items()}
        return replace(self, content=_with_labels(self.content, names), groups=groups)

    def to_bytes(self, key: PrivateKey | None = None) -> bytes:
        """A deterministic serialisation in format 2, signed where a key is given."""
        header = self.header or blank_header(self.device, self.sequence or 0)
        return whole_parts(header, {"": self.content, **self.groups}, key)

    @classmethod
    def from_bytes(cls, data: bytes, trusted: PublicKey | Sequence[PublicKey] | None = None) -> Export:
        """The inverse of :meth:`to_bytes`; reads format 1 too.

        Raises:
            InputError: it is something else.
            SignatureError: keys are trusted, and this was signed by none of them.
        """
        keys = tuple(trusted) if isinstance(trusted, Sequence) else (trusted,) if trusted else ()
        if data.startswith((MAGIC, PARTS_MAGIC)):
            return cls.from_parts(ExportParts.read(data, keys))
        return cls._from_first_format(data, keys)

    @classmethod
    def from_parts(cls, parts: ExportParts) -> Export:
        """An export of format 2, unpacked; raises InputError where it is nothing that a device sends."""
        contents, header = parts.contents(), parts.header
        for content in contents.values():
            _check_labels(content.labels)
        return cls(header.device, "", contents.pop(""), header.sequence, header, contents)

    @classmethod
    def _from_first_format(cls, data: bytes, trusted: Sequence[PublicKey]) -> Export:
        data, mark, signature = _split(data)
        if trusted:
            verify_any(trusted, EXPORT, data, signature if mark else b"")
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
        _check_labels(statistics.labels)
        return cls(device, time, statistics, _sequence(arrays.get("sequence")))


def _with_labels(content: Content, names: dict[str, str]) -> Content:
    if not names.keys() & set(content.labels):
        return content
    return content.with_labels(names) if isinstance(content, ExportedSamples) else with_labels(content, names)


def _check_labels(labels: tuple[str, ...]) -> None:
    for label in labels:
        if check_sample_label(label) != label:
            raise InputError(f"label {label!r} is not in its normal form")


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
