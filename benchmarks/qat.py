"""Kernels of integers with a scale for each channel, and with one for all: what equalization and training give back.

``python -m benchmarks.qat [--small] [--no-qat] [SET…]``; each row is saved as soon as it is measured. The head is the
default one in all rows, on codes of 8 bits: the row ``float`` tells what these cost.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.backbones.backbone import BUILTIN, BackboneSpec
from edgetl.conversion.before_rounding import Prepared, prepared
from edgetl.conversion.compression import MAX_PHOTOS, Compression, compress
from edgetl.conversion.converter import export, representative_photos
from edgetl.conversion.fitting import converted_backbone, fit
from edgetl.data.datasets import find_photos, split
from edgetl.embedding.embed import embed_device
from edgetl.models.float_model import FloatModel, run_source
from edgetl.training.train import train_head
from edgetl_device.heads.registry import DEFAULT
from edgetl_device.inference.interpreter import TFLiteInterpreter

from .harness import DATA, Report, need

SETS = ("flowers", "trashnet")
KERAS = "weights/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
CHECKED = 200  # photos that embeddings are compared on
PHOTOS = {"paintings": "pacs/art_painting", "cartoons": "pacs/cartoon"}
ONE_SCALE = "int8, one scale a kernel"
VARIANTS = {
    "float": Compression(),
    f"{ONE_SCALE}, as it is": Compression(per_tensor=True),
    f"{ONE_SCALE}, as it is, QAT": Compression(qat=True, per_tensor=True),
    f"{ONE_SCALE}, equalized": Compression(per_tensor=True),
    f"{ONE_SCALE}, equalized, QAT": Compression(qat=True, per_tensor=True),
    "int8": Compression(),
    "int8, QAT": Compression(qat=True),
}


def main(arguments: list[str]) -> None:
    """Measure and save; ``--small`` takes the built-in weights at 96 pixels, a fifth of the time."""
    small, untrained = "--small" in arguments, "--no-qat" in arguments
    variants = {name: asked for name, asked in VARIANTS.items() if not (untrained and asked.qat)}
    spec = BUILTIN if small else BackboneSpec("mobilenet_v2", 0.35, 224, str(need(DATA / KERAS)))
    report = Report(
        f"qat-{spec.image_size}",
        f"{spec.name} α={spec.alpha} @{spec.image_size}: a fifth held out (seed 0); error of embeddings, squared and "
        "relative",
        reach="QAT halves the error; with one scale a kernel within 0.01 of float on both sets",
    )
    for name in [argument for argument in arguments if not argument.startswith("--")] or SETS:
        with tempfile.TemporaryDirectory() as folder:
            measure(report, name, spec, Path(folder) / "run", variants)


def measure(report: Report, name: str, spec: BackboneSpec, folder: Path, variants: dict[str, Compression]) -> None:
    """One row for each variant on one set of photos."""
    dataset = split(find_photos(need(DATA / "data" / PHOTOS.get(name, name))), 0.2, 0)
    source = run_source(train_head(dataset, spec, folder))
    photos = source.training_photos(MAX_PHOTOS)
    representative = representative_photos(photos[:200], source.preprocessing)
    even = prepared(source, representative, per_tensor=True)
    rows = source.dataset.rows("val")[:CHECKED]
    exact = np.load(folder / "float.npy")[rows]
    for variant, asked in variants.items():
        model = quantizable(source, photos, asked, even if "equalized" in variant else None)
        mode = "none" if variant == "float" else "int8"
        data = export(model, representative, source.scale, mode, per_tensor=asked.per_tensor).data
        backbone = converted_backbone(data, source, representative)
        raw = embed_device(backbone, source.dataset.files()).values
        parity = fit(source, backbone, raw, DEFAULT).parity
        scale = backbone.scale or TFLiteInterpreter(data).output.scale
        found = (raw[rows].astype(np.float32) - backbone.transform.zero_point) * scale
        report.add(
            photos=name,
            variant=variant,
            float=parity.float_accuracy,
            accuracy=parity.converted_accuracy,
            agreement=parity.agreement,
            error=float(np.square(found - exact).mean() / np.square(exact).mean()),
        )
        report.save()


def quantizable(source: FloatModel, photos: npt.NDArray[np.uint8], asked: Compression, even: Prepared | None) -> Any:
    """The float network that a variant quantizes."""
    if asked:
        return compress(even.model if even else source.keras(), photos, source.scale, asked, source.seed)
    return even.corrected() if even else source.backbone


if __name__ == "__main__":
    main(sys.argv[1:])
