"""RUN: the folder that training writes and conversion reads."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError, StorageError

from .. import tf
from ..backbones.backbone import BackboneSpec
from ..data.datasets import Dataset
from ..data.duplicates import Duplicates

RUN_FORMAT = 1
RUN_FILE, MODEL_FILE, FLOAT_FILE = "run.json", "backbone.keras", "float.npy"


@dataclass(frozen=True)
class Run:
    """A finished training.

    Args:
        folder: where it lives.
        spec: the backbone.
        dataset: the photos that could be read, with their split.
        skipped: what was wrong with each of the others.
        seed: of split, head and calibration.
        strategy: how much was trained.
        accuracy: of the float pipeline on the held-out photos, 0 … 1.
        per_class: recall of each class there; None for a class with nothing held out.
        created: UTC time, ISO 8601.
        seconds: wall time.
        details: for a reader: device, cache, options and every epoch of a fine-tuning.
        duplicates: near-copies across labels or splits; known right after training only.
    """

    folder: Path
    spec: BackboneSpec
    dataset: Dataset
    skipped: tuple[str, ...]
    seed: int
    strategy: str
    accuracy: float
    per_class: dict[str, float | None]
    created: str
    seconds: float
    details: Mapping[str, Any] = field(default_factory=dict)
    duplicates: Duplicates = field(default_factory=Duplicates)

    def model(self) -> Any:
        """The Keras backbone."""
        try:
            return tf.keras().models.load_model(self.folder / MODEL_FILE, compile=False)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"{self.folder / MODEL_FILE} cannot be read ({reason}): train again") from None

    def float_embeddings(self) -> npt.NDArray[np.float32]:
        """(n, d) float32 of the dataset's photos, in its order; mapped from the file, not read."""
        path = self.folder / FLOAT_FILE
        try:
            values: npt.NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error}): train again") from None
        return values


def open_run(folder: Path) -> Run:
    """Read a RUN; raises InputError where the folder is none."""
    try:
        value = json.loads((folder / RUN_FILE).read_text())
    except (OSError, ValueError):
        raise InputError(f"{folder} is not a RUN: make one with `edgetl train PHOTOS -o {folder}`") from None
    if not isinstance(value, dict) or value.get("format") != RUN_FORMAT:
        raise InputError(f"{folder} was written by another edgetl: train again")
    try:
        paths, labels, splits = (tuple(column) for column in zip(*value["samples"], strict=True))
        dataset = Dataset(Path(value["photos"]), tuple(Path(path) for path in paths), labels, splits)
        kept = {name: value[name] for name in ("seed", "strategy", "accuracy", "per_class", "created", "seconds")}
        kept["details"] = value.get("details", {})
        return Run(folder, BackboneSpec(**value["backbone"]), dataset, tuple(value["skipped"]), **kept)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{folder / RUN_FILE} is damaged: train again") from None


@contextmanager
def new_folder(output: Path, force: bool) -> Iterator[Path]:
    """A temporary folder that takes ``output``'s place when the block ends well, and vanishes when it does not."""
    if output.exists() and not force:
        raise InputError(f"{output} exists: give another name or --force")
    if output.exists() and not (output / RUN_FILE).is_file():
        raise InputError(f"{output} is not a RUN, so --force does not replace it: give another name")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    except OSError as error:
        raise StorageError(f"cannot write {output}: {error.strerror or error}") from error
    try:
        yield folder
        folder.chmod(0o755)
        if output.is_dir():
            shutil.rmtree(output)
        os.replace(folder, output)  # noqa: PTH105
    except OSError as error:
        raise StorageError(f"cannot write {output}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def to_json(run: Run) -> dict[str, Any]:
    """What ``run.json`` holds: all of a run but its folder and its duplicates, with the photos' folder as it is now."""
    dataset = run.dataset
    samples = zip(dataset.paths, dataset.labels, dataset.splits, strict=True)
    return {
        "format": RUN_FORMAT,
        "backbone": asdict(run.spec),
        "photos": str(dataset.root.resolve()),
        "classes": list(dataset.classes),
        "samples": [[path.as_posix(), label, split] for path, label, split in samples],
        **{n: getattr(run, n) for n in ("skipped", "seed", "strategy", "accuracy", "per_class", "created", "seconds")},
        "details": dict(run.details),
    }
