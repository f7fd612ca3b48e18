"""The starter bundle's backbone: does calibrating it on rendered parts cost anything against real photos?

The int8 files differ in nothing but the 200 photos that set their ranges. Features are judged by a linear classifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgetl.backbones.backbone import BUILTIN, build
from edgetl.conversion.converter import representative_photos, to_int8
from edgetl.data.datasets import find_photos
from edgetl.training.embeddings import embed_float
from edgetl_device import parts
from edgetl_device.errors import PhotoError
from edgetl_device.inference.backbone import prepare_files
from edgetl_device.inference.interpreter import TFLiteInterpreter
from research.pretraining.linear import fit_lda

from .harness import DATA, Report, need

PHOTOS, CALIBRATION, SPLITS = 900, 200, 5
SETS = {"flowers": "flowers", "litter": "trashnet", "hands": "rps"}
Pixels = npt.NDArray[np.uint8]


def main() -> None:
    """Measure and save."""
    report = Report(
        "starter",
        f"Linear classifier on 80 % of {PHOTOS} photos, accuracy on the rest, mean of {SPLITS} splits; {BUILTIN.name}",
        reach="rendered parts no worse than real photos",
    )
    files = {name: _drawn(folder) for name, folder in SETS.items()}
    model, kind = build(BUILTIN), BUILTIN.preprocessing
    photos = {name: _read(paths) for name, (paths, _) in files.items()}
    floats = {n: embed_float(model, paths, kind, BUILTIN.input_range).values for n, (paths, _) in files.items()}
    report.add(calibration="none: float", **{name: _probe(floats[name], files[name][1]) for name in SETS})
    real = np.concatenate([photos["flowers"][: CALIBRATION // 2], photos["litter"][: CALIBRATION // 2]])
    for name, calibration in (("rendered parts", _rendered()), ("flowers and litter", real)):
        data = to_int8(model, representative_photos(calibration, kind), BUILTIN.input_range)
        found = {n: _probe(_embedded(data, photos[n]), labels) for n, (_, labels) in files.items()}
        report.add(calibration=name, **found)
    report.save()


def _read(files: Sequence[Path]) -> Pixels:
    return np.stack([p for _, p in prepare_files(files, BUILTIN.preprocessing) if not isinstance(p, PhotoError)])


def _drawn(folder: str) -> tuple[list[Path], npt.NDArray[np.intp]]:
    """So many photos of a set, and the number of each one's class."""
    dataset = find_photos(need(DATA / "data" / folder))
    rows = np.random.default_rng(0).permutation(len(dataset))[:PHOTOS]
    drawn = dataset.take([int(row) for row in rows])
    return drawn.files(), np.unique(drawn.labels, return_inverse=True)[1]


def _rendered() -> Pixels:
    shots = [
        parts.render(
            parts.KINDS[i % len(parts.KINDS)], light=parts.LIGHTS[i // len(parts.KINDS) % len(parts.LIGHTS)], seed=i
        )
        for i in range(CALIBRATION)
    ]
    return np.stack([BUILTIN.preprocessing(shot) for shot in shots])


def _embedded(model: bytes, photos: Pixels) -> npt.NDArray[np.float32]:
    interpreter = TFLiteInterpreter(model, threads=2)
    return np.stack([np.asarray(interpreter(photo), np.float32) for photo in photos])


def _probe(features: npt.NDArray[np.float32], labels: npt.NDArray[np.intp]) -> float:
    """Mean accuracy of a linear classifier on held-out photos."""
    accuracies = []
    for seed in range(SPLITS):
        train, test = np.split(np.random.default_rng(seed).permutation(len(labels)), [int(0.8 * len(labels))])
        weights, bias = fit_lda(features[train], labels[train])
        accuracies.append(((features[test] @ weights + bias).argmax(axis=1) == labels[test]).mean())
    return float(np.mean(accuracies))


if __name__ == "__main__":
    main()
