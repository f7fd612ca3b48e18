"""Weights that need no download: what each is worth through train and convert, and what it costs."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from edgetl.backbones.backbone import BUILTIN, LITE, BackboneSpec
from edgetl.conversion.convert import Options, convert_run
from edgetl.data.datasets import find_photos, split
from edgetl.tflite.preflight import preflight
from edgetl.training.train import train_head
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.inference.backbone import open_backbone

from .harness import DATA, Report, median_ms, need

SETS = ("flowers", "trashnet")
KERAS = "weights/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"


def specs() -> dict[str, BackboneSpec]:
    """What is compared; Keras' own weights are there to compare with."""
    lite = {f"EfficientNet-Lite0 @{size}": BackboneSpec(LITE, 1.0, size, "imagenet") for size in (96, 128, 224)}
    keras = BackboneSpec("mobilenet_v2", 0.35, 224, str(need(DATA / KERAS)))
    return {"built-in @96": BUILTIN, **lite, "MobileNetV2 α=0.35 @224 (a download)": keras}


def main() -> None:
    """Measure and save."""
    report = Report(
        "weights",
        "Weights through train and convert (int8; seed 0, a fifth held out; one thread, bare interpreter)",
        reach="EfficientNet-Lite0 @224, flowers: ≥ 0.90 float, ≥ 0.895 int8; an Edge TPU takes all of it",
    )
    for name, spec in specs().items():
        row: dict[str, object] = {"weights": name}
        for data in SETS:
            dataset = split(find_photos(need(DATA / "data" / data)), 0.2, 0)
            with tempfile.TemporaryDirectory() as folder:
                bundle_path = Path(folder) / "bundle.edgetl"
                done = convert_run(train_head(dataset, spec, Path(folder) / "run"), bundle_path, Options(max_drop=0.05))
                row |= {f"{data} float": done.parity.float_accuracy, f"{data} int8": done.parity.converted_accuracy}
                bundle = open_bundle(bundle_path)
        backbone = open_backbone(bundle, threads=1)
        size = spec.image_size
        photo = np.random.default_rng(0).integers(0, 256, (size, size, 3)).astype(np.uint8)
        row["backbone, MB"] = len(bundle.members["backbone.tflite"]) / 1e6
        row["ms"] = median_ms(partial(backbone.embed_photo, photo), runs=51)
        row["refused by the Edge TPU"] = len(preflight(bundle.members["backbone.tflite"]).problems)
        report.add(**row)
    report.save()


if __name__ == "__main__":
    main()
