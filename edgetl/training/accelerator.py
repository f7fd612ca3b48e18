"""What TensorFlow computes on, and what is worth switching on there."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .. import tf

_BFLOAT16_CAPABILITY = (8, 0)  # NVIDIA's first generation with bfloat16 units: Ampere


@dataclass(frozen=True)
class Hardware:
    """What training runs on.

    Args:
        device: for a person.
        mixed_precision: whether to compute in bfloat16 beside float32 weights; its range needs no loss scaling.
        xla: whether to compile the step.
    """

    device: str
    mixed_precision: bool = False
    xla: bool = False


def hardware() -> Hardware:
    """The first GPU TensorFlow sees, else the CPU; mixed precision and XLA only on a GPU."""
    gpus = tf.load().config.list_physical_devices("GPU")
    if not gpus:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return Hardware(f"CPU ({cores} core{'s' if cores > 1 else ''})")
    details = tf.load().config.experimental.get_device_details(gpus[0])
    capability = tuple(details.get("compute_capability") or (0, 0))
    return Hardware(f"GPU ({details.get('device_name', 'unnamed')})", capability >= _BFLOAT16_CAPABILITY, True)
