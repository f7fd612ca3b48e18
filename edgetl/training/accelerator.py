"""What TensorFlow computes on, and what is worth switching on there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from edgetl_device.errors import InputError

from .. import tf
from .replicas import Member, Replicas, member, others_named

_BFLOAT16_CAPABILITY = (8, 0)  # NVIDIA's first generation with bfloat16 units: Ampere


@dataclass(frozen=True)
class Hardware:
    """What training runs on.

    Args:
        device: for a person.
        mixed_precision: whether to compute in bfloat16 beside float32 weights; its range needs no loss scaling.
        xla: whether to compile the step.
        place: TensorFlow's name of the device; empty: its own choice.
        replicas: the copies of a network under training.
    """

    device: str
    mixed_precision: bool = False
    xla: bool = False
    place: str = ""
    replicas: Replicas = field(default_factory=Replicas)

    @contextmanager
    def placed(self) -> Iterator[None]:
        """While the block runs, what is made and computed is placed there.

        Raises:
            InputError: another process that trains with this one went away.
        """
        if self.replicas.count == 1:
            with tf.load().device(self.place or None):
                yield
        else:
            with others_named(), self.replicas.scope():
                yield


def hardware(asked: str = "auto") -> Hardware:
    """What was asked for; ``auto``: all GPUs that TensorFlow sees, else the CPU; with TF_CONFIG of all processes.

    Mixed precision only on GPUs; XLA only on one.

    Args:
        asked: ``auto``, ``cpu``, ``gpu``, one of several, such as ``gpu:1``, or several, such as ``gpu:0,gpu:1``.

    Raises:
        InputError: it is none of these, or TensorFlow does not see it; or TF_CONFIG makes no sense.
    """
    together = member()
    if together is not None:
        return _together(together, asked)
    config = tf.load().config
    found = {kind: config.list_logical_devices(kind.upper()) for kind in ("cpu", "gpu")}
    if "," in asked:
        chosen = [_one(name, found) for name in asked.split(",")]
        if len(set(chosen)) < len(chosen) or len({kind for kind, _ in chosen}) > 1:
            raise InputError(f"--device {asked}: expected different devices of one kind")
        return _mirrored(chosen, found)
    kind, number = _one(asked, found)
    if asked.lower() == "auto" and len(found["gpu"]) > 1:
        return _mirrored([("gpu", number) for number in range(len(found["gpu"]))], found)
    place = "" if asked.lower() == "auto" else found[kind][number].name
    if kind == "cpu":
        return Hardware(f"CPU ({_cores()})", place=place)
    name, mixed = _gpu(number)
    return Hardware(f"GPU ({name})", mixed, True, place)


def _one(asked: str, found: dict[str, list[Any]]) -> tuple[str, int]:
    """The name of a device → its kind and number."""
    wanted = re.fullmatch(r"(auto|cpu|gpu)(?::(\d{1,3}))?", asked.strip().lower())
    if wanted is None or (wanted[1] == "auto" and wanted[2]):
        raise InputError(
            f"--device is auto, cpu, gpu, one such as gpu:1, or several such as gpu:0,gpu:1, got {asked!r}"
        )
    kind = wanted[1] if wanted[1] != "auto" else "gpu" if found["gpu"] else "cpu"
    number = int(wanted[2] or 0)
    if number >= len(found[kind]):
        seen = f"{len(found[kind])} of them" if found[kind] else "none"
        raise InputError(f"--device {asked}: TensorFlow sees {seen}; leave it out to use what there is")
    return kind, number


def _mirrored(chosen: Sequence[tuple[str, int]], found: dict[str, list[Any]]) -> Hardware:
    """Several devices of this machine."""
    names = [found[kind][number].name for kind, number in chosen]
    with tf.quiet():
        replicas = Replicas(tf.load().distribute.MirroredStrategy(names))
    if chosen[0][0] == "cpu":
        return Hardware(f"{len(names)} CPU devices ({_cores()})", replicas=replicas)
    gpus = [_gpu(number) for _, number in chosen]
    return Hardware(f"{len(names)} GPUs ({gpus[0][0]})", all(mixed for _, mixed in gpus), replicas=replicas)


def _together(mine: Member, asked: str) -> Hardware:
    """The devices of several processes. TensorFlow wants to hear of them before it does anything else."""
    if asked.lower() != "auto":
        raise InputError("with TF_CONFIG all GPUs of each process are used, or its CPU: leave --device out")
    tensorflow = tf.load()
    with tf.quiet(), others_named():
        try:
            strategy = tensorflow.distribute.MultiWorkerMirroredStrategy()
        except (RuntimeError, ValueError) as error:
            raise InputError(f"cannot train together as TF_CONFIG says: {str(error).splitlines()[0]}") from None
    replicas = Replicas(strategy, mine)
    gpus = [_gpu(number) for number in range(len(tensorflow.config.list_physical_devices("GPU")))]
    what = f"{len(gpus)} GPUs ({gpus[0][0]})" if gpus else f"CPU ({_cores()})"
    mixed = bool(gpus) and all(mixed for _, mixed in gpus)
    return Hardware(f"{what} of process {mine.index + 1} of {mine.workers}", mixed, replicas=replicas)


def _cores() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{cores} core{'s' if cores > 1 else ''}"


def _gpu(number: int) -> tuple[str, bool]:
    """Its name, and whether it computes in bfloat16."""
    config = tf.load().config
    details = config.experimental.get_device_details(config.list_physical_devices("GPU")[number])
    capability = tuple(details.get("compute_capability") or (0, 0))
    return str(details.get("device_name", "unnamed")), capability >= _BFLOAT16_CAPABILITY
