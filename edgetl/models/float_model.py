"""What conversion needs of a float model, wherever it came from: a RUN, or a classifier in a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.console import progress
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.heads.scorer import Scorer
from edgetl_device.inference.backbone import prepare_files
from edgetl_device.preprocess import Preprocessing

from ..data.datasets import Dataset, balanced
from ..training.train import Run, fit_float_head, float_codes

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class OwnHead:
    """The last layer that a classifier came with: probabilities are the softmax of embedding · weights + bias.

    Args:
        weights: (d, C) float32; of one sigmoid, two columns of which the first is 0.
        bias: (C,) float32.
        labels: of all C outputs, in their order, whether there are photos of them or not.
        answers: rows of the dataset → which of all labels the classifier gives them.
    """

    weights: Floats
    bias: Floats
    labels: tuple[str, ...]
    answers: Callable[[Sequence[int]], list[str]]


@dataclass(frozen=True, eq=False)
class SolvedHead:
    """A head on float embeddings, solved from the training photos.

    Args:
        scorer: takes :func:`~edgetl.training.float_head.float_codes` of embeddings.
        scores: (h, C) float32 of the held-out photos, in the dataset's order.
    """

    scorer: Scorer
    scores: Floats


@dataclass(frozen=True, eq=False)
class FloatModel:
    """A float backbone, the photos it is converted with, and the float pipeline it is held against.

    Args:
        dataset: readable photos with their split.
        preprocessing: frame → the backbone's input size.
        scale: what the uint8 values 0 and 255 stand for at the backbone's input.
        backbone: (n, h, w, 3) float32 → (n, d) float32; a Keras model or any function of TensorFlow.
        keras: the same as a Keras 2 model for TFMOT, or InputError with the reason why there is none.
        reference: rows of the dataset → the labels that the float pipeline gives them.
        describes: what the manifest says of the backbone: its ``name``, and its ``alpha`` where it came from a RUN.
        training: what the manifest says of training.
        seed: of calibration, holdout and fine-tuning.
        created: UTC time, ISO 8601.
        caution: what to think of first where the bundle is worse than the float pipeline; may be empty.
        ready: the ``.tflite`` backbone of a model that is converted already; None where it is to be converted.
        own: the last layer that the model came with; None where it has none, or none that can be used.
        solved: gives the head that ``reference`` speaks for; None where that is ``own``.
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
    caution: str = ""
    ready: bytes | None = None
    own: OwnHead | None = None
    solved: Callable[[], SolvedHead] | None = None

    @property
    def held_out(self) -> list[int]:
        """Rows of the photos that nothing is fitted on."""
        return self.dataset.rows("val", "test")

    def training_photos(self, most: int) -> npt.NDArray[np.uint8]:
        """Up to ``most`` training photos, class-balanced, preprocessed: (m, h, w, 3) uint8 RGB."""
        training = self.dataset.take(self.dataset.rows("train"))
        files = training.take(balanced(training, most, self.seed)).files()
        prepared = progress(prepare_files(files, self.preprocessing), len(files), "reading photos")
        return np.stack([photo for _, photo in prepared if not isinstance(photo, PhotoError)])


def run_source(run: Run, photos: Path | None = None) -> FloatModel:
    """A RUN of ``edgetl train``; ``photos`` is where its photos are now, if they moved.

    Raises:
        InputError: the run's photos or files are gone.
    """
    data = run.dataset
    dataset = data if photos is None else Dataset(photos, data.paths, data.labels, data.splits)
    missing = next((path for path in dataset.files() if not path.exists()), None)
    if missing is not None:
        raise InputError(f"the run's photos are gone ({missing}): say where they are now with --photos PHOTOS")
    model = run.model()

    def scores(rows: Sequence[int]) -> tuple[Scorer, Floats]:
        values, train = run.float_embeddings(), dataset.rows("train")
        head = fit_float_head(values[train], tuple(dataset.labels[row] for row in train))
        return head, head.scores(float_codes(values[list(rows)]))

    def reference(rows: Sequence[int]) -> list[str]:
        head, found = scores(rows)
        return [head.labels[index] for index in found.argmax(axis=1)]

    return FloatModel(
        dataset,
        run.spec.preprocessing,
        run.spec.input_range,
        model,
        lambda: model,
        reference,
        run.spec.to_json() | {"weights": Path(run.spec.weights).name},
        {"strategy": run.strategy, "photos": len(dataset), "seed": run.seed, "accuracy": run.accuracy},
        run.seed,
        run.created,
        solved=lambda: SolvedHead(*scores(dataset.rows("val", "test"))),
    )
