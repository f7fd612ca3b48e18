"""A last layer that is kept (``convert --keep-head``): does the converted file say what the float model says?

``python -m benchmarks.keep_head [SET…]``: MobileNetV2 with ImageNet weights under softmax regression on its float
embeddings, for want of somebody's own model. A kept layer cannot make up for what rounding does to embeddings, as a
solved head does. 16-bit activations have reference kernels only, so they are asked about fewer photos.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from edgetl.backbones.backbone import BackboneSpec
from edgetl.conversion.before_rounding import prepared
from edgetl.conversion.converter import export, representative_photos
from edgetl.data.datasets import find_photos, split
from edgetl.models.float_model import run_source
from edgetl.training.train import train_head
from edgetl_device.errors import PhotoError
from edgetl_device.inference.backbone import prepare_files
from edgetl_device.inference.interpreter import TFLiteInterpreter

from .harness import DATA, Report, need
from .qat import KERAS, SETS

CALIBRATED = 200
FEW = 100  # photos for 16-bit activations
VARIANTS = (("int8-float-io", False), ("int8-float-io", True), ("int16x8", False), ("int16x8", True))


def main(names: list[str]) -> None:
    """Measure and save."""
    spec = BackboneSpec("mobilenet_v2", 0.35, 224, str(need(DATA / KERAS)))
    report = Report(
        "keep_head",
        f"{spec.name} α={spec.alpha} @{spec.image_size} and a softmax layer that is kept: a fifth held out (seed 0)",
        reach="the float model's label on 0.98 in int8",
    )
    for name in names or SETS:
        with tempfile.TemporaryDirectory() as folder:
            measure(report, name, spec, Path(folder) / "run")


def measure(report: Report, name: str, spec: BackboneSpec, folder: Path) -> None:
    """One row for each variant on one set of photos."""
    dataset = split(find_photos(need(DATA / "data" / name)), 0.2, 0)
    source = run_source(train_head(dataset, spec, folder))
    calibration = source.training_photos(CALIBRATED)
    representative = representative_photos(calibration, source.preprocessing)
    labels, exact = np.array(dataset.labels), np.load(folder / "float.npy")
    train = dataset.rows("train")
    head = LogisticRegression(max_iter=300).fit(exact[train], labels[train])
    ready = prepared(source, calibration, per_tensor=False)
    assert ready is not None
    models = {False: ready.model, True: ready.corrected()}
    for mode, corrected in VARIANTS:
        held_out = dataset.rows("val")
        rows = held_out[:: max(1, len(held_out) // FEW)][:FEW] if mode == "int16x8" else held_out
        run = TFLiteInterpreter(export(models[corrected], representative, source.scale, mode).data)
        photos = prepare_files(dataset.take(rows).files(), source.preprocessing)
        found = np.stack([run(photo) for _, photo in photos if not isinstance(photo, PhotoError)])
        said, wanted = head.predict(found.reshape(len(rows), -1)), head.predict(exact[rows])
        report.add(
            photos=name,
            variant=f"{mode}{', biases corrected' * corrected}",
            held_out=len(rows),
            float=float((wanted == labels[rows]).mean()),
            accuracy=float((said == labels[rows]).mean()),
            agreement=float((said == wanted).mean()),
            error=float(np.square(found - exact[rows]).mean() / np.square(exact[rows]).mean()),
        )
        report.save()


if __name__ == "__main__":
    main(sys.argv[1:])
