"""What TensorFlow computes on, and what is worth switching on there."""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass

from edgetl_device.errors import InputError

from .. import tf

_BFLOAT16_CAPABILITY = (8, 0)  # NVIDIA's first generation with bfloat16 units: Ampere


@dataclass(frozen=True)
class Hardware:
    """What training runs on.

    Args:
        device: for a person.
        mixed_precision: whether to compute in bfloat16 beside float32 weights; its range needs no loss scaling.
        xla: whether to compile the step.
        place: TensorFlow's name of the device; empty: its own choice.
    """

    device: str
    mixed_precision: bool = False
    xla: bool = False
    place: str = ""

    def placed(self) -> AbstractContextManager[object]:
        """While the block runs, what is made and computed is placed there."""
        return tf.load().device(self.place or None)  # type: ignore[no-any-return]


def hardware(asked: str = "auto") -> Hardware:
    """The device that was asked for; ``auto``: the first GPU TensorFlow sees, else the CPU.

    Mixed precision and XLA only on a GPU.

    Args:
        asked: ``auto``, ``cpu``, ``gpu`` or one of several, such as ``gpu:1``.

    Raises:
        InputError: it is none of these, or TensorFlow does not see it.
    """
    wanted = re.fullmatch(r"(auto|cpu|gpu)(?::(\d{1,3}))?", asked.lower())
    if wanted is None or (wanted[1] == "auto" and wanted[2]):
        raise InputError(f"--device is auto, cpu, gpu or one of several such as gpu:1, got {asked!r}")
    config = tf.load().config
    found = {kind: config.list_logical_devices(kind.upper()) for kind in ("cpu", "gpu")}
    kind = wanted[1] if wanted[1] != "auto" else "gpu" if found["gpu"] else "cpu"
    number = int(wanted[2] or 0)
    if number >= len(found[kind]):
        seen = f"{len(found[kind])} of them" if found[kind] else "none"
        raise InputError(f"--device {asked}: TensorFlow sees {seen}; leave it out to use what there is")
    place = "" if wanted[1] == "auto" else found[kind][number].name
    if kind == "cpu":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return Hardware(f"CPU ({cores} core{'s' if cores > 1 else ''})", place=place)
    details = config.experimental.get_device_details(config.list_physical_devices("GPU")[number])
    capability = tuple(details.get("compute_capability") or (0, 0))
    return Hardware(f"GPU ({details.get('device_name', 'unnamed')})", capability >= _BFLOAT16_CAPABILITY, True, place)
