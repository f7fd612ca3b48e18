"""Labels for photos, by a bundle or a RUN, on every core of the workstation."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgetl_device.bundle.bundle import Bundle
from edgetl_device.bundle.possible import sound_content
from edgetl_device.codes import CodeTransform
from edgetl_device.console import progress
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.files import write_atomically
from edgetl_device.heads.head import Head, fit_head
from edgetl_device.inference.backbone import Backbone, open_tried_backbone, quantize
from edgetl_device.inference.classifier import Prediction, predictions
from edgetl_device.inference.interpreter import TFLiteInterpreter

from ..conversion.fitting import embedding_range, evidence_of
from ..data.streaming import batched
from ..embedding.embed import embed_with
from ..embedding.float_file import float_file
from ..embedding.workers import one_blas_thread
from ..training.runs import Run

_BATCH = 256  # photos that the head is asked about at once
COLUMNS = ("path", "label", "probability", "unknown")


@dataclass(frozen=True)
class Predictions:
    """What photos show.

    Args:
        paths: of the n photos that could be read.
        predictions: of each of them.
        skipped: what is wrong with each of the others.
        runtime: the TFLite runtime that ran the backbone, and its version.
    """

    paths: tuple[Path, ...]
    predictions: tuple[Prediction, ...]
    skipped: tuple[str, ...]
    runtime: str

    @property
    def counts(self) -> dict[str, int]:
        """How many photos got each label, the most first; those that are unknown count as ``unknown`` alone."""
        names = ("unknown" if each.unknown else str(each.label) for each in self.predictions)
        return dict(Counter(names).most_common())

    def write_csv(self, path: Path) -> None:
        """A table of :data:`COLUMNS`, a line for each photo; raises StorageError and leaves what is there."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        for photo, each in zip(self.paths, self.predictions, strict=True):
            label = "" if each.label is None else each.label
            writer.writerow((str(photo), label, f"{each.probability:.6f}", "yes" if each.unknown else "no"))
        write_atomically(path, text.getvalue().encode(errors="surrogateescape"))


def predict(source: Bundle | Run, files: Sequence[Path], runtime: str = "auto", top: int = 3) -> Predictions:
    """Label photo files.

    Args:
        top: how many labels :attr:`Prediction.top` has.

    Raises:
        InputError: no photo can be read, or the source knows no class yet.
        BundleError: the bundle's backbone crashes, never ends or needs too much memory.
    """
    if isinstance(source, Bundle):
        head = sound_content(source).head()
        if not head.labels:
            raise InputError("the bundle knows no class yet: install it on a device and teach it there")
        backbone = open_tried_backbone(source, runtime)
    else:
        backbone, head = _of_run(source, runtime)
    with one_blas_thread():
        paths, answers, skipped = _ask(backbone, head, files, top)
    if not paths:
        raise InputError(f"none of {len(skipped)} photos could be read" + (f" ({skipped[0]})" if skipped else ""))
    return Predictions(tuple(paths), tuple(answers), tuple(skipped), backbone.runtime)


def _ask(
    backbone: Backbone, head: Head, files: Sequence[Path], top: int
) -> tuple[list[Path], list[Prediction], list[str]]:
    """The photos that could be read, what they show, and what is wrong with each of the others."""
    paths: list[Path] = []
    answers: list[Prediction] = []
    skipped: list[str] = []
    photos = zip(files, progress(embed_with(backbone, files), len(files), "predicting"), strict=True)
    for batch in batched(photos, _BATCH):
        read = [(path, photo) for path, photo in batch if not isinstance(photo, PhotoError)]
        skipped += [str(photo) for _, photo in batch if isinstance(photo, PhotoError)]
        paths += [path for path, _ in read]
        if read:
            answers += predictions(head, backbone.codes(np.stack([photo.value for _, photo in read])), top)
    return paths, answers, skipped


def _of_run(run: Run, runtime: str) -> tuple[Backbone, Head]:
    """The float backbone of a RUN, and the head that ``convert --quantize none`` would fit on its embeddings."""
    data = float_file(run.model(), run.spec.preprocessing, run.spec.input_range)
    interpreter = TFLiteInterpreter(data, runtime)
    values = run.float_embeddings()
    train = values[run.dataset.rows("train")]
    scale, zero_point = embedding_range(float(train.min()), float(train.max()))
    transform = CodeTransform(zero_point, values.shape[1])
    backbone = Backbone(interpreter, run.spec.preprocessing, transform, hashlib.sha256(data).hexdigest(), scale)
    raw = quantize(values, scale, zero_point)
    return backbone, fit_head(evidence_of(run.dataset, raw, backbone, run.seed))
