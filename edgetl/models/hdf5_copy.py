"""Weights in an HDF5 file, copied as plain numbers into a new one.

HDF5 can point at other files (external links and storage, virtual datasets), load filters from shared libraries, and
promise terabytes in a few hundred bytes. Keras never uses any of that, so all of it is refused by name, and Keras is
given the copy.
"""

from __future__ import annotations

import math
from typing import Any

from edgetl_device.errors import InputError

_MAX_OBJECTS = 20_000
_MAX_DEPTH = 64
_MAX_ATTRIBUTE_BYTES = 8 << 20
_PLAIN_FILTERS = (1, 2, 3)  # deflate, shuffle, Fletcher's checksum: those of HDF5 itself
_SLACK_BYTES = 1 << 20


class WeightsCopy:
    """Copies groups of weights; one object counts for a whole file.

    Args:
        file_bytes: size of the file that is read: its weights may take four times that, and no more.
    """

    def __init__(self, file_bytes: int) -> None:
        self._bytes_left = 4 * file_bytes + _SLACK_BYTES
        self._objects_left = _MAX_OBJECTS
        self._groups: set[Any] = set()
        self.weights = 0  # numbers copied

    def group(self, source: Any, target: Any, depth: int = 0) -> None:
        """Copy what is inside an open ``h5py`` group, and its attributes, into another.

        Raises:
            InputError: it holds anything but numbers stored in the file itself, or more than its size allows.
        """
        import h5py

        address = h5py.h5o.get_info(source.id).addr
        if depth > _MAX_DEPTH or address in self._groups:
            raise InputError("its groups of weights are nested too deeply, or inside themselves")
        self._groups.add(address)
        self._objects_left -= len(source)
        if self._objects_left < 0:
            raise InputError(f"it holds more than {_MAX_OBJECTS} groups and weights")
        copy_attributes(source, target)
        for name in source:
            if not isinstance(source.get(name, getlink=True), h5py.HardLink):
                raise InputError(f"its weight {name[:60]!r} is a link to somewhere else, which is not followed")
            held = source[name]
            if isinstance(held, h5py.Group):
                self.group(held, target.create_group(name), depth + 1)
            elif isinstance(held, h5py.Dataset):
                self._dataset(held, target, name)
            else:
                raise InputError(f"it holds {name[:60]!r}, which is no weight")

    def _dataset(self, source: Any, target: Any, name: str) -> None:
        layout = source.id.get_create_plist()
        if source.is_virtual or source.external:
            raise InputError(f"its weight {name[:60]!r} lies in another file, which is not opened")
        if source.dtype.kind not in "fiub" or source.shape is None:
            raise InputError(f"its weight {name[:60]!r} holds {source.dtype}, expected numbers")
        if any(layout.get_filter(index)[0] not in _PLAIN_FILTERS for index in range(layout.get_nfilters())):
            raise InputError(f"its weight {name[:60]!r} is packed by a filter that HDF5 would load from a library")
        self._bytes_left -= int(source.nbytes)
        if self._bytes_left < 0:
            raise InputError(f"its weight {name[:60]!r} claims {source.nbytes} bytes, more than the file can hold")
        self.weights += int(source.size)
        target.create_dataset(name, data=source[()])


def copy_attributes(source: Any, target: Any) -> None:
    """Copy numbers and texts; refuse references, compounds and whatever else HDF5 can keep in an attribute."""
    for name in source.attrs:
        value = text_or_numbers(source, name)
        target.attrs[name] = value


def text_or_numbers(source: Any, name: str) -> Any:
    """The value of an attribute that is a number, a text, or an array of one of them; else InputError."""
    import h5py

    attribute = source.attrs.get_id(name)
    if attribute.dtype.kind not in "fiubS" and h5py.check_string_dtype(attribute.dtype) is None:
        raise InputError(f"its attribute {name[:60]!r} is neither number nor text")
    size = math.prod(attribute.shape) * attribute.dtype.itemsize
    if size > _MAX_ATTRIBUTE_BYTES:
        raise InputError(f"its attribute {name[:60]!r} takes {size} bytes")
    return source.attrs[name]
