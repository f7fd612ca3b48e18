"""The inner maps that a bundle's backbone gives for visual inspection, and the proof that they cost nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgetl_device.bundle.inner_maps import InnerMap
from edgetl_device.errors import CheckFailedError, InputError
from edgetl_device.inference.interpreter import MAP_PREFIX, TFLiteInterpreter

from ..tflite.inner_maps import expose_inner_maps

_PHOTOS = 8
_ROUNDS = 5  # of which the fastest counts


@dataclass(frozen=True)
class Inspectable:
    """A backbone with inner maps, and what was proven of it.

    Args:
        data: the ``.tflite`` file.
        maps: finest first.
        extra_bytes: that the file is longer than without.
        time_ratio: of a run that reads embedding and maps to one without maps, the fastest of several.
        photos: how many photos gave the same embedding, byte for byte, with maps and without.
    """

    data: bytes
    maps: tuple[InnerMap, ...]
    extra_bytes: int
    time_ratio: float
    photos: int


def make_inspectable(data: bytes, photos: npt.NDArray[np.uint8]) -> Inspectable:
    """Expose the inner maps of a converted backbone, and prove that nothing else has changed.

    Args:
        data: the ``.tflite`` file.
        photos: (k, height, width, 3) uint8 RGB, as it takes them.

    Raises:
        InputError: it has no maps that are of use.
        CheckFailedError: with maps it gives other embeddings, or XNNPACK no longer computes it.
    """
    exposed = expose_inner_maps(data)
    plain, inner = TFLiteInterpreter(data), TFLiteInterpreter(exposed)
    shots = photos[-_PHOTOS:]
    if any(plain(photo).tobytes() != inner.with_maps(photo)[0].tobytes() for photo in shots):
        raise CheckFailedError("with inner maps the backbone gives other embeddings: use --no-inspectable")
    if plain.xnnpack and not inner.xnnpack:
        raise CheckFailedError("with inner maps the runtime no longer uses XNNPACK: use --no-inspectable")
    maps = []
    for tensor in inner.maps:
        _, height, width, channels = tensor.shape
        name = tensor.name.partition(MAP_PREFIX)[2].partition("/")[2]
        maps.append(InnerMap(name, (height, width, channels), tensor.scale, tensor.zero_point))
    if not maps:
        raise InputError("the runtime shows none of the backbone's inner maps")
    return Inspectable(exposed, tuple(maps), len(exposed) - len(data), _time_ratio(plain, inner, shots), len(shots))


def _time_ratio(plain: TFLiteInterpreter, inner: TFLiteInterpreter, photos: npt.NDArray[np.uint8]) -> float:
    seconds = {"plain": float("inf"), "inner": float("inf")}
    for _ in range(_ROUNDS):
        for name, run in (("plain", plain), ("inner", inner.with_maps)):
            started = time.perf_counter()
            for photo in photos:
                run(photo)
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    return seconds["inner"] / seconds["plain"]
