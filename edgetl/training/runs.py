"""RUN: the folder that training writes and conversion reads.

    run.json       the backbone's specification, the photos with label and split, and how training went
    backbone.npz   the backbone's weights in the order of its layers, float32, nothing pickled
    float.npy      the float embeddings of the photos, (n, d) float32

The architecture is rebuilt from its name by this project's own catalogue; of a user's own, ``run.json`` holds the Keras
configuration, checked name by name before Keras sees it. So a RUN holds numbers and text, never code: one from a
stranger is as safe to open as a picture.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edgetl_device.arrays import pack, unpack
from edgetl_device.errors import InputError, StorageError
from edgetl_device.files import make_folder, read_bounded, replace_folder
from edgetl_device.labels import check_label
from edgetl_device.photo_folders import photos_in
from edgetl_device.region import check_region
from edgetl_device.strict_json import parsed

from ..backbones.backbone import BackboneSpec, build, check
from ..backbones.own import OwnBackbone, build_own
from ..data.datasets import SPLITS, Dataset
from ..data.duplicates import Duplicates
from .embeddings import read_rows

RUN_FORMAT = 2
RUN_FILE, WEIGHTS_FILE, FLOAT_FILE = "run.json", "backbone.npz", "float.npy"
STRATEGIES = ("head", "top", "full")

MOST_PHOTOS = 1_000_000
_MOST_MEMORY = 500 << 20  # bytes that Python makes of run.json: enough for so many photos
_PER_ARRAY = 1024  # bytes beside the numbers of one array in the weights file, at most

_UNFINISHED = ".unfinished-"  # in the name of a RUN's folder before it takes its place, or after it lost it
_LEFTOVER = re.compile(rf"\..*{re.escape(_UNFINISHED)}[a-z0-9_]{{8}}", re.DOTALL)

T = TypeVar("T")


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
        seconds: wall time of the training, from loading the backbone to its end.
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
        """The Keras backbone: the catalogue's architecture, or the user's own, with the weights of this run.

        Raises:
            InputError: the weights cannot be read, or are not of this architecture.
        """
        path = self.folder / WEIGHTS_FILE
        if isinstance(self.spec, OwnBackbone):
            model = build_own(self.spec, self.seed, path.stat().st_size // 4 if path.is_file() else 0)
        else:
            model = build(replace(self.spec, weights="none"), self.seed)
        shapes = [tuple(weight.shape) for weight in model.weights]
        most = sum(4 * math.prod(shape) + _PER_ARRAY for shape in shapes) + _PER_ARRAY
        try:
            stored = unpack(read_bounded(path, most), frozenset(_names(len(shapes))))
        except OSError as error:
            raise InputError(f"cannot read {path} ({error.strerror or error}): train again") from None
        except InputError as error:
            raise InputError(f"{path} does not hold the weights of {self.spec.name} ({error}): train again") from None
        arrays = [stored[name] for name in _names(len(shapes))]
        if any(a.dtype != np.float32 or a.shape != shape for a, shape in zip(arrays, shapes, strict=True)):
            raise InputError(f"{path} does not hold the weights of {self.spec.name}: train again")
        if not all(np.isfinite(array).all() for array in arrays):
            raise InputError(f"{path} holds weights that are no numbers: train again")
        model.set_weights(arrays)
        return model

    def float_embeddings(self) -> npt.NDArray[np.float32]:
        """(n, d) float32 of the dataset's photos, in its order; mapped from the file, not read."""
        path = self.folder / FLOAT_FILE
        try:
            return read_rows(path, len(self.dataset))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error}): train again") from None


def open_run(folder: Path) -> Run:
    """Read a RUN, whoever made it: everything in it is checked before it is used.

    Raises:
        InputError: the folder is none, is damaged, or was written by another version of edgetl.
    """
    path = folder / RUN_FILE
    try:
        data = read_bounded(path, _MOST_MEMORY // 4)
        if _memory(data) > _MOST_MEMORY:
            raise InputError(f"{path} is too large: a RUN holds at most {MOST_PHOTOS:,} photos")
        value = parsed(data)
    except OSError:
        raise InputError(_why_no_run(folder)) from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON: train again") from None
    if isinstance(value, dict) and value.get("format") == 1:
        raise InputError(
            f"{folder} was written by edgetl 0.1: train it again, `edgetl train PHOTOS -o {quote(str(folder))} --force`"
        )
    if not isinstance(value, dict) or value.get("format") != RUN_FORMAT:
        raise InputError(f"{folder} was written by another version of edgetl: train again")
    if "embeddings" in value:
        raise InputError(
            f"{folder} was trained on embeddings and holds no float model: `edgetl convert {quote(str(folder))} "
            f"-o {quote(folder.name + '.edgetl')}`, and use the bundle"
        )
    try:
        return _from_json(folder, value)
    except InputError as error:
        raise InputError(f"{path} is damaged ({error}): train again") from None
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path} is damaged ({error!r:.100}): train again") from None


def save_run(folder: Path, run: Run, model: Any) -> None:
    """Write a run's description and the weights of its Keras model into a folder; its embeddings are there already."""
    weights = [np.asarray(value, np.float32) for value in model.get_weights()]
    (folder / WEIGHTS_FILE).write_bytes(pack(dict(zip(_names(len(weights)), weights, strict=True))))
    # In ASCII, because a file name need not be Unicode: "\udce9" is how JSON can hold one in Latin-1.
    (folder / RUN_FILE).write_text(json.dumps(_to_json(run), indent=1), encoding="ascii")


@contextmanager
def new_run(output: Path, force: bool) -> Iterator[Path]:
    """A temporary folder that takes ``output``'s place when the block ends well, and vanishes when it does not.

    An earlier RUN stays whole until the new one is in its place. If it cannot be put there, the new one is kept, and
    the error says where. What killed trainings left beside it is removed.
    """
    output = output.resolve() if output.is_symlink() else output
    check_place(output, force)
    try:
        make_folder(output.parent)
        _sweep(output.parent)
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}{_UNFINISHED}", dir=output.parent))
    except OSError as error:
        raise StorageError(f"cannot write {output}: {error.strerror or error}") from error
    with _held(folder):
        try:
            yield folder
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise StorageError(f"cannot write {output}: {error.strerror or error}") from error
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        _put(folder, output, force)


def _put(folder: Path, output: Path, force: bool) -> None:
    try:
        check_place(output, force)  # hours may have passed
        folder.chmod(0o755)
        replace_folder(folder, output)
    except (OSError, InputError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        kept = folder.with_name(folder.name.removeprefix("."))  # a hidden one would be swept as a leftover
        with suppress(OSError):
            folder = folder.rename(kept)
        raise StorageError(
            f"cannot put the RUN at {output} ({reason}): it is whole in {folder}; rename that folder"
        ) from error


def _sweep(parent: Path) -> None:
    """Remove what killed trainings left in a folder: folders of theirs that nobody holds."""
    for folder in parent.iterdir():
        if _LEFTOVER.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
            with suppress(BlockingIOError, FileNotFoundError), _held(folder):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock a folder, so that no other training takes it for a leftover; BlockingIOError if another holds it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def check_place(output: Path, force: bool) -> None:
    """Raise InputError where a RUN may not be written: something else lies there, or a RUN that is to stay."""
    if output.exists() and not (output / RUN_FILE).is_file():
        reason = "is not a RUN, so --force does not replace it" if force else "exists and is not a RUN"
        raise InputError(f"{output} {reason}: choose another name")
    if output.exists() and not force:
        raise InputError(f"{output} exists: choose another name, or --force to overwrite it")


def is_run(folder: Path) -> bool:
    """Whether a folder seems to be a RUN; :func:`open_run` knows whether it is a good one."""
    return (folder / RUN_FILE).is_file()


def refuse_photos(folder: Path, then: str) -> None:
    """Raise InputError where a folder holds photos instead of a RUN.

    Args:
        then: what to do with the RUN that is trained on them, such as ``sweep run``.
    """
    if not is_run(folder) and (why := _no_photos(folder, then)):
        raise InputError(why)


def _no_photos(folder: Path, then: str) -> str:
    if not folder.is_dir() or (folder / "saved_model.pb").is_file() or not photos_in(folder).photos:
        return ""
    return f"{folder} holds photos, not a RUN: `edgetl train {quote(str(folder))} -o run` first, then `edgetl {then}`"


def _why_no_run(folder: Path) -> str:
    return (
        _no_photos(folder, "convert run -o run.edgetl")
        or f"{folder} is not a RUN: make one with `edgetl train PHOTOS -o {quote(str(folder))}`"
    )


def _memory(data: bytes) -> int:
    """About how many bytes Python's objects of a JSON text take, at most."""
    objects = 88 * data.count(b"[") + 240 * data.count(b"{") + 32 * data.count(b",") + 64 * (data.count(b'"') // 2)
    return len(data) + objects


def _names(count: int) -> list[str]:
    return [f"{number:04}" for number in range(count)]


def _to_json(run: Run) -> dict[str, Any]:
    """What ``run.json`` holds: all of a run but its folder and its duplicates, with the photos' folder as it is now."""
    dataset = run.dataset
    own: dict[str, Any] = {"configuration": run.spec.configuration} if isinstance(run.spec, OwnBackbone) else {}
    if run.spec.region is not None:
        own["region"] = list(run.spec.region)
    samples = zip(dataset.paths, dataset.labels, dataset.splits, strict=True)
    return {
        "format": RUN_FORMAT,
        "backbone": run.spec.to_json() | own,
        "photos": str(dataset.root.resolve()),
        "classes": list(dataset.classes),
        "samples": [[path.as_posix(), label, split] for path, label, split in samples],
        **{n: getattr(run, n) for n in ("skipped", "seed", "strategy", "accuracy", "per_class", "created", "seconds")},
        "details": dict(run.details),
    }


def _from_json(folder: Path, value: dict[str, Any]) -> Run:
    """The inverse; raises KeyError, TypeError, ValueError, OverflowError or InputError for anything else."""
    dataset = _dataset(Path(_as(str, value["photos"])), _as(list, value["samples"]))
    if value["classes"] != list(dataset.classes):
        raise ValueError("its classes are not those of its photos")
    recalls = {label: None if r is None else _share(r) for label, r in _as(dict, value["per_class"]).items()}
    if set(recalls) != set(dataset.classes):
        raise ValueError("its recalls are not of its classes")
    if value["strategy"] not in STRATEGIES or _as(int, value["seed"]) < 0:
        raise ValueError("no such strategy or seed")
    return Run(
        folder,
        _spec(_as(dict, value["backbone"])),
        dataset,
        tuple(_as(str, reason) for reason in _as(list, value["skipped"])),
        value["seed"],
        value["strategy"],
        _share(value["accuracy"]),
        recalls,
        datetime.fromisoformat(_as(str, value["created"])).isoformat(timespec="seconds"),
        float(value["seconds"]),
        _as(dict, value["details"]),
    )


def _spec(value: dict[str, Any]) -> BackboneSpec:
    names = {"name": str, "alpha": float, "image_size": int, "weights": str}
    if set(value) - {"configuration", "region"} != set(names):
        raise ValueError("the backbone is not described as expected")
    known: dict[str, Any] = {name: _as(kind, value[name]) for name, kind in names.items()}
    if "region" in value:
        x, y, width, height = (_as(int, number) for number in _as(list, value["region"]))
        known["region"] = check_region((x, y, width, height))
    spec = BackboneSpec(**known)
    if "configuration" in value:
        spec = OwnBackbone(**known, configuration=_as(str, value["configuration"]))
    check(replace(spec, weights="none"))
    return spec


def _dataset(root: Path, samples: list[Any]) -> Dataset:
    checked: dict[Any, str] = {}  # there are few labels and many photos
    for sample in samples:
        path, label, split = _as(list, sample)
        if label not in checked:
            checked[label] = check_label(_as(str, label))
        place = PurePosixPath(_as(str, path))
        if place.is_absolute() or ".." in place.parts or "\0" in path or split not in SPLITS or checked[label] != label:
            raise ValueError(f"no photo of a data set: {sample!r:.60}")
    paths, labels, splits = (tuple(column) for column in zip(*samples, strict=True))
    dataset = Dataset(root, tuple(Path(path) for path in paths), labels, splits)
    if not dataset.rows("train") or not dataset.rows("val", "test"):
        raise ValueError("it has no photos to train on, or none held out")
    return dataset


def _as(kind: type[T], value: Any) -> T:
    """The value, if it is of this type."""
    if kind is float and type(value) is int:
        return float(value)  # type: ignore[return-value]
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {value!r:.40}")
    return value


def _share(value: Any) -> float:
    if not 0.0 <= _as(float, value) <= 1.0:
        raise ValueError(f"expected a share of 0 to 1, got {value!r:.40}")
    return float(value)
