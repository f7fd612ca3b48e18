"""Quantization-aware training: what it gives back, with a scale for each channel and with one for all of a kernel.

``python -m benchmarks.qat [--small] [SET…]``; each row is saved as soon as it is measured.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from edgetl.backbones.backbone import BUILTIN, BackboneSpec
from edgetl.conversion.compression import MAX_PHOTOS, Compression, compress
from edgetl.conversion.converter import export, representative_photos
from edgetl.conversion.fitting import converted_backbone, fit
from edgetl.data.datasets import find_photos, split
from edgetl.embedding.embed import embed_device
from edgetl.models.float_model import run_source
from edgetl.training.train import train_head
from edgetl_device.inference.interpreter import TFLiteInterpreter

from .harness import DATA, Report, need

SETS = ("flowers", "trashnet")
KERAS = "weights/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
CHECKED = 200  # photos that embeddings are compared on
VARIANTS = {
    "int8, one scale a kernel": Compression(per_tensor=True),
    "int8, one scale a kernel, QAT": Compression(qat=True, per_tensor=True),
    "int8": Compression(),
    "int8, QAT": Compression(qat=True),
}


def main(arguments: list[str]) -> None:
    """Measure and save; ``--small`` takes the built-in weights at 96 pixels, a fifth of the time."""
    small = "--small" in arguments
    spec = BUILTIN if small else BackboneSpec("mobilenet_v2", 0.35, 224, str(need(DATA / KERAS)))
    report = Report(
        f"qat-{spec.image_size}",
        f"{spec.name} α={spec.alpha} @{spec.image_size}: a fifth held out (seed 0); error of embeddings, squared and "
        "relative",
        reach="QAT halves the error; with one scale a kernel within 0.01 of float on both sets",
    )
    for name in [argument for argument in arguments if argument != "--small"] or SETS:
        with tempfile.TemporaryDirectory() as folder:
            measure(report, name, spec, Path(folder) / "run")


def measure(report: Report, name: str, spec: BackboneSpec, folder: Path) -> None:
    """One row for each variant on one set of photos."""
    dataset = split(find_photos(need(DATA / "data" / name)), 0.2, 0)
    source = run_source(train_head(dataset, spec, folder))
    photos = source.training_photos(MAX_PHOTOS)
    representative = representative_photos(photos[:200], source.preprocessing)
    plain = source.keras()
    rows = source.dataset.rows("val")[:CHECKED]
    exact = np.load(folder / "float.npy")[rows]
    for variant, asked in VARIANTS.items():
        model = compress(plain, photos, source.scale, asked, source.seed) if asked else source.backbone
        data = export(model, representative, source.scale, per_tensor=asked.per_tensor).data
        backbone = converted_backbone(data, source, representative)
        raw = embed_device(backbone, source.dataset.files()).values
        parity = fit(source, backbone, raw, "predictive").parity
        output = TFLiteInterpreter(data).output
        found = (raw[rows].astype(np.float32) - output.zero_point) * output.scale
        report.add(
            photos=name,
            variant=variant,
            float=parity.float_accuracy,
            accuracy=parity.converted_accuracy,
            agreement=parity.agreement,
            error=float(np.square(found - exact).mean() / np.square(exact).mean()),
        )
        report.save()


if __name__ == "__main__":
    main(sys.argv[1:])
