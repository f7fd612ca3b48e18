"""The float model in files of other tools, beside the bundle, each proven to say what the float pipeline says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.console import progress
from edgetl_device.errors import CheckFailedError, InputError, PhotoError
from edgetl_device.inference.backbone import prepare_files
from edgetl_device.percent import percent

from .. import tf
from ..models.float_model import FloatModel
from ..tflite.fused_proof import AGREEMENT
from .asked import no_float_model
from .keras_export import keras_classifier, saved
from .onnx_export import OnnxRunner, check_installed, onnx_classifier

KINDS = ("keras", "onnx")

Photo = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class OtherFile:
    """A file for other tools.

    Args:
        kind: one of :data:`KINDS`, and the ending of its name.
        data: its bytes.
        labels: of its outputs, in their order.
        agreement: share of the held-out photos with the float pipeline's label.
        samples: how many photos.
    """

    kind: str
    data: bytes
    labels: tuple[str, ...]
    agreement: float
    samples: int

    def path(self, bundle: Path) -> Path:
        """Where it is written: beside the bundle, under its name."""
        return bundle.with_suffix(f".{self.kind}")

    def to_json(self, bundle: Path) -> dict[str, Any]:
        """What ``--json`` holds."""
        return {
            "kind": self.kind, "path": str(self.path(bundle)), "size_bytes": len(self.data),
            "agreement": self.agreement, "samples": self.samples, "labels": list(self.labels),
        }  # fmt: skip


def check(kinds: tuple[str, ...]) -> None:
    """Before anything takes long: can these files be made at all? Raises InputError if not."""
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise InputError(f"--export must be one of {', '.join(KINDS)}, got {unknown[0]!r}")
    if "onnx" in kinds:
        check_installed()


def exported_files(source: FloatModel, kinds: tuple[str, ...]) -> tuple[OtherFile, ...]:
    """The float model in each of these kinds.

    Raises:
        InputError: the model cannot be written so.
        CheckFailedError: a file says something else than the float pipeline on more than 0.5 % of the held-out photos.
    """
    if not kinds:
        return ()
    if source.ready is not None:
        raise no_float_model(str(source.describes["name"]))
    model = keras_classifier(source) if source.solved is not None or "keras" in kinds else None
    files = []
    for kind in dict.fromkeys(kinds):
        if kind == "keras":
            files.append(_proven(source, kind, saved(model), labels_of(source), _keras_scorer(model)))
        else:
            size = (source.preprocessing.height, source.preprocessing.width, 3)
            call, batch = (_own(source), 1) if model is None else (tf.inference(model), None)
            data = onnx_classifier(call, size, batch, labels_of(source))
            files.append(_proven(source, kind, data, labels_of(source), OnnxRunner(data)))
    return tuple(files)


def labels_of(source: FloatModel) -> tuple[str, ...]:
    """The labels of the float model's outputs, in their order."""
    return source.own.labels if source.own is not None else source.dataset.classes


def _own(source: FloatModel) -> Callable[[Any], Any]:
    """A classifier as it came, with its own head: (1, h, w, 3) pixels → (1, C) probabilities."""
    own, tensorflow = source.own, tf.load()
    if own is None:
        raise InputError("this model has no head that could be exported")
    low, high = source.scale

    def call(pixels: Any) -> Any:  # constants are made in here: from outside they would become inputs of the file
        features = source.backbone(pixels * ((high - low) / 255) + low)
        return tensorflow.nn.softmax(features @ tensorflow.constant(own.weights) + tensorflow.constant(own.bias))

    return call


def _keras_scorer(model: Any) -> Callable[[Photo], npt.NDArray[np.float32]]:
    call = tf.load().function(lambda batch: model(batch, training=False))
    return lambda photo: np.asarray(call(photo[None].astype(np.float32))[0])


def _proven(
    source: FloatModel, kind: str, data: bytes, labels: tuple[str, ...],
    score: Callable[[Photo], npt.NDArray[np.float32]],
) -> OtherFile:  # fmt: skip
    rows = source.held_out
    answers = source.reference(rows) if source.own is None else source.own.answers(rows)
    files = source.dataset.take(rows).files()
    prepared = progress(prepare_files(files, source.preprocessing), len(files), f"checking the {kind} file")
    told = [labels[int(score(photo).argmax())] for _, photo in prepared if not isinstance(photo, PhotoError)]
    same = sum(one == other for one, other in zip(told, answers, strict=True))
    if len(rows) - same > max(1, (1 - AGREEMENT) * len(rows)):  # one near tie is always forgiven
        raise CheckFailedError(
            f"the {kind} file says what the float model says on only {same} of {len(rows)} held-out photos (at least "
            f"{percent(AGREEMENT, 1)} expected); nothing was written"
        )
    return OtherFile(kind, data, labels, same / len(rows), len(rows))
