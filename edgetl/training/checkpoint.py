"""The state of an interrupted fine-tuning, one file that is replaced whole after every epoch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.arrays import pack, text_array, text_values, unpack
from edgetl_device.errors import InputError
from edgetl_device.files import write_atomically
from edgetl_device.printable import printable

from ..backbones.backbone_spec import BackboneSpec
from ..backbones.own import OwnBackbone
from ..data.datasets import Dataset
from .plan import Plan

Weights = list[npt.NDArray[Any]]

_PHOTOS, _CONTENT = "photos", "backbone_content"
_OF_PHOTOS = "the photos, their labels or their split"


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
        if isinstance(identity, dict) and "photos" in identity:
            arrays[_PHOTOS] = np.array(sorted(_photo_digests(identity["photos"])), np.uint64)
        for name in ("state", "best_state", "optimizer"):
            arrays |= {f"{name}{number}": np.asarray(value) for number, value in enumerate(getattr(self, name))}
        return pack(arrays)


def load_checkpoint(path: Path, identity: Any) -> Checkpoint | None:
    """What was saved, or None where nothing was; raises InputError if it is of another training, or damaged."""
    if not path.exists():
        return None
    checkpoint, digest, facts, _ = _read(path)
    if isinstance(identity, dict) and "backbone" not in (before := facts["plan"]):  # of an older edgetl
        identity = {**identity, "plan": {name: value for name, value in identity["plan"].items() if name in before}}
    if digest != _digest(identity):
        raise _is_another(_difference(facts, identity))
    return checkpoint


def identity_of(plan: Plan, backbone: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """What a training is of, JSON: only the same may go on from its checkpoint.

    Args:
        backbone: of :func:`backbone_options`.
        dataset: the photos that can be read.
    """
    photos = [[path.as_posix() for path in dataset.paths], list(dataset.labels), list(dataset.splits)]
    return {"plan": plan_options(plan) | dict(backbone), "photos": photos}


def plan_options(plan: Plan) -> dict[str, Any]:
    """What a fine-tuning began with, by the names of options."""
    return asdict(replace(plan, cache_limit=0))


def backbone_options(spec: BackboneSpec) -> dict[str, Any]:
    """What identifies the backbone that a training began with, by the names of options."""
    options: dict[str, Any] = {"backbone": spec.name, "alpha": spec.alpha, "image_size": spec.image_size}
    options |= {"weights": spec.weights, "region": None if spec.region is None else list(spec.region)}
    if isinstance(spec, OwnBackbone):
        content = hashlib.sha256()  # of the weights: names of layers may differ when a file is read again
        for values in spec.initial:
            content.update(np.ascontiguousarray(values).tobytes())
        options |= {"backbone": spec.weights, _CONTENT: content.hexdigest()[:16]}
    return options


def check_left(path: Path, known: Mapping[str, Any], dataset: Dataset, resume: bool, force: bool) -> None:
    """Raise InputError where a training must not begin beside what an interrupt left; quick, before anything is loaded.

    What is not known yet, such as which photos can be read, :func:`load_checkpoint` compares.

    Args:
        path: of the checkpoint, which may not be there.
        known: of the ``plan`` in the new training's identity, what nothing decides later.
        dataset: its photos, whether they can be read or not.
        resume, force: go on from it, or drop it.
    """
    if not path.exists():
        return
    if not resume:
        if not force:
            raise InputError(f"{path} is of an interrupted training: go on with --resume, or start anew with --force")
        return
    _, _, facts, photos = _read(path)
    now = json.loads(json.dumps(dict(known)))
    before = facts["plan"]
    if any(before[name] != value for name, value in now.items() if name in before):
        raise _is_another(_difference(facts, {"plan": now}))
    if not photos <= _photo_digests(identity_of(Plan(), {}, dataset)["photos"]):
        raise _is_another(f" ({_OF_PHOTOS})")


def _is_another(difference: str) -> InputError:
    return InputError(
        f"the interrupted training had other photos or options{difference}: give the same ones to --resume, or start "
        "anew with --force"
    )


def _difference(facts: dict[str, Any], identity: Any) -> str:
    """In brackets; nothing where the checkpoint is of an older edgetl, which kept a digest alone."""
    if not (before := facts["plan"]):
        return ""
    now = json.loads(json.dumps(identity["plan"]))
    other = [name for name in now if name in before and before[name] != now[name]]
    words = (f"{_option(name)} was {_said(before[name])} and is {_said(now[name])}" for name in other)
    return f" ({'; '.join(words) or _OF_PHOTOS})"


def _option(name: str) -> str:
    return "the content of --backbone" if name == _CONTENT else f"--{name.replace('_', '-')}"


def _said(value: Any) -> str:
    return "left out" if value is None else printable(value, 40)


def _facts(arrays: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    (text,) = text_values(arrays.pop("facts"), 100_000)  # one, as long as so many
    return dict(json.loads(text))


def _read(path: Path) -> tuple[Checkpoint, str, dict[str, Any], set[int]]:
    """The checkpoint, the digest of what it is of, facts about that, and digests of its photos where it has them."""
    try:
        data = path.read_bytes()
        arrays = unpack(data)
        photos = {int(digest) for digest in arrays.get(_PHOTOS, ())}
        facts = _facts(arrays)
        return *parsed_checkpoint(data), facts | {"plan": dict(facts.get("plan", {}))}, photos
    except (OSError, InputError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}): start anew with --force") from None


def _photo_digests(photos: list[list[str]]) -> set[int]:
    """Of path, label and split of each."""
    entries = (json.dumps(entry).encode() for entry in zip(*photos, strict=True))
    return {int.from_bytes(hashlib.sha256(entry).digest()[:8], "big") for entry in entries}


def parsed_checkpoint(data: bytes) -> tuple[Checkpoint, str]:
    """Bytes → the checkpoint, and the digest of what it is of; raises one of many errors where they are none."""
    arrays = unpack(data)
    facts = _facts(arrays)
    arrays.pop(_PHOTOS, None)
    parts: dict[str, Weights] = {"state": [], "best_state": [], "optimizer": []}
    for name, value in arrays.items():  # in the order they were saved
        parts[name.rstrip("0123456789")].append(value)
    accuracy, loss = facts["best"]
    return Checkpoint(facts["history"], (float(accuracy), float(loss)), **parts), str(facts["identity"])


def _digest(identity: Any) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
