"""Named tensors of a PyTorch weights file, without PyTorch and without running what is pickled in it.

The file is that of ``torch.save`` before 1.6 (``_legacy_save`` in
https://github.com/pytorch/pytorch/blob/v2.0.0/torch/serialization.py): a magic number, a format number and facts of the
machine; names, shapes and places of the tensors; the list of their storages; then the numbers of each storage. All but
the numbers is pickled. A pickle can name any function of any module and have it called; this reader knows four names,
stands something harmless in for each, and refuses every other.
"""

from __future__ import annotations

import io
import math
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError

_MAGIC, _FORMAT = 0x1950A86A20F9469CFC6C, 1001


@dataclass(frozen=True)
class _View:
    """A tensor to be: its shape, and where its numbers lie in which storage."""

    storage: tuple[str, str, str, str, int, None]  # "storage", dtype, key, device, count, no view
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Names(dict[str, _View]):
    """What PyTorch keeps in an ``OrderedDict``."""

    def __setstate__(self, state: Any) -> None:
        """Versions of its modules: of no use here."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = {  # made anew for each use: whatever a file does to one of them is gone with it
            ("collections", "OrderedDict"): lambda: _Names(),
            ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, stride, *rest: _View(
                storage, offset, shape, stride
            ),
            ("torch", "FloatStorage"): "<f4",
            ("torch", "LongStorage"): "<i8",
        }
        if (module, name) not in known:
            raise InputError(f"it names {module}.{name}, which no file of weights needs")
        return known[module, name]

    def persistent_load(self, reference: Any) -> Any:
        return reference


def read_tensors(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """A file's bytes → name → array of float32 or int64, in the file's order.

    Raises:
        InputError: the file holds anything else than tensors, or is damaged.
    """
    stream = io.BytesIO(data)
    try:
        magic, version, _ = (_Unpickler(stream).load() for _ in range(3))
        if (magic, version) != (_MAGIC, _FORMAT):
            raise InputError("it is no file of torch.save before 1.6")
        views, keys = _Unpickler(stream).load(), _Unpickler(stream).load()
        types = {view.storage[2]: np.dtype(view.storage[1]) for view in views.values()}
        storages = {}
        for key in keys:
            count, start = int.from_bytes(stream.read(8), "little"), stream.tell()
            storages[key] = np.frombuffer(data, types[key], count, start)
            stream.seek(start + count * types[key].itemsize)
        return {str(name): _array(view, storages[view.storage[2]]) for name, view in views.items()}
    except InputError:
        raise
    except Exception as error:  # a damaged pickle raises almost anything
        raise InputError(f"it is damaged ({error!r:.80})") from None


def _array(view: _View, storage: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy, in rows; the strides of a file may run in any order."""
    shape, stride = (tuple(int(number) for number in numbers) for numbers in (view.shape, view.stride))
    if len(shape) != len(stride) or min((view.offset, *shape, *stride)) < 0 or math.prod(shape) > len(storage):
        raise InputError(f"there is no tensor of {shape} with strides {stride}")
    end = view.offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) + 1
    if 0 in shape or end > len(storage):
        raise InputError(f"a tensor of {shape} reaches beyond its storage of {len(storage)}")
    steps = tuple(step * storage.itemsize for step in stride)
    return np.array(np.lib.stride_tricks.as_strided(storage[view.offset :], shape, steps, writeable=False), order="C")
