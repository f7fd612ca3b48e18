"""Every quantization recipe side by side: accuracy, size, latency; and which one to take, and why."""

from __future__ import annotations

import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device import metrics
from edgetl_device.console import Stages, progress
from edgetl_device.errors import EdgetlError, InputError, PhotoError
from edgetl_device.files import write_atomically
from edgetl_device.inference.backbone import prepare_files
from edgetl_device.inference.interpreter import TFLiteInterpreter

from ..data.datasets import balanced
from ..models.float_model import FloatModel
from ..reports.intervals import spread
from ..reports.page import Drawing, Heading, Part, Table, Text, page
from ..reports.plots import NARROW, WIDE, Point, scatter
from .asked import nothing_to_sweep
from .compression import MAX_PHOTOS, Compression, check, compress
from .converter import export, representative_photos
from .fitting import converted_backbone, fit
from .proof import MODES

DEFAULT = tuple(MODES)
CLOSE = 1.1  # latencies within 10 % count as the same, for machines have moods, and so do sizes
ROUNDS = 30
_RIVAL_MS = 2_000  # a model slower than this is timed a few times only
_EXTRAS: dict[str, Callable[[str], object]] = {"qat": lambda _: True, "prune": float, "cluster": int}


@dataclass(frozen=True)
class Recipe:
    """How to convert: ``int8``, or compressed before, such as ``int8+qat``, ``int8+prune=0.5``, ``int8+cluster=16``."""

    name: str
    quantize: str
    compression: Compression

    @property
    def arguments(self) -> str:
        """What ``edgetl convert`` must be told."""
        return " --".join(["--quantize " + self.quantize, *self.name.split("+")[1:]]).replace("=", " ")


@dataclass(frozen=True)
class Row:
    """What a recipe gives; None where it failed, and then ``error`` says why.

    Args:
        accuracy: on the held-out photos, 0 … 1, of a head fitted on the converted backbone.
        agreement: share of held-out photos with the float pipeline's label.
        size_bytes, zipped_size_bytes: of the backbone's ``.tflite`` file, and after deflate (level 9).
        latency_ms: median of the backbone on one photo, one thread of this machine.
        interval: 95 % interval of the accuracy (Wilson).
        tied: whether it cannot be told apart from the most accurate recipe on the held-out photos: the interval of
            their paired difference holds 0.
    """

    name: str
    accuracy: float | None = None
    agreement: float | None = None
    size_bytes: int | None = None
    zipped_size_bytes: int | None = None
    latency_ms: float | None = None
    error: str | None = None
    interval: tuple[float, float] | None = None
    tied: bool | None = None


@dataclass(frozen=True)
class Sweep:
    """All rows, and the one to take.

    Args:
        recommended: name of a recipe; None where all failed.
        reason: why.
        float_accuracy: of the float pipeline on the same photos.
        trained, held_out: how many photos heads were fitted and checked on.
    """

    rows: tuple[Row, ...]
    recommended: str | None
    reason: str
    float_accuracy: float
    trained: int
    held_out: int


def recipes_of(text: str) -> tuple[Recipe, ...]:
    """``int8,float16,int8+prune=0.5`` → recipes; raises InputError for what is none."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"no recipe named: expected some of {', '.join(DEFAULT)}")
    return tuple(_recipe(name) for name in dict.fromkeys(names))


def sweep(
    source: FloatModel,
    recipes: Sequence[Recipe],
    head: str,
    max_drop: float,
    training_photos: int,
    calibration_samples: int,
    tell: Callable[[Row], None],
    verbose: bool = False,
) -> Sweep:
    """Convert with every recipe and measure; a recipe that fails becomes a row that says why.

    What recipes share is made once: photos are decoded, the float pipeline asked and each compression trained once.

    Args:
        source: a RUN or a Keras model; InputError for a ``.tflite`` file, which is converted already.
        head: the learning rule.
        max_drop: accuracy below the best that is still good enough.
        training_photos: at most so many, balanced over the classes, are embedded to fit the heads.
        calibration_samples: representative photos.
        tell: called with each row as soon as its accuracy is known (its latency comes last).
    """
    if source.ready is not None:
        raise nothing_to_sweep("the model")
    source = _smaller(source, training_photos)
    dataset = source.dataset
    train, held_out = dataset.rows("train"), dataset.rows("val", "test")
    with Stages(len(recipes) + 2) as stage, ExitStack() as stack:
        stage("reading photos")
        photos = stack.enter_context(_decoded(source))
        calibration = photos[[train[row] for row in balanced(dataset.take(train), calibration_samples, source.seed)]]
        representative = representative_photos(calibration, source.preprocessing)
        models: dict[Compression, Any] = {Compression(): source.backbone}
        files: dict[str, bytes] = {}
        right: dict[str, npt.NDArray[np.bool_]] = {}
        rows = []
        for recipe in recipes:
            stage(recipe.name)
            try:
                if recipe.compression not in models:
                    chosen = photos[[train[row] for row in balanced(dataset.take(train), MAX_PHOTOS, source.seed)]]
                    models[recipe.compression] = compress(
                        source.keras(), chosen, source.scale, recipe.compression, source.seed, verbose
                    )
                model = models[recipe.compression]
                row, files[recipe.name], right[recipe.name] = _measured(
                    recipe, model, source, photos, representative, head, verbose
                )
            except EdgetlError as error:
                row = Row(recipe.name, error=str(error))
            rows.append(row)
            tell(row)
        stage("measuring latency")
        times = latencies(files, np.array(photos[held_out[0]]))
    rows = compared([replace(row, latency_ms=times.get(row.name)) for row in rows], right)
    recommended, reason = recommend(rows, max_drop)
    truth, predicted = [dataset.labels[row] for row in held_out], source.reference(held_out)
    float_accuracy = sum(a == b for a, b in zip(truth, predicted, strict=True)) / len(truth)
    return Sweep(tuple(rows), recommended, reason, float_accuracy, len(train), len(held_out))


def _measured(
    recipe: Recipe,
    model: Any,
    source: FloatModel,
    photos: npt.NDArray[np.uint8],
    representative: npt.NDArray[np.uint8],
    head: str,
    verbose: bool,
) -> tuple[Row, bytes, npt.NDArray[np.bool_]]:
    """What one recipe gives, its latency left open, its ``.tflite`` file, and on which held-out photos it is right.

    Raises:
        EdgetlError: it fails.
    """
    exported = export(model, representative, source.scale, recipe.quantize, verbose)
    backbone = converted_backbone(exported.data, source, representative)
    shown = progress(photos, len(photos), f"{recipe.name}: embedding")
    fitted = fit(source, backbone, np.stack([backbone.embed_photo(photo) for photo in shown]), head)
    parity, dataset = fitted.parity, source.dataset
    truth = [dataset.labels[row] for row in dataset.rows("val", "test")]
    right = np.array([one == other for one, other in zip(truth, fitted.predicted, strict=True)])
    size, zipped = len(exported.data), len(zlib.compress(exported.data, 9))
    return Row(recipe.name, parity.converted_accuracy, parity.agreement, size, zipped), exported.data, right


def compared(rows: Sequence[Row], right: Mapping[str, npt.NDArray[np.bool_]]) -> list[Row]:
    """The rows with their intervals, and which of them tie with the most accurate one.

    Args:
        right: name → on which of the (n,) held-out photos the recipe is right; of every recipe that did not fail.
    """
    best = max((row for row in rows if row.name in right), key=_accuracy, default=None)
    known = []
    for row in rows:
        if best is not None and row.name in right:
            low, _ = metrics.difference_interval(right[best.name], right[row.name])
            interval = metrics.wilson_interval(int(right[row.name].sum()), len(right[row.name]))
            row = replace(row, interval=interval, tied=low <= 0)
        known.append(row)
    return known


def latencies(files: dict[str, bytes], photo: npt.NDArray[np.uint8], rounds: int = ROUNDS) -> dict[str, float]:
    """Name → bytes of a ``.tflite`` file; name → median latency on one photo, ms.

    Models run in turn, so that a machine's moods hit all of them.
    """
    interpreters = {name: TFLiteInterpreter(data) for name, data in files.items()}
    times: dict[str, list[float]] = {name: [] for name in files}
    for turn in range(rounds + 1):
        for name, interpreter in interpreters.items():
            if turn > 3 and times[name][0] > _RIVAL_MS:
                continue
            started = time.perf_counter()
            interpreter(photo)
            if turn:  # the first is a warm-up
                times[name].append((time.perf_counter() - started) * 1e3)
    return {name: float(np.median(values)) for name, values in times.items()}


def recommend(rows: Sequence[Row], max_drop: float) -> tuple[str | None, str]:
    """The fastest of those that are nearly as accurate as the best, or tie with it; of equally fast ones the smallest,
    and of equally small ones the first.

    Where the accuracies are ties, compressing first has bought nothing that was measured: the simplest are preferred.
    """
    done = [row for row in rows if row.error is None]
    if not done:
        return None, "every recipe failed"
    best = max(done, key=_accuracy)
    good = [row for row in done if row.tied or _accuracy(row) >= _accuracy(best) - max_drop - 1e-9]
    plainest = min(row.name.count("+") for row in good)
    good = [row for row in good if row.name.count("+") == plainest or not row.tied]
    fastest = min(good, key=_latency)
    alike = [row for row in good if _latency(row) <= CLOSE * _latency(fastest)]
    least = min(row.size_bytes or 0 for row in alike)
    chosen = next(row for row in alike if (row.size_bytes or 0) <= CLOSE * least)
    if chosen is fastest:
        how = "the fastest"
    elif chosen.size_bytes == least:
        how = f"the smallest of those as fast as {fastest.name}"
    else:
        how = f"the first of those as fast and small as {fastest.name}"
    reason = f"{how}, {_ms(chosen)} ms, "
    if len(good) == 1:
        reason += f"and the only one within {max_drop:g} of the best accuracy, {_accuracy(best):.3f}"
    elif all(row.tied for row in good):
        reason += f"of {len(good)} that tie in accuracy on these photos"
    else:
        reason += f"of the {len(good)} within {max_drop:g} of the best accuracy ({_accuracy(best):.3f}, {best.name})"
    largest = max(done, key=lambda row: row.size_bytes or 0)
    if largest is not chosen and chosen.size_bytes and largest.size_bytes:
        reason += f"; {largest.size_bytes / chosen.size_bytes:.1f} times smaller than {largest.name}"
    return chosen.name, reason


def write_report(result: Sweep, name: str, max_drop: float, path: Path) -> None:
    """The sweep as one HTML page; raises StorageError if it cannot be written."""
    done = [row for row in result.rows if row.error is None]
    header = (
        "recipe", "accuracy", "95 % interval", "against the best", "same label as float", "file, MB", "zipped, MB",
        "latency, ms",
    )  # fmt: skip
    table = [
        (
            f"{row.name} ✓" if row.name == result.recommended else row.name,
            _accuracy(row),
            spread(row.interval) if row.interval else "",
            verdict(row),
            row.agreement,
            (row.size_bytes or 0) / 1e6,
            (row.zipped_size_bytes or 0) / 1e6,
            _latency(row),
        )
        for row in done
    ]
    taken = f"Take {result.recommended}" if result.recommended else "No recipe worked"
    parts: list[Part] = [
        Text(taken, strong=True),
        Text(f"It is {result.reason}." if result.recommended else result.reason.capitalize() + "."),
        Text(
            f"The float model, before conversion, reaches {result.float_accuracy:.3f}. Each head was fitted on "
            f"{result.trained} photos, embedded by that very file, and checked on {result.held_out} held-out ones. "
            "Latency is of the backbone, "
            "on one thread of the machine that ran the sweep: a device's differs."
        ),
    ]
    if done:
        points = [Point(_latency(row), _accuracy(row), row.name, row.name == result.recommended) for row in done]
        floor = max(map(_accuracy, done)) - max_drop
        wide, narrow = (
            scatter(points, "latency, ms (logarithmic)", "accuracy", floor, size) for size in (WIDE, NARROW)
        )
        parts.append(Drawing(wide, f"Up and left is better. Dashed: the best accuracy less {max_drop:g}.", narrow))
        parts += [Heading("Recipes"), Table(header, table)]
    failed = [row for row in result.rows if row.error is not None]
    if failed:
        parts += [Heading("Failed"), Table(("recipe", "why"), [(row.name, row.error) for row in failed])]
    write_atomically(path, page(f"{name}: recipes side by side", parts))


def verdict(row: Row) -> str:
    """Against the most accurate recipe."""
    return "" if row.tied is None else "a tie" if row.tied else "worse"


def _recipe(name: str) -> Recipe:
    mode, *extras = name.split("+")
    asked: dict[str, Any] = {}
    for extra in extras:
        kind, _, value = extra.partition("=")
        try:
            asked[kind] = _EXTRAS[kind](value)
        except (KeyError, ValueError):
            mode = ""
    if mode not in MODES:
        raise InputError(
            f"unknown recipe {name!r}: expected one of {', '.join(MODES)}, then +qat, +prune=0.5 or +cluster=16"
        )
    compression = Compression(**asked)
    try:
        check(compression, mode)
    except InputError as error:
        raise InputError(f"recipe {name}: {error}") from None
    return Recipe(name, mode, compression)


def _smaller(source: FloatModel, training_photos: int) -> FloatModel:
    """At most so many training photos; and the float pipeline's answers, asked once."""
    dataset = source.dataset
    train, held_out = dataset.rows("train"), dataset.rows("val", "test")
    kept = [train[row] for row in balanced(dataset.take(train), training_photos, source.seed)]
    rows = sorted([*kept, *held_out])
    answers = dict(zip(held_out, source.reference(held_out), strict=True))
    return replace(source, dataset=dataset.take(rows), reference=lambda asked: [answers[rows[row]] for row in asked])


@contextmanager
def _decoded(source: FloatModel) -> Any:
    """(n, h, w, 3) uint8 of all photos, in a temporary file rather than in memory: they may be gigabytes."""
    files, size = source.dataset.files(), source.preprocessing
    with tempfile.TemporaryDirectory(prefix="edgetl-") as folder:
        shape = (len(files), size.height, size.width, 3)
        photos = np.memmap(Path(folder, "photos"), np.uint8, "w+", shape=shape)
        for row, (path, photo) in enumerate(progress(prepare_files(files, size), len(files), "reading photos")):
            if isinstance(photo, PhotoError):
                raise InputError(f"photos changed since training: {photo}; train again ({path})")
            photos[row] = photo
        yield photos


def _accuracy(row: Row) -> float:
    return row.accuracy or 0.0


def _latency(row: Row) -> float:
    return row.latency_ms or 0.0


def _ms(row: Row) -> str:
    return f"{_latency(row):.1f}" if _latency(row) >= 1 else f"{_latency(row):.2f}"
