"""Which devices' samples were merged into a bundle: their names in its manifest, or hashes of them where they are many.

A manifest is read whole before anything else and has at most a megabyte, which some 24,000 names fill. Eight bytes of a
hash tell a million devices apart with a chance of one in 10⁷ that any two are taken for one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import pack, unpack
from ..errors import BundleError, InputError

KEY, MEMBER = "merged", "merged.npz"  # of the manifest, and in the archive
MOST_NAMED = 2000  # devices
MAX_DEVICES = 16_000_000

Hashes = npt.NDArray[np.uint64]


def _none() -> Hashes:
    return np.zeros(0, np.uint64)


@dataclass(frozen=True, eq=False)
class MergedDevices:
    """A set of devices.

    Args:
        names: identifiers of those that are named.
        hashes: sorted, of those that are not.
    """

    names: frozenset[str] = frozenset()
    hashes: Hashes = field(default_factory=_none)

    def __contains__(self, device: object) -> bool:
        if not isinstance(device, str) or device in self.names:
            return isinstance(device, str)
        place = int(np.searchsorted(self.hashes, _hash(device)))
        return place < len(self.hashes) and bool(self.hashes[place] == _hash(device))

    def __len__(self) -> int:
        return len(self.names) + len(self.hashes)

    def joined_by(self, devices: Iterable[str]) -> MergedDevices:
        """With these too; named only as long as they are few."""
        names = self.names | {device for device in devices if device not in self}
        if not len(self.hashes) and len(names) <= MOST_NAMED:
            return MergedDevices(names)
        more = np.array(sorted(_hash(name) for name in names), np.uint64)
        return MergedDevices(hashes=np.union1d(self.hashes, more))

    @cached_property
    def manifest(self) -> dict[str, list[str]]:
        """What the manifest says of them."""
        return {KEY: sorted(self.names)} if self.names or not len(self.hashes) else {}

    @property
    def members(self) -> dict[str, bytes]:
        """What the archive holds of them."""
        return {MEMBER: pack({"devices": self.hashes})} if len(self.hashes) else {}

    @classmethod
    def of(cls, manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> MergedDevices:
        """Those of a bundle; raises BundleError where its member holds something else."""
        names = frozenset(manifest.get(KEY, []))
        if MEMBER not in members:
            return cls(names)
        try:
            hashes = unpack(members[MEMBER], {"devices"})["devices"]
        except InputError as error:
            raise BundleError(f"{MEMBER}: {error}") from None
        if hashes.dtype != np.uint64 or hashes.ndim != 1 or len(hashes) > MAX_DEVICES:
            raise BundleError(f"{MEMBER}: expected at most {MAX_DEVICES} hashes, got {hashes.shape} {hashes.dtype}")
        if (hashes[1:] <= hashes[:-1]).any():
            raise BundleError(f"{MEMBER}: expected sorted and distinct hashes")
        return cls(names, hashes)


def _hash(device: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(b"edgetl merged device\0" + device.encode()).digest()[:8], "big"))
