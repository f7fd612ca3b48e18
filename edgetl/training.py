"""Training: photos + backbone → RUN, a folder with everything that conversion needs.

Head-only: the backbone is frozen, every photo passes it once, and the head is one linear solve.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device import metrics
from edgetl_device.arrays import pack, unpack
from edgetl_device.codes import LEVELS_PER_RMS
from edgetl_device.errors import InputError, StorageError
from edgetl_device.heads import Moments, Predictive, log_prior, solve_predictive
from edgetl_device.heads.precision import solve_precision

from . import backbones, embeddings, tf
from .backbones import BackboneSpec
from .datasets import Dataset

RUN_FORMAT = 1
_RUN_FILE, _MODEL_FILE, _FLOAT_FILE = "run.json", "backbone.keras", "float.npz"


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

    def model(self) -> Any:
        """The Keras backbone."""
        try:
            return tf.keras().models.load_model(self.folder / _MODEL_FILE, compile=False)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"{self.folder / _MODEL_FILE} cannot be read ({reason}): train again") from None

    def float_embeddings(self) -> npt.NDArray[np.float32]:
        """(n, d) float32 of the dataset's photos, in its order."""
        path = self.folder / _FLOAT_FILE
        try:
            values: npt.NDArray[np.float32] = unpack(path.read_bytes(), {"embeddings"})["embeddings"]
        except (OSError, InputError) as error:
            raise InputError(f"{path} cannot be read ({error}): train again") from None
        return values


def train_head(dataset: Dataset, spec: BackboneSpec, output: Path, seed: int = 0, force: bool = False) -> Run:
    """Train a head on a frozen backbone and write the RUN whole or not at all.

    Raises:
        InputError: photos, weights or ``output`` cannot be used.
        StorageError: the RUN cannot be written.
    """
    started = time.perf_counter()
    with new_folder(output, force) as folder:
        model = backbones.build(spec, seed)
        embedded = embeddings.embed_float(model, dataset.files(), spec.preprocessing, spec.input_range)
        readable = dataset.take(embedded.rows)
        check_classes(dataset, readable)
        truth, predicted = held_out_predictions(readable, embedded.values)
        recall = metrics.per_class_recall(truth, predicted, len(readable.classes))
        run = Run(
            output,
            spec,
            readable,
            embedded.skipped,
            seed,
            "head",
            metrics.accuracy(truth, predicted),
            {label: None if np.isnan(r) else float(r) for label, r in zip(readable.classes, recall, strict=True)},
            datetime.now(UTC).isoformat(timespec="seconds"),
            time.perf_counter() - started,
        )
        model.save(folder / _MODEL_FILE)
        (folder / _FLOAT_FILE).write_bytes(pack({"embeddings": embedded.values}))
        (folder / _RUN_FILE).write_text(json.dumps(_to_json(run), indent=1, ensure_ascii=False))
    return run


def open_run(folder: Path) -> Run:
    """Read a RUN; raises InputError where the folder is none."""
    try:
        value = json.loads((folder / _RUN_FILE).read_text())
    except (OSError, ValueError):
        raise InputError(f"{folder} is not a RUN: make one with `edgetl train PHOTOS -o {folder}`") from None
    if not isinstance(value, dict) or value.get("format") != RUN_FORMAT:
        raise InputError(f"{folder} was written by another edgetl: train again")
    try:
        paths, labels, splits = (tuple(column) for column in zip(*value["samples"], strict=True))
        dataset = Dataset(Path(value["photos"]), tuple(Path(path) for path in paths), labels, splits)
        kept = {name: value[name] for name in ("seed", "strategy", "accuracy", "per_class", "created", "seconds")}
        return Run(folder, BackboneSpec(**value["backbone"]), dataset, tuple(value["skipped"]), **kept)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{folder / _RUN_FILE} is damaged: train again") from None


def fit_float_head(values: npt.NDArray[np.float32], labels: tuple[str, ...]) -> Predictive:
    """The reference that conversion is held against: the same rule on float embeddings (n, d), nothing quantized."""
    names, rows = np.unique(np.asarray(labels), return_inverse=True)
    features = float_codes(values).astype(np.float64)
    counts = np.bincount(rows)
    means = np.stack([features[rows == row].mean(axis=0) for row in range(len(names))])
    centred = features - means[rows]
    variances = (centred**2).sum(axis=0) / max(len(features) - len(names), 1)
    floored = np.maximum(variances, 0.1 * variances.mean()) + 1e-9
    precision = solve_precision((centred.T @ centred).astype(np.float32), floored, len(features))
    found = tuple(str(name) for name in names)
    return solve_predictive(Moments(found, means, counts.astype(np.float64), log_prior(counts), precision))


def float_codes(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n, d) float embeddings → signed square root, L2-normalised: the codes of the device without their rounding."""
    root = np.sign(values) * np.sqrt(np.abs(values))
    norm = np.linalg.norm(root, axis=1, keepdims=True)
    return np.asarray(root / np.maximum(norm, 1e-12) * LEVELS_PER_RMS * np.sqrt(values.shape[1]), np.float32)


def held_out_predictions(
    dataset: Dataset, values: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Class indices (h,) of the held-out photos: the truth, and what a float head fitted on the others says."""
    train, held_out = dataset.rows("train"), dataset.rows("val", "test")
    head = fit_float_head(values[train], tuple(dataset.labels[row] for row in train))
    index = {label: number for number, label in enumerate(dataset.classes)}
    truth = np.array([index[dataset.labels[row]] for row in held_out], np.intp)
    return truth, head.scores(float_codes(values[held_out])).argmax(axis=1)


def check_classes(asked: Dataset, readable: Dataset) -> None:
    """Raise InputError if unreadable photos left a class without training photos, or nothing to hold out."""
    trained = {readable.labels[row] for row in readable.rows("train")}
    for label in asked.classes:
        if label not in trained:
            raise InputError(f"class {label!r} has no readable training photo: replace the damaged files")
    if not readable.rows("val", "test"):
        raise InputError("no photo is left to hold out: give each class at least two readable photos")


@contextmanager
def new_folder(output: Path, force: bool) -> Iterator[Path]:
    """A temporary folder that takes ``output``'s place when the block ends well, and vanishes when it does not."""
    if output.exists() and not force:
        raise InputError(f"{output} exists: give another name or --force")
    if output.exists() and not (output / _RUN_FILE).is_file():
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


def _to_json(run: Run) -> dict[str, Any]:
    dataset = run.dataset
    samples = zip(dataset.paths, dataset.labels, dataset.splits, strict=True)
    return {
        "format": RUN_FORMAT,
        "backbone": asdict(run.spec),
        "photos": str(dataset.root.resolve()),
        "classes": list(dataset.classes),
        "samples": [[path.as_posix(), label, split] for path, label, split in samples],
        **{n: getattr(run, n) for n in ("skipped", "seed", "strategy", "accuracy", "per_class", "created", "seconds")},
    }
