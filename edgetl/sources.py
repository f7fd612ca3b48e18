"""What conversion needs of a float model, wherever it came from: a RUN, or a classifier in a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgetl_device.errors import InputError
from edgetl_device.preprocess import Preprocessing

from .datasets import Dataset
from .training import Run, fit_float_head, float_codes, open_run


@dataclass(frozen=True, eq=False)
class Source:
    """A float backbone, the photos it is converted with, and the float pipeline it is held against.

    Args:
        dataset: readable photos with their split.
        preprocessing: frame → the backbone's input size.
        scale: what the uint8 values 0 and 255 stand for at the backbone's input.
        backbone: (n, h, w, 3) float32 → (n, d) float32; a Keras model or any function of TensorFlow.
        keras: the same as a Keras 2 model for TFMOT, or InputError with the reason why there is none.
        reference: rows of the dataset → the labels that the float pipeline gives them.
        describes: what the manifest says of the backbone, with ``name`` and ``alpha``.
        training: what the manifest says of training.
        seed: of calibration, holdout and fine-tuning.
        created: UTC time, ISO 8601.
    """

    dataset: Dataset
    preprocessing: Preprocessing
    scale: tuple[float, float]
    backbone: Any
    keras: Callable[[], Any]
    reference: Callable[[Sequence[int]], list[str]]
    describes: dict[str, Any]
    training: dict[str, Any]
    seed: int
    created: str


def run_source(run: Run, photos: Path | None = None) -> Source:
    """A RUN of ``edgetl train``; ``photos`` is where its photos are now, if they moved.

    Raises:
        InputError: the run's photos or files are gone.
    """
    data = run.dataset
    dataset = data if photos is None else Dataset(photos, data.paths, data.labels, data.splits)
    missing = next((path for path in dataset.files() if not path.exists()), None)
    if missing is not None:
        raise InputError(f"the run's photos are gone ({missing}): say where they are now with --photos DIR")
    model = run.model()

    def reference(rows: Sequence[int]) -> list[str]:
        values, train = run.float_embeddings(), dataset.rows("train")
        head = fit_float_head(values[train], tuple(dataset.labels[row] for row in train))
        return [head.labels[index] for index in head.scores(float_codes(values[list(rows)])).argmax(axis=1)]

    return Source(
        dataset,
        run.spec.preprocessing,
        run.spec.input_range,
        model,
        lambda: model,
        reference,
        asdict(run.spec) | {"weights": Path(run.spec.weights).name},
        {"strategy": run.strategy, "photos": len(dataset), "seed": run.seed, "accuracy": run.accuracy},
        run.seed,
        run.created,
    )


def open_source(
    path: Path,
    photos: Path | None = None,
    labels: Path | None = None,
    scale: str | None = None,
    seed: int | None = None,
) -> Source:
    """A RUN, or a Keras image classifier in a file or folder.

    Args:
        photos: where the run's photos are now; of a classifier, the photos to convert with.
        labels, scale: of a classifier, as in :func:`~edgetl.classifiers.open_classifier`.
        seed: instead of the run's, or of 0.

    Raises:
        InputError: it is neither, or something is missing that it needs.
    """
    if (path / "run.json").is_file() or not path.exists():
        unused = [name for name, value in (("--labels", labels), ("--scale", scale)) if value is not None]
        if unused:
            raise InputError(f"{unused[0]} describes a model file, and {path} is a RUN, which knows: leave it out")
        source = run_source(open_run(path), photos)
        return source if seed is None else replace(source, seed=seed)
    raise InputError("todo")
