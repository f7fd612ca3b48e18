"""What a device was taught for inspection, as a file for other devices with the same bundle: no photo is in it.

It may come from anybody, so it is read within bounds: named arrays as :mod:`edgetl_device.arrays` writes them, every
number one that this program could have written.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays import Arrays, pack, text_array, text_values, unpack
from ..errors import InputError, MismatchError
from ..files import open_bounded
from ..store.inspected import VERDICTS, InspectedPhoto
from ..strict_json import parsed
from ..view import View

FORMAT = 1
MAX_BYTES = 256 << 20
MAX_PHOTOS = 100_000
_TEXTS = ("device", "backbone", "runtime", "view")
_MEMBERS = {"format", *_TEXTS, "photos", "raw", "maps"}
_MAX_SIDE = 1 << 16  # pixels of a frame


@dataclass(frozen=True, eq=False)
class InspectionExport:
    """What one device was taught.

    Args:
        device: random identifier, made with the device's store.
        backbone: digest of the backbone that made embeddings and maps.
        runtime: that ran it.
        view: how photos were looked at.
        photos: with their bursts as groups.
    """

    device: str
    backbone: str
    runtime: str
    view: View
    photos: tuple[InspectedPhoto, ...]

    def check(self, backbone: str, dimension: int, values: int, turns: int) -> None:
        """Raise MismatchError unless it fits a backbone with so many features, map values and turns of a photo."""
        if self.backbone != backbone:
            raise MismatchError(
                f"it was taught with another backbone, {self.backbone[:12]}, not {backbone[:12]}: "
                "use one bundle on all devices"
            )
        expected = (turns, dimension), (turns, values)
        if any((photo.raw.shape, photo.maps.shape) != expected for photo in self.photos):
            raise MismatchError("its photos do not hold what the backbone gives: made by another program, or damaged")

    def to_bytes(self) -> bytes:
        """A deterministic serialisation."""
        view = json.dumps(self.view.to_json(), sort_keys=True)
        texts = dict(zip(_TEXTS, (self.device, self.backbone, self.runtime, view), strict=True))
        numbers = [
            (VERDICTS.index(photo.verdict), -1 if photo.group is None else photo.group, photo.width, photo.height)
            for photo in self.photos
        ]
        arrays: Arrays = {"format": np.array(FORMAT, np.int64)}
        arrays |= {name: text_array((text,)) for name, text in texts.items()}
        arrays["photos"] = np.array(numbers, np.int64).reshape(len(numbers), 4)
        arrays["raw"] = np.stack([photo.raw for photo in self.photos])
        arrays["maps"] = np.stack([photo.maps for photo in self.photos])
        return pack(arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> InspectionExport:
        """The inverse of :meth:`to_bytes`; raises InputError on anything else."""
        arrays = unpack(data, _MEMBERS)
        try:
            texts = [text_values(arrays[name], 1) for name in _TEXTS]
            ((device,), (backbone,), (runtime,), (view,)) = texts
            looked = View.from_json(parsed(view.encode()))
        except (ValueError, RecursionError) as error:
            raise InputError(f"not an export of inspection: {error}") from None
        if not all(0 < len(text) <= 128 and text.isprintable() for text in (device, backbone, runtime)):
            raise InputError("not an export of inspection: a name in it is none")
        if arrays["format"].shape != () or arrays["format"].dtype.kind not in "iu" or arrays["format"] != FORMAT:
            raise InputError(f"an export of another format than {FORMAT}: update edgetl-device")
        numbers, raw, maps = arrays["photos"], arrays["raw"], arrays["maps"]
        if numbers.dtype != np.int64 or numbers.ndim != 2 or numbers.shape[1] != 4 or not len(numbers):
            raise InputError("not an export of inspection: it lists no photos")
        sound = raw.dtype == maps.dtype == np.int8 and raw.ndim == maps.ndim == 3 and len(numbers) <= MAX_PHOTOS
        if not sound or not len(raw) == len(maps) == len(numbers) or raw.shape[1] != maps.shape[1]:
            raise InputError("not an export of inspection: embeddings and maps do not belong together")
        verdicts, sides = numbers[:, 0], numbers[:, 2:]
        if (verdicts < 0).any() or (verdicts >= len(VERDICTS)).any() or (sides < 1).any() or (sides > _MAX_SIDE).any():
            raise InputError("not an export of inspection: numbers that no photo has")
        photos = tuple(
            InspectedPhoto(raw[row], maps[row], width, height, VERDICTS[verdict], None if group < 0 else group)
            for row, (verdict, group, width, height) in enumerate(numbers.tolist())
        )
        return cls(device, backbone, runtime, looked, photos)


def read_export(path: Path) -> InspectionExport:
    """A file of :meth:`InspectionExport.to_bytes`; raises InputError on anything else."""
    try:
        with open_bounded(path, MAX_BYTES) as stream:
            return InspectionExport.from_bytes(stream.read(MAX_BYTES + 1))
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except InputError as error:
        raise type(error)(f"{path}: {str(error).removeprefix(f'{path} ')}") from None
