"""The bundle's ``model.tflite``: backbone and head in one file for other apps, and its proof."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.console import progress
from edgetl_device.errors import CheckFailedError, PhotoError
from edgetl_device.inference.backbone import Backbone, prepare_files
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.percent import percent

from ..models.float_model import FloatModel, OwnHead
from ..tflite import fused
from ..tflite.fused_proof import AGREEMENT, Fused, Runner, prove
from ..tflite.kept_head import keep_head
from .asked import no_own_head, own_head_already
from .converter import Exported
from .fitting import Fitted
from .parity import Parity, compare, gate

Photo = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class OneFile:
    """A fused model and its proof.

    Args:
        file: its bytes; how often it says what the bundle says, or what the model with its own head says.
        own: of a head that was kept: the file against the model as it was; None where the head is the bundle's.
    """

    file: Fused
    own: Parity | None = None

    def to_json(self) -> dict[str, Any]:
        """What manifest and ``--json`` hold."""
        return self.file.to_json() | ({} if self.own is None else {"own_head": self.own.to_json()})


def with_bundles_head(exported: Exported, source: FloatModel, backbone: Backbone, fitted: Fitted, name: str) -> OneFile:
    """The fused model, proven on the held-out photos to say what the bundle says."""
    formula = fused.formula(fitted.head, backbone.transform)
    labels = fitted.head.labels
    model = fused.fuse(exported.data, formula, labels, backbone.transform, backbone.scale, source.scale, name)
    return OneFile(prove(model, _held_out_photos(source), [labels.index(label) for label in fitted.predicted]))


def check_own_head(source: FloatModel) -> OwnHead:
    """The model's own head; raises InputError where there is none that can be kept."""
    if source.own is not None:
        return source.own
    raise no_own_head() if source.ready is None else own_head_already(str(source.describes["name"]))


def with_own_head(exported: Exported, source: FloatModel, max_drop: float, name: str) -> OneFile:
    """The converted backbone with the last layer that the model came with, held against the model as it was.

    It must say what that layer says of the converted backbone's embeddings, and may cost no more accuracy than the
    bundle. Of a backbone of floats alone it must say what the model says, on 99.5 % of the held-out photos.

    Raises:
        InputError: the model has no last layer that can be kept.
        CheckFailedError: it says something else, or costs too much.
    """
    own = check_own_head(source)
    model = keep_head(exported.data, own.weights, own.bias, own.labels, source.scale, name)
    backbone, run = TFLiteInterpreter(exported.data), Runner(model)
    expected, told = [], []
    for photo in _held_out_photos(source):
        embedding = backbone(photo).astype(np.float32)
        if backbone.output.dtype == np.int8:
            embedding = (embedding - backbone.output.zero_point) * backbone.output.scale
        expected.append(int((embedding @ own.weights + own.bias).argmax()))
        told.append(int(run(photo).argmax()))
    _check_agreement(told, expected, "the converted backbone under the model's own head")
    answers = own.answers(source.held_out)
    truth = [source.dataset.labels[row] for row in source.held_out]
    parity, _ = compare(truth, answers, [own.labels[index] for index in told])
    advice = "That is the file with the model's own head: leave out --keep-head, or try --quantize float16"
    gate(parity, max_drop, advice, len(source.dataset.classes))
    if exported.proof.mode in ("float16", "none"):
        _check_agreement(told, [own.labels.index(label) for label in answers], "the model")
    return OneFile(Fused(model, parity.agreement, parity.samples), parity)


def _check_agreement(told: Sequence[int], expected: Sequence[int], what: str) -> None:
    different = sum(one != other for one, other in zip(told, expected, strict=True))
    if different > max(1, (1 - AGREEMENT) * len(expected)):  # one near tie is always forgiven
        raise CheckFailedError(
            f"the file with the model's own head says something else than {what} on {different} of {len(expected)} "
            f"held-out photos (at least {percent(AGREEMENT, 1)} alike expected); nothing was written. "
            "Leave out --keep-head"
        )


def _held_out_photos(source: FloatModel) -> Iterator[Photo]:
    files = source.dataset.take(source.held_out).files()
    prepared = progress(prepare_files(files, source.preprocessing), len(files), "checking the fused model")
    return (photo for _, photo in prepared if not isinstance(photo, PhotoError))
