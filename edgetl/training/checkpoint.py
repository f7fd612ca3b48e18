"""The state of an interrupted fine-tuning, one file that is replaced whole after every epoch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.arrays import pack, text_array, text_values, unpack
from edgetl_device.errors import InputError
from edgetl_device.files import write_atomically
from edgetl_device.printable import printable

Weights = list[npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a training stands after a whole epoch.

    Args:
        history: facts of each epoch done.
        best: score of the best epoch on the stopping part: accuracy, minus loss.
        state, best_state: of the network, now and at its best.
        optimizer: its variables.
    """

    history: list[dict[str, Any]]
    best: tuple[float, float]
    state: Weights
    best_state: Weights
    optimizer: Weights

    def save(self, path: Path, identity: Any) -> None:
        """Write it; raises StorageError and leaves the previous one if that fails.

        Args:
            identity: what the training is of, JSON; only the same may go on from here.
        """
        write_atomically(path, self.to_bytes(identity))

    def to_bytes(self, identity: Any) -> bytes:
        """For :func:`parsed_checkpoint`."""
        facts = {"identity": _digest(identity), "history": self.history, "best": self.best}
        if isinstance(identity, dict) and "plan" in identity:
            facts["plan"] = identity["plan"]  # to name what differs
        arrays = {"facts": text_array((json.dumps(facts),))}
        for name in ("state", "best_state", "optimizer"):
            arrays |= {f"{name}{number}": np.asarray(value) for number, value in enumerate(getattr(self, name))}
        return pack(arrays)


def load_checkpoint(path: Path, identity: Any) -> Checkpoint | None:
    """What was saved, or None where nothing was; raises InputError if it is of another training, or damaged."""
    if not path.exists():
        return None
    try:
        data = path.read_bytes()
        checkpoint, digest = parsed_checkpoint(data)
    except (OSError, InputError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}): start anew with --force") from None
    if digest != _digest(identity):
        raise InputError(
            f"the interrupted training had other photos or options{_difference(_facts(unpack(data)), identity)}: give "
            "the same ones to --resume, or start anew with --force"
        )
    return checkpoint


def _difference(facts: dict[str, Any], identity: Any) -> str:
    """In brackets; nothing where the checkpoint is of an older edgetl, which kept a digest alone."""
    try:
        before, now = facts["plan"], json.loads(json.dumps(identity["plan"]))
        other = [name for name in now if before[name] != now[name]]
    except (KeyError, TypeError):
        return ""
    words = (f"{_option(name)} was {_said(before[name])} and is {_said(now[name])}" for name in other)
    return f" ({'; '.join(words) or 'the photos, their labels or their split'})"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _said(value: Any) -> str:
    return "left out" if value is None else printable(value, 40)


def _facts(arrays: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    (text,) = text_values(arrays.pop("facts"), 100_000)  # one, as long as so many
    return dict(json.loads(text))


def parsed_checkpoint(data: bytes) -> tuple[Checkpoint, str]:
    """Bytes → the checkpoint, and the digest of what it is of; raises one of many errors where they are none."""
    arrays = unpack(data)
    facts = _facts(arrays)
    parts: dict[str, Weights] = {"state": [], "best_state": [], "optimizer": []}
    for name, value in arrays.items():  # in the order they were saved
        parts[name.rstrip("0123456789")].append(value)
    accuracy, loss = facts["best"]
    return Checkpoint(facts["history"], (float(accuracy), float(loss)), **parts), str(facts["identity"])


def _digest(identity: Any) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
